"""Segments per second of a ContextSegment in inference against the forward passes of its two encoders alone.

  python tests/benchmarks/context.py [videos]

BERTMean(L2H12) encoders with random weights on videos of 300 frames that the benchmark writes, one shift, 1,000 rated
classes. Runs alternate. Prints medians and ratios.

  two encoders       the forward passes on constant batches: segments of 11 frames, and 150 frames of context per video
  inference.py       its loop: reading, scoring and collecting each class's best
  per segment        the forward passes with a context per segment: what the contexts would cost if they were not shared
"""
import contextlib
import logging
import os
import statistics
import sys
import tempfile

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tensorflow as tf

from src import models
from src.data import segments
from src.prediction import predictions
from tests.benchmarks import inference

tf1 = tf.compat.v1
RUNS, VIDEOS, BATCH = 3, 32, 480
MODEL = dict(model="ContextSegment")
ENCODER = dict(bert_hidden_layer=2, bert_attention_heads=12, pooling_strategy="mean")
VIDEO_SEGMENTS = 300 // segments.SEGMENT_FRAMES


@contextlib.contextmanager
def encoders(num_segments, num_contexts):
    """Context of a function that runs both encoders on a constant batch a number of times."""
    with tf.Graph().as_default(), tf1.Session() as session:
        pooled = []
        for number, num_frames in (num_segments, 11), (num_contexts, 150):
            with tf1.variable_scope("frames_%d" % num_frames):
                frames = tf1.get_variable("batch", [number, num_frames, 1152], trainable=False)
                pooled.append(models.create("Bert", **ENCODER).pool(frames, is_training=False))
        session.run(tf1.global_variables_initializer())
        yield lambda times: [session.run(pooled) for _ in range(times)]


def main():
    videos = int(sys.argv[1]) if len(sys.argv) > 1 else VIDEOS
    logging.getLogger("yt8m").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        job = inference.make_job(folder, videos, MODEL)
        shared = stack.enter_context(encoders(BATCH, BATCH // VIDEO_SEGMENTS))
        own = stack.enter_context(encoders(8, 8))
        scorer = stack.enter_context(contextlib.closing(predictions.open_scorer(job)))
        beginning = job._replace(paths=job.paths[:4])
        predictions.best_segments(beginning, scorer.batches(beginning.paths))
        shared(1), own(1)
        rates = {"two encoders": [], "inference.py": [], "per segment": []}
        for _ in range(RUNS):
            rates["two encoders"].append(inference.rate(BATCH, shared, 1))
            rates["inference.py"].append(inference.rate(
                videos * VIDEO_SEGMENTS, predictions.best_segments, job, scorer.batches(job.paths)))
            rates["per segment"].append(inference.rate(8, own, 1))
    floor = statistics.median(rates["two encoders"])
    for name, values in rates.items():
        median = statistics.median(values)
        print("%-13s %6.1f segments/s (%.1f to %.1f), %.2f times the time of two encoders" % (
            name, median, min(values), max(values), floor / median))


if __name__ == "__main__":
    main()
