"""train.py: the files it writes, how it continues, how it stops, alone and in a cluster."""
import csv
import glob
import json
import os
import shutil
import signal
import types

import numpy as np
import pytest
import tensorflow as tf

from src import train
from src.trained import checkpoints
from tests import records
from tests.programs import reference
from tests.programs import runner
from tests.programs.conftest import AUDIO
from tests.programs.conftest import CLASSES
from tests.programs.conftest import FEATURES
from tests.programs.conftest import MODEL
from tests.programs.conftest import RATED_CLASSES
from tests.programs.conftest import RGB
from tests.programs.conftest import serialized

tf1 = tf.compat.v1
VIDEO_LEVEL = dict(model="LogisticModel", feature_names="mean_rgb", feature_sizes="4", batch_size=4,
                   export_saved_models=False)
SMALL = dict(MODEL, batch_size=4, base_learning_rate=.01, export_saved_models=False)


def checkpoint(folder, step):
    return os.path.join(folder, "model.ckpt-%d" % step)


def variables(folder, step):
    """{name: value} of a checkpoint."""
    reader = tf.train.load_checkpoint(checkpoint(folder, step))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def summaries(folder):
    """{(step, tag): value} of a training's TensorBoard points."""
    path, = glob.glob(os.path.join(folder, "events.out.tfevents.*"))
    return {(event.step, value.tag): value.simple_value for event in tf1.train.summary_iterator(path)
            for value in event.summary.value}


def contents(folder):
    """{path: bytes} of all files below a folder."""
    paths = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    return {path: open(path, "rb").read() for path in paths}


@pytest.fixture(scope="module")
def video_level(tmp_path_factory):
    """Pattern of video-level records, 8 in all."""
    folder = tmp_path_factory.mktemp("video_level")
    random = np.random.RandomState(0)
    for shard in range(2):
        records.write(folder / ("train%04d.tfrecord" % shard), [
            records.video_level(b"v", random.randn(4), None, random.randint(0, 20, 2)) for _ in range(4)])
    return str(folder / "train*.tfrecord")


@pytest.fixture(scope="module")
def begun(video_level, tmp_path_factory):
    """train_dir of a video-level model with checkpoints of steps 1 and 2."""
    folder = str(tmp_path_factory.mktemp("begun") / "model")
    runner.succeed("train", train_data_pattern=video_level, train_dir=folder, num_epochs=0, export_model_steps=1,
                   max_steps=2, **VIDEO_LEVEL)
    return folder


# The files that training writes.


def test_every_checkpoint_is_kept_and_exported(trained):
    assert checkpoints.steps(trained) == [2, 4, 6]
    assert sorted(os.listdir(os.path.join(trained, "export"))) == ["step_2", "step_4", "step_6"]
    assert not glob.glob(os.path.join(trained, "**", "*tmp*"), recursive=True)
    assert not glob.glob(os.path.join(trained, "**", ".*"), recursive=True)


def test_older_checkpoints_are_removed_and_saved_models_left_out_if_asked(video_level, tmp_path):
    flags = dict(VIDEO_LEVEL, train_data_pattern=video_level, train_dir=tmp_path, num_epochs=0, export_model_steps=1)
    errors = runner.succeed("train", max_steps=3, max_to_keep=1, **dict(flags, export_saved_models=True))
    assert checkpoints.steps(str(tmp_path)) == [3]
    assert os.listdir(str(tmp_path / "export")) == ["step_3"]
    assert "disk: up to 2 more checkpoints, each of " in errors
    errors = runner.succeed("train", max_steps=6, **flags)
    assert checkpoints.steps(str(tmp_path)) == [3, 4, 5, 6]
    assert os.listdir(str(tmp_path / "export")) == ["step_3"]
    assert "disk: up to 3 more checkpoints, each of " in errors and "SavedModel" not in errors


def test_the_model_and_its_hyperparameters_are_recorded(trained):
    with open(os.path.join(trained, "model_flags.json")) as stream:
        assert json.load(stream) == dict(MODEL, label_loss="CrossEntropyLoss", num_classes=3862, iterations=5,
                                         l2_penalty=1e-8, sample_random_frames=True)


