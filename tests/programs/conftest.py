"""Small frame-level records, and a model pre-trained, fine-tuned and evaluated on them."""
import collections
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from tests.programs import runner

RGB, AUDIO = 6, 2
FEATURES = dict(frame_features=True, feature_names="rgb,audio", feature_sizes="%d,%d" % (RGB, AUDIO))
MODEL = dict(FEATURES, model="FrameLevelLogisticModel")
CLASSES = [0, 7, 19, 200, 1500, 3861]  # with labels
RATED_CLASSES = CLASSES + [5, 6, 2222]  # segment_label_ids_file

Video = collections.namedtuple("Video", "id frames labels ratings")  # frames: uint8 [frames, RGB + AUDIO]
# Patterns of the records, the file of the RATED_CLASSES, and lists of Video.
Data = collections.namedtuple("Data", "folder train rated test label_ids holdout_videos test_videos")


def make_video(seed, num_frames):
    """A video with two labels; each segment is rated for three classes."""
    random = np.random.RandomState(seed)
    frames = random.randint(0, 256, (num_frames, RGB + AUDIO)).astype(np.uint8)
    ratings = [(start, label, random.randint(2)) for start in range(0, min(num_frames, 300) - 4, 5)
               for label in random.choice(CLASSES, 3, replace=False)]
    return Video(b"v%02d" % seed, frames, random.choice(CLASSES, 2, replace=False), ratings)


def serialized(video, labels=True, ratings=False):
    return records.frame_level(video.id, video.frames[:, :RGB], video.frames[:, RGB:],
                               video.labels if labels else None, video.ratings if ratings else None)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The records; with --holdout_shards=1, validate0000 is the holdout."""
    folder = tmp_path_factory.mktemp("data")
    videos = [make_video(seed, num_frames) for seed, num_frames in enumerate(
        [300, 12, 3, 7, 26, 310, 9, 4, 20, 11, 15, 6, 8, 30, 5, 13])]
    holdout, other, train, test = videos[:5], videos[5:9], videos[9:], videos[2:8]
    records.write(folder / "train0000.tfrecord", map(serialized, train[:4]))
    records.write(folder / "train0001.tfrecord", map(serialized, train[4:]))
    for name, part in (("validate0000", holdout), ("validate0001", other)):
        records.write(folder / (name + ".tfrecord"), [serialized(video, ratings=True) for video in part])
    for name, part in (("test0000", test[:3]), ("test0001", test[3:])):
        records.write(folder / (name + ".tfrecord"), [serialized(video, labels=False) for video in part])
    label_ids = folder / "label_ids.csv"
    label_ids.write_text("\n".join(["Index"] + [str(label) for label in sorted(RATED_CLASSES)]))
    train_pattern, rated, test_pattern = (str(folder / stem) + "*" for stem in ("train", "validate", "test"))
    return Data(str(folder), train_pattern, rated, test_pattern, str(label_ids), holdout, test)


@pytest.fixture(scope="session")
def trained(data, tmp_path_factory):
    """train_dir of a model pre-trained to step 4 and fine-tuned to step 6, saved every 2 steps."""
    folder = str(tmp_path_factory.mktemp("trained") / "model")
    common = dict(MODEL, train_dir=folder, batch_size=4, base_learning_rate=.01, num_epochs=0,
                  export_model_steps=2)
    runner.succeed("train", train_data_pattern=data.train, max_steps=4, **common)
    runner.succeed("train", train_data_pattern=data.rated, segment_labels=True, holdout_shards=1, max_steps=6,
                   **common)
    return folder


def fix_weights(checkpoint):
    """Replaces the model's variables in a checkpoint, and keeps the others."""
    reader, random = tf.train.load_checkpoint(checkpoint), np.random.RandomState(2)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name in sorted(reader.get_variable_to_shape_map()):
            value = reader.get_tensor(name)
            if name.endswith(("weights", "biases")):
                value = random.standard_normal(value.shape).astype("f4")
            tf.compat.v1.get_variable(name, initializer=value)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, checkpoint, write_state=False)


@pytest.fixture(scope="session")
def evaluated(trained, data, tmp_path_factory):
    """A copy of `trained` whose last checkpoint eval.py has evaluated on the holdout's segments.

    Its weights are fixed, so that no two scores are too close to order.
    """
    folder = str(tmp_path_factory.mktemp("evaluated") / "model")
    shutil.copytree(trained, folder)
    fix_weights(os.path.join(folder, "model.ckpt-6"))
    runner.succeed("eval", train_dir=folder, eval_data_pattern=data.rated, segment_labels=True, run_once=True,
                   holdout_shards=1, batch_size=30)
    return folder


@pytest.fixture
def model_dir(trained, tmp_path):
    """A copy of `trained` that a test may change."""
    return shutil.copytree(trained, str(tmp_path / "model"))
