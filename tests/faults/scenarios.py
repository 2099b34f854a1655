"""Programs to kill: what must be on disk after the kill, and after the next run."""
import contextlib
import csv
import glob
import json
import os
import re
import shutil
import time

import numpy as np
import tensorflow as tf

from src.common import atomic
from src.evaluation import ratings
from src.submission import ranked_csv
from src.trained import checkpoints
from tests import records
from tests.features import stand_ins
from tests.programs import runner

RGB, AUDIO = 1024, 128  # so that writing a checkpoint takes a while
FEATURES = dict(frame_features=True, feature_names="rgb,audio", feature_sizes="%d,%d" % (RGB, AUDIO))
LAST_STEP = 3


def leftovers(folder):
    """Paths of half-written files and folders below a folder."""
    return [os.path.join(top, name) for top, folders, names in os.walk(folder) for name in folders + names
            if name.endswith(".tmp") or "tempstate" in name]


def read_checkpoint(path):
    """{name: value}; fails if a variable cannot be read."""
    reader = tf.train.load_checkpoint(path)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


class Scenario(object):
    """A program on small data.

    Args:
      folder: a new one for the data, and for the outputs of an uninterrupted run in `reference`.
    """

    program = None

    def __init__(self, folder):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.prepare()
        self.reference = self.new_work("reference")
        runner.succeed(self.program, **self.flags(self.reference))
        self.check_finished(self.reference)

    def prepare(self):
        """Writes the data."""

    def new_work(self, name):
        """A folder for a run's outputs, as it is before the first run."""
        work = os.path.join(self.folder, name)
        os.makedirs(work)
        return work

    def flags(self, work):
        """The program's flags to write into a folder."""
        raise NotImplementedError

    def start(self, work):
        return runner.Run(self.program, **self.flags(work))

    def check_killed(self, work):
        """Asserts that a killed run's folder holds no output that is half-written."""
        raise NotImplementedError

    def check_finished(self, work):
        """Asserts that a finished run, killed before or not, has the outputs of an uninterrupted one."""
        raise NotImplementedError

    def finish(self, work):
        """Runs a killed program again, and asserts that its outputs are complete and no leftovers remain."""
        runner.succeed(self.program, **self.flags(work))
        self.check_finished(work)
        assert not leftovers(work), leftovers(work)


class Train(Scenario):
    """Writes a checkpoint and a SavedModel at every step, and keeps the newest two."""

    program = "train"

    def prepare(self):
        self._data = records.write(os.path.join(self.folder, "train0000.tfrecord"),
                                   [records.random_record(seed, 6) for seed in range(4)])

    def flags(self, work):
        return dict(FEATURES, model="FrameLevelLogisticModel", train_data_pattern=self._data, batch_size=4,
                    num_epochs=0, max_steps=LAST_STEP,
                    export_model_steps=1, max_to_keep=2, train_dir=os.path.join(work, "model"))

    def check_killed(self, work):
        model = os.path.join(work, "model")
        for step in checkpoints.steps(model):
            assert read_checkpoint(checkpoints.path(model, step))["global_step"] == step
        for saved in glob.glob(os.path.join(model, "export", "step_*")):
            assert os.path.exists(os.path.join(saved, "saved_model.pb"))
            read_checkpoint(os.path.join(saved, "variables", "variables"))

    def check_finished(self, work):
        model = os.path.join(work, "model")
        self.check_killed(work)
        # A kill after the last save leaves one checkpoint too many: the next run trains nothing and removes nothing.
        assert checkpoints.steps(model) in ([LAST_STEP - 1, LAST_STEP], [LAST_STEP - 2, LAST_STEP - 1, LAST_STEP])
        assert "step_%d" % LAST_STEP in os.listdir(os.path.join(model, "export"))


