"""ContextSegment through the programs: encoders with the weights of trained models, and the frames around segments."""
import contextlib
import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from src.data import readers
from src.evaluation.evaluator import Evaluator
from src.prediction.scoring import Scorer
from src.trained import export
from src.trained import model_flags
from src.training import losses
from tests.programs import dask_processes
from tests.programs import reference
from tests.programs import runner
from tests.programs.conftest import AUDIO
from tests.programs.conftest import FEATURES
from tests.programs.conftest import RATED_CLASSES
from tests.programs.conftest import RGB
from tests.programs.test_inference import parse_pairs

tf1 = tf.compat.v1
CONTEXT_FRAMES, MARGIN = 6, 2
BERT = dict(bert_hidden_layer=1, bert_attention_heads=2, pooling_strategy="mean")
TRAINING = dict(FEATURES, batch_size=4, base_learning_rate=.01, num_epochs=0, export_model_steps=2, seed=3,
                export_saved_models=False)


def prefixed(part, hparams):
    return {"%s_%s" % (part, name): value for name, value in hparams.items()}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert") / "config.json"
    path.write_text(json.dumps({"intermediate_size": 6, "initializer_range": .2, "max_position_embeddings": 5}))
    return str(path)


@pytest.fixture(scope="module")
def encoder(data, config, tmp_path_factory):
    """The train_dir of a Bert."""
    folder = str(tmp_path_factory.mktemp("encoder") / "bert")
    runner.succeed("train", model="Bert", bert_config_file=config, train_data_pattern=data.train, train_dir=folder,
                   max_steps=2, **dict(TRAINING, **BERT))
    return folder


@pytest.fixture(scope="module")
def bare(encoder, tmp_path_factory):
    """The checkpoint of `encoder` alone, in another folder, as of the original code."""
    folder = str(tmp_path_factory.mktemp("bare"))
    for name in os.listdir(encoder):
        if name.startswith("model.ckpt-2"):
            shutil.copy(os.path.join(encoder, name), folder)
    return folder


@pytest.fixture(scope="module")
def flags(data, config):
    """Flags of the model, and of its training on the rated segments outside the holdout."""
    return dict(TRAINING, model="ContextSegment", context_frames=CONTEXT_FRAMES, segment_margin=MARGIN, head_units=8,
                head_experts=2, context_bert_config_file=config, segment_bert_config_file=config,
                train_data_pattern=data.rated, segment_labels=True, holdout_shards=1,
                **dict(prefixed("context", BERT), **prefixed("segment", BERT)))


@pytest.fixture(scope="module")
def trained(encoder, bare, flags, tmp_path_factory):
    """(train_dir of a model whose encoders began as `encoder`, what its training said)."""
    folder = str(tmp_path_factory.mktemp("trained") / "model")
    said = runner.succeed("train", train_dir=folder, init_context=encoder, init_segment=bare + "/model.ckpt-2",
                          max_steps=4, **dict(flags, export_saved_models=True))
    return folder, said


@pytest.fixture(scope="module")
def evaluated(trained, data):
    runner.succeed("eval", train_dir=trained[0], eval_data_pattern=data.rated, segment_labels=True, run_once=True,
                   holdout_shards=1, batch_size=30)
    return trained[0]


def variables(checkpoint):
    reader = tf.train.load_checkpoint(checkpoint)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


# Training.


def test_the_encoders_begin_with_the_weights_of_trained_models_and_the_head_afresh(trained, encoder, bare):
    for part, folder in ("context", encoder), ("segment", bare):
        assert "16 of the %s encoder's 16 variables begin as in %s/model.ckpt-2\n" % (part, folder) in trained[1]
    assert "it takes encoder/layer_0 (16)\n" in trained[1]
    assert "the others begin afresh" not in trained[1]  # all variables of the encoders were there


