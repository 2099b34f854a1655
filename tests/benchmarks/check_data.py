"""Videos per second that check_data checks, against a bare scan of the same shards.

  python tests/benchmarks/check_data.py [frame-level TFRecords ..]

Without arguments it writes 300-frame records to a temporary folder. The bare scan uses TensorFlow: one TFRecordDataset
per core at a time, and only the records' lengths. Runs alternate. Prints the medians and their ratio.
"""
import logging
import os
import statistics
import sys
import tempfile
import time

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import tensorflow as tf

from src.data import survey
from tests import records

RUNS, TIMES_OVER = 7, 8  # each run reads the shards TIMES_OVER times, as real ones are longer


def scan(paths):
    """The number of records in the shards, by a bare scan."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        lengths = tf.data.Dataset.from_tensor_slices(paths).interleave(
            lambda path: tf.data.TFRecordDataset(path).map(tf.strings.length).batch(64),
            cycle_length=os.cpu_count(), num_parallel_calls=os.cpu_count())
        return session.run(lengths.reduce(0, lambda count, batch: count + tf.size(batch)))


def look_through(paths):
    """The number of records in the shards, by check_data."""
    return sum(shard.counts["videos"] for shard in survey.read_shards(paths))


def main():
    logging.getLogger("yt8m").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        paths = sys.argv[1:] or records.write_shards(folder, num_shards=8, videos=100, frames=300)
        paths = paths * TIMES_OVER
        rates = {"bare scan": [], "check_data": []}
        for _ in range(RUNS):
            for name, count in ("check_data", look_through), ("bare scan", scan):
                start = time.time()
                rates[name].append(count(paths) / (time.time() - start))
        for name, of_runs in rates.items():
            print("%-11s %6.0f videos/s (%.0f to %.0f), %.2f of the bare scan" % (
                name, statistics.median(of_runs), min(of_runs), max(of_runs),
                statistics.median(of_runs) / statistics.median(rates["bare scan"])))


if __name__ == "__main__":
    main()