class Eval(Scenario):
    """Evaluates three checkpoints beside an inference model of an earlier evaluation."""

    program = "eval"

    def prepare(self):
        self._data = records.write(os.path.join(self.folder, "validate0000.tfrecord"),
                                   [records.random_record(seed, 12, rated=True) for seed in range(6)])
        self._model = os.path.join(self.folder, "model")
        runner.succeed("train", **dict(FEATURES, model="FrameLevelLogisticModel", train_data_pattern=self._data,
                                       batch_size=4, num_epochs=0, max_steps=3, export_model_steps=1,
                                       export_saved_models=False, segment_labels=True, holdout_shards=0,
                                       train_dir=self._model))
        runner.succeed("eval", train_dir=self._model, eval_data_pattern=self._data, run_once=True, holdout_shards=0)

    def new_work(self, name):
        work = super(Eval, self).new_work(name)
        shutil.copytree(self._model, os.path.join(work, "model"))
        return work

    def flags(self, work):
        return dict(train_dir=os.path.join(work, "model"), eval_data_pattern=self._data, segment_labels=True,
                    holdout_shards=0, checkpoint_timeout_secs=0)

    def _rows(self, work):
        with open(os.path.join(work, "model", "eval", "results.csv")) as stream:
            return [row for row in csv.DictReader(stream) if row["segment_labels"] == "True"]

    def check_killed(self, work):
        found = read_checkpoint(os.path.join(work, "model", "inference_model", "inference_model"))
        expected = read_checkpoint(checkpoints.path(os.path.join(work, "model"), found["global_step"]))
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name])
        assert {tuple(row.values()) for row in self._rows(work)} <= {
            tuple(row.values()) for row in self._rows(self.reference)} if hasattr(self, "reference") else True
        assert checkpoints.best(os.path.join(work, "model"))["step"] in (1, 2, 3)

    def check_finished(self, work):
        self.check_killed(work)
        rows = self._rows(work)
        assert sorted(row["step"] for row in rows) == ["1", "2", "3"]
        best = max(rows, key=lambda row: (float(row["map"]), -int(row["step"])))
        assert checkpoints.best(os.path.join(work, "model"))["step"] == int(best["step"])


class Inference(Eval):
    """Ranks segments into a CSV that replaces an older one."""

    program = "inference"

    def prepare(self):
        super(Inference, self).prepare()
        self._videos = records.write(os.path.join(self.folder, "test0000.tfrecord"),
                                     [records.random_record(seed, 300) for seed in range(8)])

    def new_work(self, name):
        work = Scenario.new_work(self, name)
        with open(os.path.join(work, "out.csv"), "w") as stream:
            stream.write("old\n")
        return work

    def flags(self, work):
        return dict(train_dir=self._model, input_data_pattern=self._videos, segment_labels=True, top_k=1000,
                    batch_size=60, output_file=os.path.join(work, "out.csv"))

    def check_killed(self, work):
        with open(os.path.join(work, "out.csv")) as stream:
            content = stream.read()
        assert content == "old\n" or self._is_whole(content)

    def _is_whole(self, content):
        lines = content.splitlines()
        return len(lines) == 1001 and all(line.count(":") == 8 * 60 for line in lines[1:])

    def check_finished(self, work):
        with open(os.path.join(work, "out.csv")) as stream, open(os.path.join(self.reference, "out.csv")) as expected:
            content = stream.read()
            assert self._is_whole(content) and content == expected.read()


