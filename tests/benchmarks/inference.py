"""Segments per second of inference.py against the forward pass alone, and of two workers of a cluster against one.

  python tests/benchmarks/inference.py [videos]

BERTMean(L2H12) with random weights on videos of 300 frames that the benchmark writes, one shift, 1,000 rated classes.
Runs alternate. Prints medians and ratios. Once per run, a cluster opens its sessions, and merges and writes its
results, which takes some 2 s. With fewer videos than the default 256, two workers therefore gain less.

  all classes        the forward pass on a constant batch, with all 3,862 classes
  forward pass       the same with the rated classes only
  inference.py       its loop: reading, scoring and collecting each class's best
  1 worker           a Dask cluster on this machine, of one process on one core, up to the CSV
  2 workers          the same with two processes on two cores
"""
import contextlib
import logging
import os
import statistics
import sys
import tempfile
import time

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np
import tensorflow as tf

from src import models
from src.common import sessions
from src.data import segments
from src.prediction import dask_cluster
from src.prediction import predictions
from src.prediction.scoring import Scorer
from src.trained import model_flags
from tests import records
from tests.programs import dask_processes

tf1 = tf.compat.v1
RUNS, VIDEOS, BATCH = 3, 256, 480
MODEL = dict(model="Bert", bert_hidden_layer=2, bert_attention_heads=12, pooling_strategy="mean")


def make_job(folder, videos, model):
    """A Job on new records, with a checkpoint of random weights; `model` is a dict like MODEL."""
    paths = records.write_shards(folder, num_shards=max(videos // 2, 1), videos=2, frames=300)
    hparams = {name: value for name, value in model.items() if name != "model"}
    values = dict(models.create(model["model"], **hparams).hparams, model=model["model"], frame_features=True,
                  feature_names="rgb,audio", feature_sizes="1024,128", label_loss="CrossEntropyLoss",
                  num_classes=records.NUM_CLASSES)
    classes = np.array(segments.read_label_ids("segment_label_ids.csv"))
    job = predictions.Job(
        paths, os.path.join(folder, "model"), values, predictions.Reading(300, BATCH, 8), shifts=[0], classes=classes,
        output=predictions.Output(True, 1000, 100000, None), options=sessions.PLAIN)
    scorer = Scorer(models.create(model["model"], **hparams), model_flags.create_reader(values), BATCH, 8, shifts=[0],
                    classes=classes)
    with scorer.variables[0].graph.as_default(), tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver(scorer.variables).save(session, job.checkpoint)
    return job


@contextlib.contextmanager
def forward_pass(classes):
    """Context of a function that scores a constant batch a number of times."""
    with tf.Graph().as_default(), tf1.Session() as session:
        batch = tf1.get_variable("batch", [BATCH, segments.SEGMENT_FRAMES, 1152], trainable=False)
        hparams = {name: value for name, value in MODEL.items() if name != "model"}
        scores = models.create(MODEL["model"], **hparams).create_model(
            batch, 3862, num_frames=tf.fill([BATCH], segments.SEGMENT_FRAMES), is_training=False,
            classes=classes)["predictions"]
        session.run(tf1.global_variables_initializer())
        yield lambda times: [session.run(scores) for _ in range(times)]


@contextlib.contextmanager
def workers_on(cores):
    """Context of a `dask_cluster.Cluster` with one worker on each of the cores."""
    with dask_processes.Cluster() as processes:
        for core in cores:
            processes.add_worker(core=core)
        with dask_cluster.connected(processes.address, 60) as here:
            yield here


def rate(num_segments, work, *args):
    """Segments per second."""
    start = time.perf_counter()
    work(*args)
    return num_segments / (time.perf_counter() - start)


def main():
    videos = int(sys.argv[1]) if len(sys.argv) > 1 else VIDEOS
    logging.getLogger("yt8m").setLevel(logging.ERROR)
    rates = {name: [] for name in ("all classes", "forward pass", "inference.py", "1 worker", "2 workers")}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        job = make_job(folder, videos, MODEL)
        output, num_segments = os.path.join(folder, "out.csv"), videos * 300 // segments.SEGMENT_FRAMES
        every, rated = (stack.enter_context(forward_pass(classes)) for classes in (None, job.classes))
        scorer = stack.enter_context(contextlib.closing(predictions.open_scorer(job)))
        beginning = job._replace(paths=job.paths[:8])
        predictions.best_segments(beginning, scorer.batches(beginning.paths))
        for times in every, rated:
            times(1)
        for _ in range(RUNS):
            found = [rate(3 * BATCH, every, 3), rate(3 * BATCH, rated, 3),
                     rate(num_segments, predictions.best_segments, job, scorer.batches(job.paths))]
            for cores in [0], [0, 1]:
                with workers_on(cores) as here:
                    here.predict(beginning, [output])
                    found.append(rate(num_segments, here.predict, job, [output]))
            for values, value in zip(rates.values(), found):
                values.append(value)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, floor in (("all classes", "all classes"), ("forward pass", "all classes"),
                        ("inference.py", "forward pass"), ("1 worker", "1 worker"), ("2 workers", "1 worker")):
        print("%-13s %6.0f segments/s (%.0f to %.0f), %.2f of %s" % (
            name, medians[name], min(rates[name]), max(rates[name]), medians[name] / medians[floor], floor))


if __name__ == "__main__":
    main()