def test_fine_tuning_continues_weights_slots_and_step(trained):
    before, after = variables(trained, 4), variables(trained, 6)
    assert (before["global_step"], after["global_step"]) == (4, 6)
    # Adam's powers start as beta and are multiplied by it at each update.
    assert after["beta1_power"] == pytest.approx(.9 ** 7) and after["beta2_power"] == pytest.approx(.999 ** 7)
    weights = "tower/fully_connected/weights"
    assert 0 < np.abs(after[weights] - before[weights]).max() < .1
    # A second moment loses at most a thousandth of itself per update.
    assert before[weights + "/Adam_1"].max() > 0
    assert (after[weights + "/Adam_1"] >= .997 * before[weights + "/Adam_1"]).all()


def test_the_saved_model_maps_records_to_the_models_best_classes(trained, data):
    with tf1.Session() as session:
        loaded = tf1.saved_model.loader.load(session, ["serve"], os.path.join(trained, "export", "step_4"))
        signature = loaded.signature_def["serving_default"]
        examples = [serialized(video, labels=False) for video in data.holdout_videos]
        outputs = session.run({name: info.name for name, info in signature.outputs.items()},
                              {signature.inputs["example_bytes"].name: examples})
    assert set(outputs) == {"video_id", "class_indexes", "predictions"}
    assert outputs["video_id"].tolist() == [video.id for video in data.holdout_videos]
    model = reference.Model(checkpoint(trained, 4))
    each = zip(data.holdout_videos, outputs["class_indexes"], outputs["predictions"])
    for video, classes, predictions in each:
        expected = model.predict(reference.dequantized(video.frames), min(len(video.frames), 300))
        np.testing.assert_allclose(predictions, np.sort(expected)[:-21:-1], rtol=1e-5)
        np.testing.assert_allclose(predictions, expected[classes], rtol=1e-5)


# The files that training reads.


@pytest.mark.parametrize("flags, expected", [
    (dict(), ["train0000", "train0001"]),
    (dict(train_all=True), ["train0000", "train0001", "validate0001"]),
    (dict(train_data_pattern="rated", segment_labels=True), ["validate0001"]),
    (dict(train_data_pattern="rated", segment_labels=True, holdout_shards=0),
     ["validate0000", "validate0001"])])
def test_reads_the_training_part(data, flags, expected):
    values = dict(dict(train_data_pattern="train", train_valid_data_pattern=data.rated, train_all=False,
                       segment_labels=False, holdout_shards=1, num_folds=None, fold=None), **flags)
    values["train_data_pattern"] = getattr(data, values["train_data_pattern"])
    paths = train.training_paths(types.SimpleNamespace(**values))
    assert [os.path.splitext(os.path.basename(path))[0] for path in paths] == expected


def test_the_last_step_is_saved_if_the_data_end_before_max_steps(video_level, tmp_path):
    runner.succeed("train", train_data_pattern=video_level, train_dir=tmp_path, max_steps=100, num_epochs=1,
                   **dict(VIDEO_LEVEL, export_saved_models=True))
    assert checkpoints.steps(str(tmp_path)) == [2]
    assert os.listdir(str(tmp_path / "export")) == ["step_2"]


def test_masked_fine_tuning_leaves_unrated_classes_alone(data, tmp_path):
    runner.succeed("train", train_data_pattern=data.rated, segment_labels=True, mask_unrated_labels=True,
                   holdout_shards=1, train_dir=tmp_path, max_steps=3, optimizer="GradientDescentOptimizer",
                   learning_rate_decay=.5, learning_rate_decay_examples=4, **dict(SMALL, l2_penalty=0))
    changed = np.flatnonzero(variables(str(tmp_path), 3)["tower/fully_connected/biases"])
    assert len(changed) > 1 and set(changed) <= set(CLASSES)
    # The model had seen 8 examples before the third step.
    assert summaries(str(tmp_path))[3, "learning_rate"] == pytest.approx(.01 * .5 ** 2)
    assert {tag for step, tag in summaries(str(tmp_path)) if step == 3} == {
        "loss", "regularization_loss", "learning_rate", "examples_per_second", "Hit@1", "PERR", "GAP"}
    path, = glob.glob(str(tmp_path / "events.out.tfevents.*"))
    text, = [tf.make_ndarray(value.tensor).item().decode() for event in tf1.train.summary_iterator(path)
             for value in event.summary.value if value.tag == "flags/text_summary"]
    assert "**learning_rate_decay** | `0.5`" in text and "\nclip_gradient_norm | `1.0`" in text


