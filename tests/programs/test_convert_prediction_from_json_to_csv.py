"""convert_prediction_from_json_to_csv.py: a served model's predictions become a CSV like inference.py's."""
import glob
import json
import os
import types

import pytest
import tensorflow as tf

from src import convert_prediction_from_json_to_csv
from src.common.errors import InputError
from tests.programs import runner
from tests.programs.test_inference import parse_pairs

PROGRAM = "convert_prediction_from_json_to_csv"
GOOD = {"video_id": "ab", "class_indexes": [7, 3], "predictions": [0.5, 1e-7]}


def convert(folder):
    """Runs the program's main on a folder's results-*."""
    convert_prediction_from_json_to_csv.main(types.SimpleNamespace(
        json_prediction_files_pattern=str(folder / "results-*"), csv_output_file=str(folder / "out.csv")))


def served(folder, pattern):
    """The outputs of a SavedModel's signature for the records of shards, as in JSON."""
    records = [serialized for path in sorted(glob.glob(pattern))
               for serialized in tf.compat.v1.io.tf_record_iterator(path)]
    with tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], folder)
        signature = loaded.signature_def["serving_default"]
        found = session.run({name: output.name for name, output in signature.outputs.items()},
                            {signature.inputs["example_bytes"].name: records})
    return [{"video_id": video.decode(), "class_indexes": classes.tolist(), "predictions": scores.tolist()}
            for video, classes, scores in zip(*(found[name] for name in ("video_id", "class_indexes", "predictions")))]


def test_served_predictions_are_those_of_inference(trained, data, tmp_path):
    folder = str(tmp_path / "model")
    runner.succeed("average_checkpoints", train_dir=trained, checkpoints="6", output_dir=folder)
    runner.succeed("inference", train_dir=folder, input_data_pattern=data.test, output_file=tmp_path / "expected.csv")
    lines = served(os.path.join(trained, "export", "step_6"), data.test)
    assert len(lines) == len(data.test_videos)
    for name, part in ("00000", lines[:2]), ("00001", [{"instance": "", "prediction": line} for line in lines[2:4]]), (
            "00002", [{name: [value] for name, value in line.items()} for line in lines[4:]]):
        (tmp_path / ("prediction.results-%s-of-00003" % name)).write_text("\n".join(map(json.dumps, part)))
    runner.succeed(PROGRAM, json_prediction_files_pattern=tmp_path / "prediction.results-*",
                   csv_output_file=tmp_path / "out.csv")
    converted, expected = (parse_pairs(tmp_path / name) for name in ("out.csv", "expected.csv"))
    assert list(converted) == list(expected)
    for video, pairs in expected.items():
        for ours, served_ones in zip(zip(*pairs), zip(*converted[video])):
            assert served_ones == pytest.approx(ours, rel=6e-6)  # rounding depends on the batch's size


@pytest.mark.parametrize("line, told", [
    ("{", "is not a prediction with video_id"), ("[]", "is not a prediction"),
    ('{"error": "x"}', "is not a prediction"),
    (json.dumps(dict(GOOD, video_id="a,b")), "is not a prediction"),
    (json.dumps(dict(GOOD, video_id=3)), "is not a prediction"),
    (json.dumps(dict(GOOD, class_indexes=[7])), "is not a prediction"),
    (json.dumps(dict(GOOD, class_indexes=[7, 3.5])), "is not a prediction"),
    (json.dumps(dict(GOOD, predictions=[.5, float("nan")])), "is not a prediction"),
    (json.dumps(GOOD), 'the video "ab" was in an earlier line: give each result once.')])
def test_lines_that_are_not_predictions_are_named(tmp_path, line, told):
    (tmp_path / "results-0").write_text(json.dumps(GOOD) + "\n" + line + "\n")
    (tmp_path / "out.csv").write_text("of an earlier run")
    with pytest.raises(InputError) as error:
        convert(tmp_path)
    assert "results-0, line 2: " in str(error.value) and told in str(error.value)
    assert (tmp_path / "out.csv").read_text() == "of an earlier run"


def test_files_without_a_prediction_are_named(tmp_path):
    (tmp_path / "results-0").write_text("\n")
    with pytest.raises(InputError, match="The 1 files such as .*results-0 hold no prediction"):
        convert(tmp_path)
    assert not (tmp_path / "out.csv").exists()
