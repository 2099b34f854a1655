"""Evaluations of the tuning's objective, against fusing the lists again with dictionaries each time.

  python tests/benchmarks/objective.py [classes] [segments]

For each class, nine lists of all 27,000 segments, as similar as those of different models, and 27 ratings, half of them
positive ones near the head. Fusing again is timed on some of the classes, without reading and writing, and scaled up to
all. Prints the medians over the runs, their ratio, and the greatest difference from the mAP of the fused lists of those
classes: once without a cut and once with a cut at 10,000 segments.
"""
import os
import shutil
import statistics
import sys
import tempfile
import time

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np

from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.submission import objective
from src.submission import ranked_csv

RUNS, CLASSES, SEGMENTS, LISTS, SAMPLE, RATED = 5, 1000, 27000, 9, 10, 27


def write_lists(folder, names, num_classes):
    """Paths of new ranked CSVs, one per model, and ratings of their segments."""
    random, rated = np.random.RandomState(0), []
    paths = [os.path.join(folder, "model%d.csv" % model) for model in range(LISTS)]
    orders = np.empty([num_classes, LISTS, len(names)], np.uint16)
    for label in range(num_classes):
        true_scores = random.normal(size=len(names)).astype(np.float32)
        noise = 0.5 * random.standard_normal([LISTS, len(names)]).astype(np.float32)
        orders[label] = np.argsort(-true_scores - noise, axis=1)
        best = np.argsort(-true_scores)
        # Raters saw the segments that a model found likely: most ratings are near the head of its list.
        ranks = np.unique((len(names) * random.rand(RATED) ** 4).astype(int))
        rated += [(names[best[rank]], label, random.rand() < np.exp(-50.0 * rank / len(names))) for rank in ranks]
    for model, path in enumerate(paths):
        ranked_csv.write(path, ((label, names[orders[label, model]]) for label in range(num_classes)))
    return paths, ratings.create(*zip(*rated))


def fuse_with_dictionaries(lists, weights, w0, segment_max_pred):
    """The plain method."""
    scores = {}
    for segments, weight in zip(lists, weights):
        for rank, segment in enumerate(segments):
            scores[segment] = scores.get(segment, 0.0) + weight * w0 / (rank + w0)
    return sorted(scores, key=scores.get, reverse=True)[:segment_max_pred]


def compare(paths, rated, sample, num_classes, segment_max_pred):
    """Prints times and the greatest difference."""
    start = time.perf_counter()
    value_of = objective.read(paths, rated, segment_max_pred)
    reading = time.perf_counter() - start
    random, anew, ours, differences = np.random.RandomState(1), [], [], []
    for _ in range(RUNS):
        w0, weights = random.uniform(0.1, 10), random.uniform(0, 200, LISTS).tolist()
        start = time.perf_counter()
        fused = {label: fuse_with_dictionaries(lists, weights, w0, segment_max_pred) for label, lists in sample.items()}
        anew.append((time.perf_counter() - start) * num_classes / len(sample))
        start = time.perf_counter()
        value_of(w0, weights)
        ours.append(time.perf_counter() - start)
        _, precisions = ranking_metrics.mean_average_precision(
            ((label, np.array(ids)) for label, ids in fused.items()), rated, segment_max_pred)
        found = value_of.average_precisions(w0, weights)
        differences += [abs(found[label] - precisions[label]) for label in fused if label in found]
    print("segment_max_pred %6d: fused again %.1f s (%d of %d classes, scaled up), objective %.1f ms (%.1f to %.1f), "
          "%.0f times as fast; differs by %.1g; read in %.0f s"
          % (segment_max_pred, statistics.median(anew), len(sample), num_classes, 1e3 * statistics.median(ours),
             1e3 * min(ours), 1e3 * max(ours), statistics.median(anew) / statistics.median(ours), max(differences),
             reading))


def main():
    num_classes, num_segments = (int(argument) for argument in (sys.argv[1:] + [CLASSES, SEGMENTS][len(sys.argv) - 1:]))
    names = np.array([b"%04d:%d" % (number // 60, number % 60 * 5) for number in range(num_segments)])
    folder = tempfile.mkdtemp()
    try:
        paths, rated = write_lists(folder, names, num_classes)
        lists = [ranked_csv.iterate(path) for path in paths]
        sample = {rows[0][0]: [ids.tolist() for _, ids in rows] for _, rows in zip(range(SAMPLE), zip(*lists))}
        for segment_max_pred in (100000, 10000):
            compare(paths, rated, sample, num_classes, segment_max_pred)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