def test_each_checkpoint_is_validated_on_the_way(data, evaluated, tmp_path):
    folder = shutil.copytree(evaluated, str(tmp_path / "model"))
    errors = runner.succeed(
        "train", train_data_pattern=data.train, train_dir=folder, max_steps=7, holdout_shards=1,
        valid_data_pattern=data.rated, valid_segment_labels=True, valid_checkpoint=6, **SMALL)
    with open(os.path.join(evaluated, "eval", "results.csv")) as stream:
        evaluation, = csv.DictReader(stream)
    expected = [("Hit@1", "hit_at_one"), ("PERR", "perr"), ("MAP", "map"), ("GAP", "gap"), ("loss", "loss")]
    assert "validation at step 6: %s\n" % ", ".join(
        "%s %.4f" % (name, float(evaluation[column])) for name, column in expected) in errors
    assert "validation at step 7: Hit@1 " in errors


# Starting again.


def test_max_steps_reached_before_says_so_and_changes_nothing(data, model_dir):
    before = contents(model_dir)
    errors = runner.succeed("train", train_data_pattern=data.train, train_dir=model_dir, max_steps=6, **SMALL)
    assert "model.ckpt-6 is at step 6 of --max_steps=6: nothing left to train." in errors
    assert contents(model_dir) == before


def test_contradicting_flags_stop_a_restart(data, model_dir):
    before = contents(model_dir)
    code, errors = runner.run("train", train_data_pattern=data.train, train_dir=model_dir, max_steps=8,
                              iterations=3, l2_penalty=.1, **SMALL)
    assert code == 1
    assert "--iterations=3 given, 5 recorded, --l2_penalty=0.1 given, 1e-08 recorded; pass --start" in errors
    assert contents(model_dir) == before


def test_a_new_model_removes_what_training_left_and_nothing_else(data, evaluated, tmp_path):
    folder = shutil.copytree(evaluated, str(tmp_path / "model"))
    os.makedirs(os.path.join(folder, "notes"))
    foreign = {os.path.join(folder, name) for name in ("notes/model.ckpt-6", "my_model.ckpt-6", "out.csv")}
    half = [".model_flags.json.elsewhere.77.tmp", ".inference_model.77.tmp", "model.ckpt-8.index.tempstate123",
            "model.ckpt-8.meta.tmp" + 32 * "a", "checkpoint.tmp" + 32 * "b", "export/.step_8.elsewhere.77.tmp"]
    for path in foreign | {os.path.join(folder, name) for name in half}:
        open(path, "w").close()
    runner.succeed("train", train_data_pattern=data.train, train_dir=folder, max_steps=1,
                   start_new_model=True, l2_penalty=.1, **dict(SMALL, export_saved_models=True))
    assert checkpoints.steps(folder) == [1]
    assert os.listdir(os.path.join(folder, "export")) == ["step_1"]
    assert not [name for name in os.listdir(folder) if "tmp" in name or "tempstate" in name]
    assert foreign < set(contents(folder))
    assert not {"eval", "inference_model", "best_checkpoint.json"} & set(os.listdir(folder))
    with open(os.path.join(folder, "model_flags.json")) as stream:
        assert json.load(stream)["l2_penalty"] == .1


def test_another_folders_checkpoint_can_be_continued(data, trained, tmp_path):
    runner.succeed("train", train_data_pattern=data.train, train_dir=tmp_path, max_steps=5,
                   checkpoint_file=checkpoint(trained, 4), **SMALL)
    assert checkpoints.steps(str(tmp_path)) == [5]
    assert variables(str(tmp_path), 5)["beta1_power"] == pytest.approx(.9 ** 6)


