"""Forward passes and training steps of three published models on TensorFlow 2 against TensorFlow 1.15.

  python tests/benchmarks/runtimes.py [rounds]

Needs both environments, .venv and .venv-tf2; any of their Pythons runs it. Each round measures one environment and then
the other one, each in a process of its own, on segments of five frames (forward pass) and on as many frames per video
as the model samples (training step, with Adam). Prints the median milliseconds of both, and how many times as fast
TensorFlow 2 is.
"""
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    importlib.import_module("src")  # quiets TensorFlow, which loads next

import numpy as np
import tensorflow as tf

from src import models
from src.common import sessions
from src.data import forms
from src.data import readers
from src.trained import checkpoints
from src.trained import forward
from src.training import losses
from src.training import towers

tf1 = tf.compat.v1
PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENVIRONMENTS = {"1.15": ".venv", "2": ".venv-tf2"}
ROUNDS, STEPS, SEGMENTS, VIDEOS = 3, 3, 96, 8  # the last two: per forward pass, per training step
MODELS = {
    "BERTMean(L2H12)": ("Bert", dict(bert_hidden_layer=2, bert_attention_heads=12, pooling_strategy="mean")),
    "GatedNetVLAD(H1024C16)": ("GatedNetVLAD", dict(netvlad_hidden_size=1024, netvlad_cluster_size=16, gating=True,
                                                    moe_prob_gating=True)),
    "MixNeXtVLAD(Iter 60)": ("MixNeXtVLAD", dict(iterations=60, mix_number=3, groups=8, nextvlad_cluster_size=112,
                                                 nextvlad_hidden_size=2048, expansion=2,
                                                 video_level_classifier_model="LogisticModel")),
}


def milliseconds(session, fetched):
    """Median milliseconds of a run of a session, after one that is not counted."""
    session.run(fetched)
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        session.run(fetched)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def frames_of(shape):
    """A constant batch of dequantized features, as a variable that no optimizer changes."""
    return tf1.get_variable("frames", initializer=np.random.RandomState(0).randn(*shape).astype("f4"), trainable=False)


def of_forward_pass(model, reader):
    with tf.Graph().as_default(), tf1.Session(config=sessions.config()) as session:
        predictions = forward.build(model, reader, frames_of([SEGMENTS, 5, forms.FRAME_BYTES]),
                                    tf.fill([SEGMENTS], 5))["predictions"]
        session.run(tf1.global_variables_initializer())
        return milliseconds(session, predictions.op)


def of_training_step(model, reader):
    frames = model.hparams.get("iterations", 5)
    with tf.Graph().as_default(), tf1.Session(config=sessions.config()) as session:
        checkpoints.create_global_step()
        batch = {"frames": tf.fill([VIDEOS, frames, forms.FRAME_BYTES], tf.constant(100, tf.uint8)),
                 "frame_valid": tf.fill([VIDEOS, frames], True), "num_frames": tf.fill([VIDEOS], frames),
                 "labels": tf.SparseTensor([[video, video] for video in range(VIDEOS)], [1.0] * VIDEOS,
                                           [VIDEOS, forms.NUM_CLASSES])}
        graph = towers.build(model, reader, lambda: dict(batch), [None],
                             losses.Objective(losses.create("CrossEntropyLoss")),
                             towers.Updates(lambda step: (tf1.train.AdamOptimizer(1e-4), None)))
        session.run(tf1.global_variables_initializer())
        return milliseconds(session, graph.train_op)


def measure():
    """Prints {model: [milliseconds of a forward pass, of a training step]} of this process's TensorFlow as JSON."""
    reader = readers.create("rgb,audio", "1024,128", True, num_classes=forms.NUM_CLASSES)
    found = {}
    for title, (name, hparams) in MODELS.items():
        model = models.create(name, **hparams)
        found[title] = [of_forward_pass(model, reader), of_training_step(model, reader)]
    print(json.dumps(found))


def processor():
    """The processor's name."""
    with open("/proc/cpuinfo") as stream:
        return next((line.split(":")[1].strip() for line in stream if line.startswith("model name")),
                    platform.processor())


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    rows = {name: [] for name in ENVIRONMENTS}
    for _ in range(rounds):
        for name, environment in ENVIRONMENTS.items():
            rows[name].append(json.loads(subprocess.check_output(
                [os.path.join(PROJECT, environment, "bin", "python"), __file__, "--measure"])))
    print("%s, %d cores, %d rounds" % (processor(), os.cpu_count(), rounds))
    for title in MODELS:
        for number, what in enumerate(["forward pass", "training step"]):
            old, new = (statistics.median(row[title][number] for row in rows[name]) for name in ENVIRONMENTS)
            print("%-24s %-14s 1.15: %7.1f ms, 2: %7.1f ms, %.2f times as fast" % (title, what, old, new, old / new))


if __name__ == "__main__":
    if sys.argv[1:] == ["--measure"]:
        measure()
    else:
        main()