def test_the_context_encoder_stays_as_it_was_and_the_others_train(trained, encoder):
    start, after = variables(encoder + "/model.ckpt-2"), variables(trained[0] + "/model.ckpt-4")
    names = [name for name in start if re.fullmatch("tower/encoder/.*/(kernel|bias|gamma|beta)", name)]
    assert len(names) == 16
    for name in names:
        np.testing.assert_array_equal(after[name.replace("tower/", "tower/context/")], start[name])
        if "key/bias" not in name:  # has no influence on the softmax
            assert not np.array_equal(after[name.replace("tower/", "tower/segment/")], start[name]), name
    assert not any(name.startswith("tower/context/") and "Adam" in name for name in after)
    earlier = variables(trained[0] + "/model.ckpt-2")
    assert not np.array_equal(after["tower/head/hidden/weights"], earlier["tower/head/hidden/weights"])


def test_a_training_of_the_whole_model_continues_without_the_encoders_folders(trained, flags, tmp_path):
    said = runner.succeed("train", train_dir=tmp_path / "new", max_steps=5, train_context=False,
                          checkpoint_file=trained[0] + "/model.ckpt-4", rate_factor="tower/segment/.*=0.5", **flags)
    assert os.path.exists(str(tmp_path / "new" / "model.ckpt-5.index")), said


def test_a_seed_repeats_a_training_to_the_last_bit(trained, encoder, flags, tmp_path):
    runner.succeed("train", train_dir=tmp_path / "new", init_context=encoder, init_segment=encoder, max_steps=2,
                   **flags)
    first, again = variables(trained[0] + "/model.ckpt-2"), variables(str(tmp_path / "new" / "model.ckpt-2"))
    assert set(first) == set(again)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name], err_msg=name)


@pytest.fixture(scope="module")
def deeper(bare, encoder, flags, tmp_path_factory):
    """As `trained`, but the segment encoder is deeper than `encoder`, and the context encoder is trained, too."""
    folder = str(tmp_path_factory.mktemp("deeper") / "model")
    said = runner.succeed("train", train_dir=folder, init_context=encoder, init_segment=bare, train_context=True,
                          max_steps=2, **dict(flags, segment_bert_hidden_layer=2))
    return folder, said


def test_an_encoder_of_another_depth_takes_what_fits_and_says_what_begins_afresh(deeper, bare):
    said = deeper[1]
    assert "16 of the segment encoder's 32 variables begin as in %s/model.ckpt-2\n" % bare in said
    assert "it takes encoder/layer_0 (16)\n" in said
    afresh = re.search("the others begin afresh: (.*)\n", said).group(1).split("), ")
    assert len(afresh) == 16
    assert afresh[0] == "tower/segment/encoder/layer_1/attention/self/query/kernel [8, 8] (missing there"


def test_the_context_encoder_trains_on_demand(deeper, encoder):
    start, after = variables(encoder + "/model.ckpt-2"), variables(deeper[0] + "/model.ckpt-2")
    kernel = "encoder/layer_0/intermediate/dense/kernel"
    assert not np.array_equal(after["tower/context/" + kernel], start["tower/" + kernel])


def test_describe_counts_both_encoders_and_the_contexts(flags):
    text = runner.output_of("train", describe=True, **flags)
    assert ("batch_size 4, 9 frames each, 6 frames of context each, if no two are of one video") in text
    assert "context/encoder" in text and "segment/encoder" in text and "head/experts" in text


# Evaluation and inference.


@pytest.fixture(scope="module")
def predict(evaluated):
    """Function from raw segments, contexts and the rows of videos to the inference model's predictions."""
    path = os.path.join(evaluated, "inference_model", "inference_model")
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.train.import_meta_graph(path + ".meta").restore(session, path)
        names = "input_batch_raw", "context_raw", "video", "predictions"
        *inputs, predictions = (tf1.get_collection(name)[0] for name in names)
        yield lambda *values: session.run(predictions, dict(zip(inputs, values)))