class Tune(Scenario):
    """Tunes two models' weights."""

    program = "ensemble"

    def prepare(self):
        random, ids = np.random.RandomState(0), np.array([b"v%d:%d" % (video, start) for video in range(9)
                                                          for start in (0, 5, 10)])
        positive = random.rand(3, len(ids)) < .4
        for knowledge, model in enumerate(["a", "b"]):
            ranked_csv.write(os.path.join(self.folder, model + "_oof.csv"), [
                (label, ids[np.argsort(random.rand(len(ids)) - knowledge * positive[label])]) for label in range(3)])
        ratings.write_cache(os.path.join(self.folder, "labels.csv"), ratings.create(
            *zip(*[(name, label, positive[label, index]) for label in range(3) for index, name in enumerate(ids)])))

    def flags(self, work):
        return dict(mode="tune", input_files=os.path.join(self.folder, "*_oof.csv"), init_points=6, n_iter=6,
                    label_cache=os.path.join(self.folder, "labels.csv"), output_file=os.path.join(work, "weights.json"))

    def _outcome(self, work):
        """Weights, and logged points without their times."""
        with open(os.path.join(work, "weights.json")) as stream:
            weights = json.load(stream)
        points = []
        for path in sorted(glob.glob(os.path.join(work, "*_log*.json"))):
            with open(path) as stream:
                points.append([re.sub('"datetime": {.*}', "", line) for line in stream])
        return weights, points

    def check_killed(self, work):
        if os.path.exists(os.path.join(work, "weights.json")):
            assert self._outcome(work)[0] == self._outcome(self.reference)[0]

    def check_finished(self, work):
        assert self._outcome(work) == self._outcome(self.reference)
        assert [len(log) for log in self._outcome(work)[1]] == [12, 12]


class MakeRecords(Scenario):
    """Writes a partition into a folder that holds another one."""

    program = "make_records"

    def prepare(self):
        os.makedirs(os.path.join(self.folder, "features"))
        for number in range(20):
            np.savez(os.path.join(self.folder, "features", "v%02d.npz" % number),
                     rgb=np.full([30, RGB], number, np.uint8), audio=np.zeros([30, AUDIO], np.uint8))

    def new_work(self, name):
        work = super(MakeRecords, self).new_work(name)
        os.makedirs(os.path.join(work, "records"))
        with open(os.path.join(work, "records", "train0000.tfrecord"), "w") as stream:
            stream.write("old\n")
        return work

    def flags(self, work):
        return dict(features_dir=os.path.join(self.folder, "features"), partition="validate", num_shards=40,
                    output_dir=os.path.join(work, "records"))

    def _new(self, work):
        names = set(os.listdir(os.path.join(work, "records")))
        assert "train0000.tfrecord" in names
        return names - {"train0000.tfrecord"}

    def check_killed(self, work):
        assert self._new(work) in (set(), self._new(self.reference))

    def check_finished(self, work):
        assert 10 < len(self._new(work)) == len(self._new(self.reference))
        for name in self._new(work):
            with open(os.path.join(work, "records", name), "rb") as found, open(
                    os.path.join(self.reference, "records", name), "rb") as expected:
                assert found.read() == expected.read()

    def finish(self, work):
        if self._new(work):  # the kill came after the last step: a second run would refuse to overwrite
            for path in leftovers(work):
                assert os.path.basename(path).startswith(".records.")
            self.check_finished(work)
        else:
            super(MakeRecords, self).finish(work)


class Explore(Scenario):
    """Writes pages that replace older ones."""

    program = "explore"

    def prepare(self):
        ids = np.array([b"v%02d:%d" % (video, start) for video in range(30) for start in range(0, 300, 5)])
        ranked_csv.write(os.path.join(self.folder, "one_oof.csv"), [(label, ids) for label in range(20)])
        ratings.write_cache(os.path.join(self.folder, "labels.csv"), ratings.create(
            np.tile(ids[::9], 20), np.repeat(np.arange(20), len(ids[::9])), np.tile(np.arange(len(ids[::9])) % 2, 20)))

    def new_work(self, name):
        work = super(Explore, self).new_work(name)
        if hasattr(self, "reference"):
            shutil.copytree(os.path.join(self.reference, "pages"), os.path.join(work, "pages"))
        return work

    def flags(self, work):
        return dict(input_files=os.path.join(self.folder, "one_oof.csv"),
                    label_cache=os.path.join(self.folder, "labels.csv"), output_dir=os.path.join(work, "pages"))

    def check_killed(self, work):
        pages = os.path.join(work, "pages")
        with open(os.path.join(pages, "pages.json")) as stream:
            listed = json.load(stream)
        assert "data/class_19.js" in listed and "data/video_29.js" in listed and "index.html" in listed
        assert all(os.path.getsize(os.path.join(pages, path)) for path in listed)

    def check_finished(self, work):
        self.check_killed(work)


