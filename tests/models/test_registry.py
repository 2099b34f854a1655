"""The registry creates what it is asked for; every model trains and predicts."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from src.trained import checkpoints
from src.training import losses
from src.training import towers
from tests.models.formulas import AUDIO
from tests.models.formulas import RGB
from tests.models.formulas import SMALL
from tests.models.formulas import VOCAB

tf1 = tf.compat.v1


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(InputError) as error:
        models.create("Brt")
    assert str(error.value).startswith("--model=Brt is unknown: choose one of ")
    listed = str(error.value).rstrip(".").split("choose one of ")[1].split(", ")
    assert {"Bert", "BertCross", "FrameLevelLogisticModel", "LogisticModel", "MoeModel"} <= set(listed)
    for name in listed:
        models.create(name)


def test_an_unknown_hyperparameter_lists_the_known_ones():
    with pytest.raises(InputError) as error:
        models.create("MoeModel", moe_l3=1.0)
    assert "moe_l3" in str(error.value) and "moe_l2" in str(error.value)


def test_hyperparameters_left_out_take_the_defaults_and_those_of_other_models_are_ignored():
    model = models.create("MoeModel", moe_l2=.5, iterations=60, pooling_strategy="attn")
    assert model.hparams == dict(moe_num_mixtures=5, moe_l2=.5, moe_low_rank_gating=-1, moe_prob_gating=False,
                                 moe_prob_gating_input="prob", gating_remove_diag=False)
    defaults = dict(bert_hidden_layer=2, bert_attention_heads=12, bert_dropout_prob=.1, iterations=5,
                    pooling_strategy="mean", sample_random_frames=True, use_position=False,
                    bert_position=False, video_level_classifier_model="MoeModel")
    hparams = models.create("Bert").hparams
    assert {name: hparams[name] for name in defaults} == defaults


ALIASES = {"NetVLADModelLF": "GatedNetVLAD", "NeXtVLADModel": "NeXtVLAD", "MixNeXtVladModel": "MixNeXtVLAD"}


@pytest.mark.parametrize("alias, name", sorted(ALIASES.items()))
def test_an_alias_gives_the_same_model(alias, name):
    hparams = dict(iterations=7, netvlad_cluster_size=9, nextvlad_cluster_size=11)
    ours, theirs = models.create(name, **hparams), models.create(alias, **hparams)
    assert type(ours) is type(theirs) and ours.hparams == theirs.hparams


class RandomReader(object):
    """Batches of random features and labels, of frames or of whole videos."""

    num_classes = VOCAB

    def __init__(self, frame_level):
        self._shape = [2, 6, RGB + AUDIO] if frame_level else [2, RGB + AUDIO]

    def next_batch(self):
        return {"features": tf.random.normal(self._shape), "num_frames": tf.constant([6, 1]),
                "labels": tf.SparseTensor([[0, 0], [1, 2]], [1.0, 1.0], [2, VOCAB])}

    def model_input_raw(self, batch):
        return batch["features"]


@pytest.mark.parametrize("name", sorted(set(models.names()) - set(ALIASES) - {"ContextSegment"}))  # see test_context.py
def test_every_model_trains_and_then_predicts_probabilities(name, bert_config_file):
    model = models.create(
        name, bert_config_file=bert_config_file, bert_attention_heads=2, pooling_strategy="attn",
        netvlad_cluster_size=2, netvlad_hidden_size=4, gating=True, mix_number=2,
        moe_num_mixtures=1, moe_prob_gating=True,
        video_level_classifier_model="LogisticModel" if name == "MixNeXtVLAD" else "MoeModel", **SMALL)
    reader = RandomReader(model.frame_level)
    checkpoints.create_global_step()
    graph = towers.build(model, reader, reader.next_batch, ["/cpu:0"],
                         losses.Objective(losses.create("CrossEntropyLoss")),
                         towers.Updates(lambda step: (tf1.train.AdamOptimizer(.01), None)), frames_sampled=False)
    batch = reader.next_batch()
    with tf1.variable_scope("tower", reuse=True):
        predictions = model.create_model(batch["features"], VOCAB, batch["num_frames"], False)["predictions"]
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        loss, regularization, _ = session.run((graph.loss, graph.regularization_loss, graph.train_op))
        predicted = session.run(predictions)
    assert np.isfinite(loss) and np.isfinite(regularization)
    assert predicted.shape == (2, VOCAB) and predicted.min() >= 0 and predicted.max() <= 1
