"""What all frame-level models do alike."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.models import sampling
from src.models.frame_level import FrameLevelModel
from src.training import footprint
from tests.models.formulas import AUDIO
from tests.models.formulas import RGB
from tests.models.formulas import VOCAB
from tests.models.formulas import evaluate
from tests.models.formulas import normalized

tf1 = tf.compat.v1


@pytest.mark.parametrize("random_frames", [True, False])
@pytest.mark.parametrize("name", ["GatedNetVLAD", "NeXtVLAD", "MixNeXtVLAD", "FrameLevelLogisticModel"])
def test_frames_seen_many_times_over_are_computed_once(name, random_frames):
    model = models.create(name, netvlad_cluster_size=4, netvlad_hidden_size=3, nextvlad_cluster_size=4,
                          nextvlad_hidden_size=8, groups=4, gating_reduction=4, iterations=60, mix_number=2,
                          sample_random_frames=random_frames, video_level_classifier_model="LogisticModel")
    frames, logits, memory = normalized([5, 4, 1], 5), [], []
    for num_frames in (5, None):  # without a static number of frames, all `iterations` frames are gathered
        with tf.Graph().as_default():
            given = tf1.placeholder_with_default(frames, [3, num_frames, RGB + AUDIO])
            logits.append(evaluate(lambda: model.create_model(given, VOCAB, tf.constant([5, 4, 1]), False)["logits"]))
    np.testing.assert_allclose(*logits, atol=2e-5)
    for iterations in (5, 60):
        model.hparams["iterations"] = iterations
        with tf.Graph().as_default():
            given = tf1.placeholder(tf.float32, [3, 5, RGB + AUDIO])
            outputs = model.create_model(given, VOCAB, tf1.placeholder(tf.int32, [3]), False)
            memory.append(footprint.activation_bytes(outputs["predictions"].op, []))
    assert memory[1] < 1.5 * memory[0]


@pytest.mark.parametrize("name, head", [
    ("Bert", "MoeModel"), ("BertCross", "MoeModel"), ("GatedNetVLAD", "MoeModel"), ("NeXtVLAD", "MoeModel"),
    ("MixNeXtVLAD", "LogisticModel"), ("FrameLevelLogisticModel", "LogisticModel")])
def test_a_batch_may_be_empty(name, head):
    model = models.create(name, bert_attention_heads=4, netvlad_cluster_size=4, netvlad_hidden_size=3,
                          nextvlad_cluster_size=4, nextvlad_hidden_size=8, groups=4, gating_reduction=4, iterations=60,
                          video_level_classifier_model=head)
    with tf.Graph().as_default(), tf1.Session() as session:
        frames = tf1.placeholder(tf.float32, [None, 5, 1152])
        scores = model.create_model(frames, 30, num_frames=tf1.placeholder_with_default(np.zeros(0, "i4"), [None]),
                                    is_training=False, classes=np.arange(7))["predictions"]
        session.run(tf1.global_variables_initializer())
        assert session.run(scores, {frames: np.zeros([0, 5, 1152])}).shape == (0, 7)


class Pooled(FrameLevelModel):
    """A model whose head shows what it pooled."""

    hparams_declared = sampling.HPARAMS
    merges_repeats = False

    def pool(self, frames, is_training, indices=None):
        assert indices is None
        return tf.reduce_sum(frames, axis=2)

    def classify(self, pooled, num_classes, is_training, classes=None):
        return {"predictions": pooled}


@pytest.mark.parametrize("is_training", [True, False])
def test_a_model_pools_the_frames_that_it_picks_unless_the_reader_has_picked_them(is_training):
    model = Pooled(dict(iterations=4, sample_random_frames=True))
    frames = np.arange(2 * 9 * 2).reshape([2, 9, 2]).astype("f4")
    sums, lengths = frames.sum(axis=2), np.array([9, 3])

    def pooled(given, **options):
        return evaluate(lambda: model.create_model(tf.constant(given), VOCAB, tf.constant(lengths, tf.int32),
                                                   is_training, **options)["predictions"])

    picked = pooled(frames)
    assert picked.shape == (2, 4)
    assert all(set(row) <= set(of_video[:length]) for row, of_video, length in zip(picked, sums, lengths))
    if not is_training:
        np.testing.assert_array_equal(picked, [sums[0, [1, 3, 5, 7]], sums[1, [0, 1, 1, 2]]])
    np.testing.assert_array_equal(pooled(frames, frames_sampled=True), sums)
