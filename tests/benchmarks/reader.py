"""Videos per second of the training reader, against a bare scan of the same shards.

  python tests/benchmarks/reader.py [frame-level TFRecords ..]

Without arguments it writes 300-frame records to a temporary folder. Runs alternate between the scan, the reader with 5
frames per video, and the reader with all 300. Prints the medians and their ratios to the scan.
"""
import os
import statistics
import sys
import tempfile
import time

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tensorflow as tf

from src.data import pipeline
from src.data import readers
from src.models import sampling
from tests import records

RUNS, SECONDS, BATCH_SIZE, NUM_READERS = 5, 3.0, 128, 8


def scan(paths):
    """Batches of the lengths of the records, from TFRecordDatasets interleaved like the reader's."""
    shards = tf.data.Dataset.from_tensor_slices(paths).repeat()
    return shards.interleave(tf.data.TFRecordDataset, cycle_length=NUM_READERS).map(tf.strings.length).batch(BATCH_SIZE)


def videos(paths, frames):
    """Batches of whole videos, or of `frames` random frames of each."""
    reader = readers.create("rgb,audio", "1024,128", frame_features=True)
    indices = frames and (lambda num_frames: sampling.training_indices(num_frames, frames, True))
    return pipeline.training_batches(reader, paths, BATCH_SIZE, indices, None, NUM_READERS)


def rate(dataset):
    """Examples per second, without the start-up and the filling of buffers."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        batch = tf.compat.v1.data.make_one_shot_iterator(dataset()).get_next()
        for _ in range(3):
            session.run(batch)
        start, batches = time.time(), 0
        while time.time() - start < SECONDS:
            session.run(batch)
            batches += 1
        return batches * BATCH_SIZE / (time.time() - start)


def main():
    with tempfile.TemporaryDirectory() as folder:
        paths = sys.argv[1:] or records.write_shards(folder, num_shards=8, videos=100, frames=300)
        contenders = [("bare scan", lambda: scan(paths)), ("reader, 5 frames", lambda: videos(paths, 5)),
                      ("reader, all frames", lambda: videos(paths, None))]
        rates = {name: [] for name, _ in contenders}
        for _ in range(RUNS):
            for name, dataset in contenders:
                rates[name].append(rate(dataset))
        floor = statistics.median(rates["bare scan"])
        for name, _ in contenders:
            median = statistics.median(rates[name])
            print("%-20s %6.0f videos/s (%.0f to %.0f), %.2f of the bare scan"
                  % (name, median, min(rates[name]), max(rates[name]), median / floor))


if __name__ == "__main__":
    main()
