"""Segments per second that TopSegments collects, against one np.partition of the same scores.

  python tests/benchmarks/top_segments.py [segments]

Batches of 500 segments' random scores of 1,000 classes; the best 100,000 per class are kept. Each batch goes to each
contender in turn. Prints the medians over the runs and their ratios to the partition. Needs 2.5 GB of memory.
"""
import os
import statistics
import sys
import time

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np

from src.prediction.top_segments import TopSegments

RUNS, SEGMENTS, BATCH_SIZE, CLASSES, MAX_SEGMENTS, TOP_K = 3, 200000, 500, 1000, 100000, 20


def rates(num_segments, seed):
    """Segments per second of one run: dict contender -> float."""
    random, ids = np.random.RandomState(seed), np.array([b"abcd:%d" % start for start in range(BATCH_SIZE)])
    some, every = TopSegments(CLASSES, MAX_SEGMENTS), TopSegments(CLASSES, MAX_SEGMENTS)
    contenders = {"np.partition": lambda scores: np.partition(scores, CLASSES - TOP_K, axis=1),
                  "%d classes per segment" % TOP_K: lambda scores: some.add(ids, scores, TOP_K),
                  "all classes": lambda scores: every.add(ids, scores)}
    seconds = dict.fromkeys(contenders, 0.0)
    for _ in range(num_segments // BATCH_SIZE):
        scores = random.random_sample((BATCH_SIZE, CLASSES)).astype(np.float32)
        for name, take in contenders.items():
            start = time.perf_counter()
            take(scores)
            seconds[name] += time.perf_counter() - start
    return {name: num_segments // BATCH_SIZE * BATCH_SIZE / taken for name, taken in seconds.items()}


def main():
    num_segments = int(sys.argv[1]) if len(sys.argv) > 1 else SEGMENTS
    runs = [rates(num_segments, seed) for seed in range(RUNS)]
    floor = statistics.median(run["np.partition"] for run in runs)
    for name in runs[0]:
        values = [run[name] for run in runs]
        print("%-26s %6.0f segments/s (%.0f to %.0f), %.2f of np.partition"
              % (name, statistics.median(values), min(values), max(values), statistics.median(values) / floor))


if __name__ == "__main__":
    main()
