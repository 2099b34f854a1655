"""What `test_both_tensorflows` has the programs of each TensorFlow do: python -m tests.programs.both_tensorflows .."""
import os
import shutil
import sys

import numpy as np
import tensorflow as tf

from tests import records
from tests.programs import runner

tf1 = tf.compat.v1
VIDEOS, FRAMES, SEGMENTS = 6, 10, 2  # per shard, video, video
MODEL = dict(model="GatedNetVLAD", netvlad_cluster_size=4, netvlad_hidden_size=16, gating=True, frame_features=True,
             feature_names="rgb,audio", feature_sizes="1024,128", video_level_classifier_model="LogisticModel",
             sample_random_frames=False)  # so that a step depends on the weights and the data alone
LABELS = [3, 70, 3861]


def write_inputs(folder):
    """Writes a shard whose segments are all rated, and two rankings of them."""
    random = np.random.RandomState(0)
    records.write(os.path.join(folder, "validate0000.tfrecord"), [records.frame_level(
        b"v%03d" % video, *records.random_frames(video, FRAMES), ratings=[
            (start, label, random.randint(2)) for start in (0, 5) for label in LABELS]) for video in range(VIDEOS)])
    with open(os.path.join(folder, "label_ids.csv"), "w") as stream:
        stream.write("\n".join(["Index"] + list(map(str, LABELS))))
    ids = ["v%03d:%d" % (video, start) for video in range(VIDEOS) for start in (0, 5)]
    for name in "one_oof.csv", "two_oof.csv":
        with open(os.path.join(folder, name), "w") as stream:
            stream.write("".join(["Class,Segments\n"] + [
                "%d,%s\n" % (label, " ".join(random.permutation(ids))) for label in LABELS]))


def train(folder, model, step):
    """Trains a model from `step` - 1 to `step`: the only batch of an epoch holds all segments."""
    runner.succeed("train", train_dir=os.path.join(folder, model), segment_labels=True, num_epochs=1, num_readers=1,
                   holdout_shards=0, batch_size=VIDEOS * SEGMENTS, max_steps=step, base_learning_rate=.01,
                   train_data_pattern=os.path.join(folder, "validate*"), **MODEL)


def tune(folder, log, points):
    """Tunes a blend of the two rankings, with a log."""
    runner.succeed("ensemble", mode="tune", input_files=os.path.join(folder, "*_oof.csv"), init_points=2,
                   n_iter=points - 2, eval_data_pattern=os.path.join(folder, "validate*"), holdout_shards=0,
                   tune_split=False, output_file=os.path.join(folder, log + ".json"),
                   log_file=os.path.join(folder, log))


def begin(folder, side):
    """Makes the model of a side: trains a step, evaluates, and begins to tune."""
    train(folder, side, 1)
    runner.succeed("eval", holdout_shards=0, train_dir=os.path.join(folder, side), segment_labels=True, run_once=True,
                   eval_data_pattern=os.path.join(folder, "validate*"), batch_size=VIDEOS * SEGMENTS)
    tune(folder, side + "_log", 4)


def go_on(folder, side, model):
    """Takes a model that either side began as far as this side goes: into copies with both names."""
    name = "%s_of_%s" % (side, model)
    shutil.copytree(os.path.join(folder, model), os.path.join(folder, name))
    for step in 2, 3:
        train(folder, name, step)
    serve(os.path.join(folder, model, "export", "step_1"), folder, name)
    for score in False, True:
        runner.succeed("inference", train_dir=os.path.join(folder, model), segment_labels=True, output_prob=score,
                       holdout_shards=0,
                       segment_label_ids_file=os.path.join(folder, "label_ids.csv"), top_k=VIDEOS * SEGMENTS,
                       input_data_pattern=os.path.join(folder, "validate*"),
                       output_file=os.path.join(folder, name + ("_scores.csv" if score else ".csv")))
    shutil.copy(os.path.join(folder, model + "_log"), os.path.join(folder, name + "_log"))
    tune(folder, name + "_log", 6)


def serve(saved_model, folder, name):
    """Saves the outputs of a SavedModel for the records."""
    examples = list(tf1.io.tf_record_iterator(os.path.join(folder, "validate0000.tfrecord")))
    with tf.Graph().as_default(), tf1.Session() as session:
        signature = tf1.saved_model.loader.load(session, ["serve"], saved_model).signature_def["serving_default"]
        outputs = session.run({key: info.name for key, info in signature.outputs.items()},
                              {signature.inputs["example_bytes"].name: examples})
    np.savez(os.path.join(folder, name + ".npz"), **dict(outputs, video_id=outputs["video_id"].astype("S")))


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    {"begin": begin, "go_on": go_on}[what](*words)
