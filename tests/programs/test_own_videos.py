"""From features of your own videos, with your own classes, to ranked segments: each program in turn."""
import csv
import json
import runpy
import sys

import numpy as np
import pytest

from src.data import writing
from src.prediction import video_csv
from src.submission import ranked_csv
from src.trained import checkpoints
from tests.programs import reference
from tests.programs import runner

CLASSES, VIDEOS, SECONDS = 6, 40, 40
RGB, AUDIO = 128, 32
FEATURES = dict(feature_names="rgb,audio", feature_sizes="%d,%d" % (RGB, AUDIO))
BERT = dict(model="Bert", bert_hidden_layer=1, bert_attention_heads=4, video_level_classifier_model="LogisticModel",
            frame_features=True, batch_size=32, base_learning_rate=.001, num_epochs=0, export_saved_models=False)


@pytest.fixture(scope="module", name="own")
def own_videos(tmp_path_factory):
    """A folder with one .npz per video, in which two classes come and go, and files of the labels and all ratings."""
    folder, random = tmp_path_factory.mktemp("own"), np.random.RandomState(7)
    prototypes = .5 * random.standard_normal([CLASSES, RGB + AUDIO]).astype("f4")
    (folder / "features").mkdir()
    with (folder / "labels.csv").open("w") as labels, (folder / "ratings.csv").open("w") as ratings, (
            folder / "labels_of_3862.csv").open("w") as many:
        for number in range(VIDEOS):
            active = np.zeros([SECONDS // 5, CLASSES])
            for label in random.choice(CLASSES, 2, replace=False):
                active[random.choice(SECONDS // 5, 3, replace=False), label] = 1
            values = np.repeat(active, 5, axis=0) @ prototypes + .5 * random.standard_normal([SECONDS, RGB + AUDIO])
            np.savez(str(folder / "features" / ("own%02d.npz" % number)), rgb=values[:, :RGB], audio=values[:, RGB:])
            shown = np.flatnonzero(active.any(axis=0))
            labels.write("own%02d,%s\n" % (number, ";".join(map(str, shown))))
            many.write("own%02d,%s\n" % (number, ";".join(str(500 * label + 3) for label in shown)))
            for segment, label in np.ndindex(*active.shape):
                ratings.write("own%02d:%d,%d,%d\n" % (number, 5 * segment, label, active[segment, label]))
    config = {"intermediate_size": 16, "initializer_range": .02, "max_position_embeddings": 5}
    (folder / "bert_config.json").write_text(json.dumps(config))
    return folder


def run_saved_model_cli(words):
    sys.argv = ["saved_model_cli"] + words
    runpy.run_module("tensorflow.python.tools.saved_model_cli", run_name="__main__")


def check_served_features(own, video):
    """saved_model_cli scores the segments of a video from its features, as inference.py did from its records."""
    with np.load(str(own / "features" / (video + ".npz"))) as given:
        stored = writing.quantize(np.concatenate([given["audio"], given["rgb"]], axis=1))
    frames = reference.dequantized(stored, SECONDS)
    np.save(str(own / "segments.npy"), frames.reshape(SECONDS // 5, 5, AUDIO + RGB).astype("f4"))
    np.save(str(own / "lengths.npy"), np.full(SECONDS // 5, 5, np.int32))
    words = ["run", "--dir", str(own / "model" / "export" / "step_60"), "--tag_set", "serve", "--signature_def",
             "features", "--inputs", "audio_and_rgb=%s;num_frames=%s" % (own / "segments.npy", own / "lengths.npy"),
             "--outdir", str(own / "served")]
    with runner.Process(run_saved_model_cli, words) as process:
        assert process.wait() == 0, process.errors
    _, labels, scores = video_csv.read_video(str(own / "classes.csv"), video.encode())
    assert labels.tolist() == list(range(CLASSES))
    np.testing.assert_allclose(np.load(str(own / "served" / "predictions.npy")), scores, atol=2e-6)


def test_from_features_to_ranked_segments(own):
    made, bert = dict(FEATURES, features_dir=own / "features", output_dir=own / "records"), dict(
        BERT, bert_config_file=own / "bert_config.json")
    runner.succeed("make_records", labels_file=own / "labels_of_3862.csv", num_shards=2, **made)
    runner.succeed("train", train_dir=own / "pretrained", train_data_pattern=own / "records/train*", max_steps=2,
                   **dict(bert, **FEATURES))
    runner.succeed("make_records", labels_file=own / "labels.csv", ratings_file=own / "ratings.csv",
                   num_classes=CLASSES, partition="validate", num_shards=8, **made)
    rated = str(own / "records" / "validate*")
    errors = runner.succeed(
        "train", train_dir=own / "model", train_data_pattern=rated, segment_labels=True, holdout_shards=2,
        num_classes=CLASSES, max_steps=60, init_checkpoint=own / "pretrained" / "model.ckpt-2",
        feature_names="audio,rgb", feature_sizes="%d,%d" % (AUDIO, RGB), **dict(bert, export_saved_models=True))
    assert "16 of the model's 18 variables begin as in %s" % (own / "pretrained" / "model.ckpt-2") in errors
    assert "the others begin afresh: tower/fully_connected/weights [160, 6] ([160, 3862] there), tower/full" in errors
    assert checkpoints.steps(str(own / "model")) == [60]

    holdout = dict(train_dir=own / "model", segment_labels=True, holdout_shards=2, batch_size=64)
    runner.succeed("eval", eval_data_pattern=rated, run_once=True, **holdout)
    with open(str(own / "model" / "eval" / "results.csv")) as stream:
        row, = csv.DictReader(stream)
    runner.succeed("inference", input_data_pattern=rated, output_file=own / "ranked.csv", **holdout)
    ranked = ranked_csv.read(str(own / "ranked.csv"))
    assert sorted(ranked) == list(range(CLASSES))
    output = runner.output_of("segment_eval_inference", submission_file=own / "ranked.csv", eval_data_pattern=rated,
                              holdout_shards=2, num_classes=CLASSES)
    mean = float(output.split()[1])
    chance = 2 * 3 / (CLASSES * SECONDS / 5)
    assert mean > .8 > 5 * chance and "over 6 classes" in output
    assert float(row["map"]) == pytest.approx(mean, abs=.02)  # equal scores may be in any order

    (own / "names.csv").write_text("Index,Name\n" + "".join("%d,own %d\n" % (label, label) for label in range(CLASSES)))
    runner.succeed("inference", input_data_pattern=rated, output_prob=True, top_k=CLASSES,
                   vocabulary_file=own / "names.csv", output_file=own / "classes.csv", **holdout)
    with open(str(own / "classes.csv")) as stream:
        for row in csv.DictReader(stream):
            assert row["Names"] == ";".join("own " + label for label in row["LabelConfidencePairs"].split(" ")[::2])
    video = ranked[0][0].split(b":")[0]
    check_served_features(own, video.decode())
    starts, labels, scores = video_csv.read_video(str(own / "classes.csv"), video)
    assert starts.tolist() == list(range(0, SECONDS, 5)) and labels.tolist() == list(range(CLASSES))