def test_another_optimizer_continues_the_weights(data, model_dir):
    errors = runner.succeed("train", train_data_pattern=data.train, train_dir=model_dir, max_steps=7,
                            custom_optimizer="radam", **SMALL)
    assert "model.ckpt-6 lacks 5 variables of the optimizer such as " in errors
    weights = "tower/fully_connected/weights"
    assert 0 < np.abs(variables(model_dir, 7)[weights] - variables(model_dir, 6)[weights]).max() < .1
    assert variables(model_dir, 7)["global_step"] == 7


# Stopping.


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_the_current_step(video_level, tmp_path, number, code):
    with runner.Run("train", train_data_pattern=video_level, train_dir=tmp_path, num_epochs=0,
                    export_model_steps=10 ** 6, **VIDEO_LEVEL) as run:
        run.wait_to_say("training: 1 steps")
        os.kill(run.pid, number)
        assert run.wait() == code
    step, = checkpoints.steps(str(tmp_path))
    assert variables(str(tmp_path), step)["global_step"] == step > 0


def test_a_killed_run_resumes_at_its_last_checkpoint(video_level, tmp_path):
    flags = dict(VIDEO_LEVEL, train_data_pattern=video_level, train_dir=tmp_path, num_epochs=0,
                 export_model_steps=5)
    with runner.Run("train", **flags) as run:
        run.wait_for(lambda: len(checkpoints.steps(str(tmp_path))) > 1)
        code, errors = runner.run("train", start_new_model=True, **flags)  # a second training is refused meanwhile
        assert code == 1 and "--train_dir=%s: process %d on " % (tmp_path, run.pid) in errors.splitlines()[-1]
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait() != 0
    last = checkpoints.steps(str(tmp_path))[-1]
    errors = runner.succeed("train", max_steps=last + 1, **flags)
    assert "continues from " + checkpoint(str(tmp_path), last) + "\n" in errors
    values = variables(str(tmp_path), last + 1)
    assert values["global_step"] == last + 1
    assert values["beta2_power"] == pytest.approx(.999 ** (last + 2), rel=1e-4)


@pytest.mark.parametrize("flags, what", [
    (dict(train_data_pattern="nan"), "The loss is nan at step "),
    (dict(optimizer="GradientDescentOptimizer", base_learning_rate=1e39, clip_gradient_norm=0),
     "A variable is no longer finite at step 3")], ids=["loss", "variables"])
def test_divergence_stops_training_and_keeps_the_last_good_checkpoint(video_level, begun, tmp_path, flags, what):
    folder = shutil.copytree(begun, str(tmp_path / "model"))
    if flags.get("train_data_pattern"):
        flags["train_data_pattern"] = records.write(
            tmp_path / "train0000.tfrecord", [records.video_level(b"v", [np.nan] * 4, None, [1])] * 4)
    code, errors = runner.run("train", max_steps=9, **dict(
        dict(VIDEO_LEVEL, train_data_pattern=video_level, train_dir=folder, num_epochs=0, export_model_steps=1),
        **flags))
    assert code == 1 and "Traceback" not in errors
    sentences = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(sentences) == 1 and sentences[0].startswith("error: " + what)
    assert sentences[0].endswith(
        "the last good checkpoint: %s. Lower --base_learning_rate." % checkpoint(folder, 2))
    assert checkpoints.steps(folder) == [1, 2]
    assert all(np.isfinite(value).all() for value in variables(folder, 2).values())


def test_checkpoints_travel_between_runs_with_and_without_mixed_precision(video_level, begun, tmp_path):
    folder = shutil.copytree(begun, str(tmp_path / "model"))
    common = dict(VIDEO_LEVEL, train_data_pattern=video_level, train_dir=folder, num_epochs=0)
    for step, gpu_flags in (3, dict(mixed_precision=True, xla=True)), (4, dict(mixed_precision=True)), (5, {}):
        said = runner.succeed("train", max_steps=step, **dict(common, **gpu_flags))
        assert ("such as current_loss_scale: they start afresh" in said) == (step == 3), said
    names = [set(variables(folder, step)) for step in (2, 3, 4, 5)]
    assert names[0] == names[3] and names[1] == names[2] == names[0] | {"current_loss_scale", "good_steps"}