def around(video, shift):
    """(ids, frames with margins, frames of the context) of the segments of a rolled video."""
    rolled, num_frames = np.roll(reference.dequantized(video.frames), shift, axis=0), min(len(video.frames), 300)
    first, length = (30, num_frames - 40) if num_frames > 40 else (0, num_frames)
    spread = [first + int((i + .5) * length / CONTEXT_FRAMES) for i in range(CONTEXT_FRAMES)]
    with_zeros = np.pad(rolled, [(MARGIN, MARGIN + 4), (0, 0)], "constant")
    starts = range(0, num_frames, 5)
    return ([b"%s:%d" % (video.id, start) for start in starts],
            np.array([with_zeros[start:start + 5 + 2 * MARGIN] for start in starts]), rolled[spread])


@pytest.fixture(scope="module")
def inference_flags(evaluated, data):
    return dict(train_dir=evaluated, input_data_pattern=data.rated, segment_labels=True, holdout_shards=1,
                segment_label_ids_file=data.label_ids, shift="-2,0,1")


def test_segments_are_scored_by_what_is_around_them_in_the_rolled_video(inference_flags, data, predict, tmp_path):
    runner.succeed("inference", output_prob=True, output_file=tmp_path / "out.csv", top_k=len(RATED_CLASSES),
                   batch_size=120, **inference_flags)
    for shift, name in (-2, "out_shift-2.csv"), (0, "out.csv"), (1, "out_shift1.csv"):
        pairs = parse_pairs(tmp_path / name)
        for video in data.holdout_videos:
            ids, frames, context = around(video, shift)
            expected = predict(frames, [context], [0] * len(ids))
            for segment, scores in zip(ids, expected):
                assert dict(pairs.pop(segment)) == pytest.approx({label: scores[label] for label in RATED_CLASSES},
                                                                 rel=1e-4)
        assert not pairs


def test_evaluation_and_inference_score_a_segment_alike(evaluated, data):
    paths, values = [os.path.join(data.folder, "validate0000.tfrecord")], model_flags.read(evaluated)
    model = model_flags.create_model(values)
    reader = readers.create("rgb,audio", "%d,%d" % (RGB, AUDIO), True)
    scorer = Scorer(model, reader, 40, 1, [0], np.arange(3862))
    with contextlib.closing(scorer):
        scorer.open(lambda session: export.restore_model(
            session, os.path.join(evaluated, "inference_model", "inference_model"), scorer.variables))
        scored = {name: scores for batch in scorer.batches(paths) for name, scores in zip(batch["id"], batch["scores"])}
    evaluator = Evaluator(model, readers.create("rgb,audio", "%d,%d" % (RGB, AUDIO), True, segment_labels=True),
                          losses.create("CrossEntropyLoss"), paths, batch_size=30, num_readers=1, top_k=20)
    evaluations = {name: scores for batch in evaluator.batches(lambda session: export.restore_model(
        session, os.path.join(evaluated, "model.ckpt-4"), evaluator.variables))
        for name, scores in zip(batch["id"], batch["predictions"])}
    assert len(evaluations) > 60
    for name, scores in evaluations.items():
        rated = scores > 0
        assert rated.sum() == 3
        np.testing.assert_allclose(scored[name][rated], scores[rated], atol=2e-7)