class Output(Scenario):
    """A program with one small output, which replaces an older one."""

    def new_work(self, name):
        work = super(Output, self).new_work(name)
        with open(os.path.join(work, "output"), "w") as stream:
            stream.write("old\n")
        return work

    def _contents(self, work):
        with open(os.path.join(work, "output")) as stream:
            return stream.read()

    def check_killed(self, work):
        assert self._contents(work) in ("old\n", self._contents(self.reference))

    def check_finished(self, work):
        assert self._contents(work) == self._contents(self.reference) != "old\n"


class CheckData(Output):
    """Reads shards and writes what it finds as JSON."""

    program = "check_data"

    def prepare(self):
        for number in range(8):
            records.write(os.path.join(self.folder, "train%04d.tfrecord" % number),
                          [records.random_record(seed, 100) for seed in range(8 * number, 8 * number + 8)])

    def flags(self, work):
        return dict(FEATURES, frame_features=None, data_pattern=os.path.join(self.folder, "train*"),
                    output_file=os.path.join(work, "output"))


class Convert(Output):
    """Turns predictions as JSON into a CSV."""

    program = "convert_prediction_from_json_to_csv"

    def prepare(self):
        with open(os.path.join(self.folder, "predictions.json"), "w") as stream:
            for video in range(20000):
                stream.write(json.dumps({"video_id": "v%05d" % video, "class_indexes": list(range(20)),
                                         "predictions": [.5] * 20}) + "\n")

    def flags(self, work):
        return dict(json_prediction_files_pattern=os.path.join(self.folder, "predictions.json"),
                    csv_output_file=os.path.join(work, "output"))


class SlowFiles(object):
    """`atomic` on a slow disk: small files stay half-written long enough to be seen."""

    @staticmethod
    @contextlib.contextmanager
    def replacing(*args):
        with atomic.replacing(*args) as stream:
            yield stream
            stream.flush()
            time.sleep(.1)


class Extract(Scenario):
    """Extracts the features of films, one after the other."""

    program = "extract_features"

    def start(self, work):
        return runner.Run(self.program, constants={("src.data.own_videos", "atomic"): SlowFiles}, **self.flags(work))

    def prepare(self):
        stand_ins.write_networks(os.path.join(self.folder, "networks"))
        os.makedirs(os.path.join(self.folder, "films"))
        for number in range(6):
            stand_ins.ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=%d" % (2 + number),
                             *stand_ins.tone(2 + number), "-c:v", "ffv1", "-c:a", "pcm_s16le",
                             os.path.join(self.folder, "films", "v%d.mkv" % number))

    def flags(self, work):
        return dict(videos=os.path.join(self.folder, "films", "*"), output_dir=os.path.join(work, "features"),
                    networks_dir=os.path.join(self.folder, "networks"), batch_size=2, num_decoders=1)

    def _features(self, work):
        """{name: {feature: array}} of what is written."""
        found = {}
        for path in glob.glob(os.path.join(work, "features", "*.npz")):
            with np.load(path) as arrays:
                found[os.path.basename(path)] = dict(arrays)
        return found

    def check_killed(self, work):
        expected = self._features(self.reference)
        for name, arrays in self._features(work).items():
            for feature, values in arrays.items():
                np.testing.assert_allclose(values, expected[name][feature], rtol=0, atol=1e-6)

    def check_finished(self, work):
        assert len(self._features(work)) == 6
        self.check_killed(work)


SCENARIOS = {"train": Train, "eval": Eval, "inference": Inference, "tune": Tune, "make_records": MakeRecords,
             "explore": Explore, "check_data": CheckData, "convert": Convert}
if shutil.which("ffmpeg"):
    SCENARIOS["extract"] = Extract