# In a cluster.


def test_master_worker_and_parameter_server_train_together(video_level, tmp_path):
    cluster = {job: [address] for job, address in zip(("master", "worker", "ps"), runner.free_addresses(3))}

    def start(job):
        tf_config = json.dumps({"cluster": cluster, "task": {"type": job, "index": 0}})
        return runner.Run("train", tf_config=tf_config, train_data_pattern=video_level, train_dir=tmp_path,
                          num_epochs=0, max_steps=500, export_model_steps=10 ** 6,
                          **dict(VIDEO_LEVEL, export_saved_models=True))

    with start("ps") as ps, start("master") as master:
        master.wait_to_say("training: 1 ")
        os.kill(master.pid, signal.SIGSTOP)  # so that the worker makes the steps
        with start("worker") as worker:
            worker.wait_to_say("step 500 is done: waiting for the chief to save it")
            os.kill(master.pid, signal.SIGCONT)
            for task in worker, master, ps:
                assert task.wait() == 0, task.errors
    step, = checkpoints.steps(str(tmp_path))
    assert step >= 500 and variables(str(tmp_path), step)["global_step"] == step
    assert os.listdir(str(tmp_path / "export")) == ["step_%d" % step]


@pytest.mark.parametrize("moment, max_steps", [("training: ", None), ("waiting for the chief to save it", 300)],
                         ids=["while it trains", "before it saves the last step"])
def test_the_other_tasks_end_with_an_error_when_the_chief_is_gone(video_level, tmp_path, moment, max_steps):
    cluster = {job: [address] for job, address in zip(("chief", "worker", "ps"), runner.free_addresses(3))}

    def start(job):
        tf_config = json.dumps({"cluster": cluster, "task": {"type": job, "index": 0}})
        return runner.Run("train", tf_config=tf_config, train_data_pattern=video_level, train_dir=tmp_path,
                          num_epochs=0, max_steps=max_steps, export_model_steps=10 ** 6,
                          constants={("src.training.tf_cluster", "GONE_SECONDS"): 2.0}, **VIDEO_LEVEL)

    with start("ps") as ps, start("chief") as chief:
        chief.wait_to_say("training: ")
        if max_steps:
            os.kill(chief.pid, signal.SIGSTOP)  # so that the worker makes the last steps
        with start("worker") as worker:
            worker.wait_to_say(moment)
            chief.kill()
            for task in worker, ps:
                assert task.wait() == 1 and "Traceback" not in task.errors
                assert "error: The chief at %s is gone: training ends" % cluster["chief"][0] in task.errors


@pytest.mark.parametrize("kind, sentence", [
    ("empty", "hold no example: check the patterns"),
    ("unrated", "hold no example: check the patterns, and with --segm"),
    ("unlabelled", "has a label: labels come with the train and validate partitions, not with test.")])
def test_a_pass_without_examples_is_the_last(tmp_path, kind, sentence):
    rgb, audio = np.zeros([5, RGB], np.uint8), np.zeros([5, AUDIO], np.uint8)
    videos = [records.frame_level(b"v%d" % video, rgb, audio, None if kind == "unlabelled" else [3])
              for video in range(3)] * (kind != "empty")
    pattern = records.write(tmp_path / "train0000.tfrecord", videos)
    code, errors = runner.run("train", train_data_pattern=pattern, train_dir=tmp_path / "model", num_epochs=0,
                              holdout_shards=0, segment_labels=kind == "unrated", **SMALL)
    assert code == 1 and sentence in errors
    assert not os.path.exists(str(tmp_path / "model"))