def test_a_cluster_ranks_as_one_process_does(inference_flags, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    runner.succeed("inference", output_file=here / "out.csv", **inference_flags)
    with dask_processes.Cluster(num_workers=2) as cluster:
        runner.succeed("inference", output_file=there / "out.csv", scheduler=cluster.address, **inference_flags)
    names = sorted(path.name for path in here.iterdir())
    assert names == ["out.csv", "out_shift-2.csv", "out_shift1.csv"]
    assert [(here / name).read_bytes() for name in names] == [(there / name).read_bytes() for name in names]


def test_the_saved_model_takes_segments_with_the_frames_around_them(evaluated, trained, data, predict):
    assert "the SavedModels have the signature features, and none of records" in trained[1]
    _, frames, context = around(data.holdout_videos[0], 0)
    videos = [0] * len(frames)
    with tf.Graph().as_default(), tf1.Session() as session:
        loaded = tf1.saved_model.load(session, ["serve"], os.path.join(evaluated, "export", "step_4"))
        signature = loaded.signature_def["features"]
        assert "serving_default" not in loaded.signature_def
        feed = {"rgb_and_audio": frames, "context_rgb_and_audio": [context], "video": videos}
        found = session.run(signature.outputs["predictions"].name,
                            {signature.inputs[name].name: value for name, value in feed.items()})
    np.testing.assert_allclose(found, predict(frames, [context], videos), atol=1e-6)


# Bad input.

WHOLE = "--model=ContextSegment sees segments and what is around them, not whole videos: add --segment_labels"


@pytest.mark.parametrize("changed, told", [
    (dict(segment_labels=False), WHOLE),
    (dict(init_context=None), "The context encoder is not trained, and has no weights: give it those of a trained "
                              "model by --init_context, or add --train_context."),
    (dict(init_context="{folder}/none"), "{folder}/none holds no checkpoint 'latest': it has none."),
    (dict(init_checkpoint="{encoder}/model.ckpt-2"), "--init_checkpoint gives weights to the whole model, and "
                                                     "--init_context to a part of it: give one of the two."),
    (dict(checkpoint_file="{encoder}/model.ckpt-2"), "Give either --checkpoint_file, to continue a training, or "
                                                     "--init_context, to begin one."),
    (dict(model="Bert"), "--init_context gives weights to an encoder of --model=ContextSegment: for --model=Bert give "
                         "--init_checkpoint."),
    (dict(context_encoder="NeXtVLAD", context_groups=2),
     "--init_context={encoder}/model.ckpt-2 holds a model with --model=Bert, and the context encoder has "
     "--context_encoder=NeXtVLAD: give the same."),
    (dict(context_bert_attention_heads=4),
     "holds a model with --bert_attention_heads=2, and the context encoder has --context_bert_attention_heads=4: "),
    (dict(context_encoder="NeXtVLAD", context_groups=2, init_context="{bare}/model.ckpt-2"),
     "{bare}/model.ckpt-2 holds none of the context encoder's "),
    (dict(context_bert_hidden_layer=2, init_context="{bare}"),
     "The context encoder keeps tower/context/encoder/layer_1/"),
    (dict(feature_names="rgb", feature_sizes="6"), "The context encoder keeps tower/context/encoder/layer_0/"),
    (dict(context_encoder="MoeModel"), "--context_encoder=MoeModel is unknown: choose one of Bert, "),
    (dict(context_bert_attention_heads=3), "--context_bert_attention_heads=3 does not divide the width 8 "),
    (dict(rate_factor="tower/context/.*=0.5"), "--rate_factor=tower/context/.*=0.5 matches the whole name of none of "),
    (dict(video_bert_hidden_layer=2), "Unknown command line flag 'video_bert_hidden_layer'")],
    ids=["whole_videos", "no_weights", "no_folder", "two_sources", "to_continue", "other_model", "other_encoder",
         "other_heads", "no_variables", "more_layers", "other_width", "no_encoder", "heads", "rate_factor", "prefix"])
def test_what_cannot_train_is_explained(flags, encoder, bare, tmp_path, changed, told):
    def filled(value):
        return value.format(encoder=encoder, bare=bare, folder=tmp_path) if isinstance(value, str) else value

    changed = {name: filled(value) for name, value in changed.items()}
    given = dict(flags, init_context=encoder, train_dir=tmp_path / "new", max_steps=2)
    code, errors = runner.run("train", **dict(given, **changed))
    assert code == 1 and filled(told) in errors and "Traceback" not in errors
    assert not os.path.exists(str(tmp_path / "new" / "model_flags.json"))


@pytest.mark.parametrize("program, pattern", [("eval", "eval_data_pattern"), ("inference", "input_data_pattern")])
def test_whole_videos_cannot_be_predicted(evaluated, data, tmp_path, program, pattern):
    given = {pattern: data.rated}
    if program == "inference":
        given["output_file"] = tmp_path / "out.csv"
    else:
        given["run_once"] = True
    code, errors = runner.run(program, train_dir=evaluated, holdout_shards=1, **given)
    assert code == 1 and WHOLE in errors and "Traceback" not in errors
    assert not list(tmp_path.iterdir())