def test_a_task_that_waits_for_its_cluster_can_be_stopped(video_level, tmp_path):
    cluster = {job: [address] for job, address in zip(("master", "worker", "ps"), runner.free_addresses(3))}
    tf_config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}})
    with runner.Run("train", tf_config=tf_config, train_data_pattern=video_level, train_dir=tmp_path,
                    max_steps=1, **VIDEO_LEVEL) as waiting:
        waiting.wait_to_say("training LogisticModel")
        os.kill(waiting.pid, signal.SIGTERM)
        assert waiting.wait() == 128 + signal.SIGTERM


def test_a_task_without_others_trains_alone(video_level, tmp_path):
    tf_config = json.dumps({"cluster": {"master": ["localhost:1"]}, "task": {"type": "master", "index": 0}})
    runner.succeed("train", tf_config=tf_config, train_data_pattern=video_level, train_dir=tmp_path,
                   max_steps=1, **VIDEO_LEVEL)
    assert checkpoints.steps(str(tmp_path)) == [1]


def test_describe_needs_no_data_and_leaves_nothing(tmp_path):
    folder = str(tmp_path / "model")
    text = runner.output_of("train", describe=True, **dict(MODEL, train_dir=folder, batch_size=4))
    weights = (RGB + AUDIO + 1) * 3862
    assert "{:,} parameters".format(weights) in text and "batch_size 4, 5 frames each" in text
    assert not os.path.exists(folder)


def weights_after(folder, data, seed):
    """{name: value} of all variables after some steps that sample random frames and drop units."""
    runner.succeed("train", **FEATURES, train_dir=str(folder), train_data_pattern=data.train, model="Bert", seed=seed,
                   bert_hidden_layer=1, bert_attention_heads=2, iterations=4, bert_dropout_prob=.5, batch_size=4,
                   video_level_classifier_model="LogisticModel", num_epochs=0, max_steps=4, export_saved_models=False)
    return variables(str(folder), 4)


def test_a_seed_repeats_a_training_to_the_last_bit(data, tmp_path):
    once, again, other = (weights_after(tmp_path / str(number), data, seed) for number, seed in enumerate([3, 3, 4]))
    assert all(np.array_equal(once[name], again[name]) for name in once) and len(once) > 20
    query = "tower/encoder/layer_0/attention/self/query/kernel"
    assert not np.array_equal(once[query], other[query])


def test_weak_negatives_train_through_the_flags(data, trained, tmp_path):
    """Fine-tuning leaves classes alone that are neither rated nor weak negatives."""
    def biases(folder, step):
        return variables(folder, step)["tower/fully_connected/biases"]

    def fine_tuned(name, **flags):
        runner.succeed("train", **dict(
            SMALL, train_dir=str(tmp_path / name), train_data_pattern=data.rated, segment_labels=True, holdout_shards=1,
            max_steps=6, num_epochs=0, l2_penalty=0, optimizer="GradientDescentOptimizer",
            checkpoint_file=checkpoint(trained, 4), **flags))
        return biases(str(tmp_path / name), 6) - biases(trained, 4)

    weak = fine_tuned("weak", negative_weight=10, segment_label_ids_file=data.label_ids)
    listed = np.isin(np.arange(records.NUM_CLASSES), RATED_CLASSES)
    assert np.all(weak[~listed] == 0) and np.all(weak[[5, 6, 2222]] < 0)
    assert np.all(fine_tuned("published")[~listed] < 0)


@pytest.mark.parametrize("flags, told", [
    (dict(seed=-1), "seed"), (dict(negative_weight=-1), "negative_weight"), (dict(warmup_steps=-1), "warmup_steps"),
    (dict(learning_rate_schedule="flat"), "learning_rate_schedule"),
    (dict(negative_weight=1), "--negative_weight weighs ratings of segments: add --segment_labels, or leave it out."),
    (dict(learning_rate_schedule="cosine"), "--learning_rate_schedule=cosine decays the learning rate to zero")])
def test_flags_beyond_the_published_recipe_are_checked(video_level, tmp_path, flags, told):
    code, errors = runner.run("train", train_dir=str(tmp_path / "model"), train_data_pattern=video_level,
                              **dict(VIDEO_LEVEL, **flags))
    assert code == 1 and told in errors and not (tmp_path / "model").exists()
