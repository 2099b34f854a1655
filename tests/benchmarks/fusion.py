"""Time to fuse ranked CSVs, against the plain method with dictionaries on the same files.

  python tests/benchmarks/fusion.py [classes] [segments of a list]

For each class, nine lists of 100,000 out of 1.7 times as many segments, as similar as those of different models. From
CSVs to a CSV. Both methods take turns. Prints the medians over the runs of the times per class, their ratio and the
peak memory of a process. Each class takes the same time, so 1,000 classes take 1,000 times as long as one; with few
classes the start of the processes weighs more. Needs 8 MB of disk per class and 1 GB of memory.
"""
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np

from src.submission import fusion
from src.submission import published
from src.submission import ranked_csv

RUNS, CLASSES, SEGMENTS, LISTS = 3, 50, 100000, 9
CHARACTERS = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)


def segment_names(num_segments, random):
    """Bytes array [num_segments]: 60 segments each of videos of four characters."""
    videos = np.unique(random.choice(CHARACTERS, [num_segments // 50 + 10, 4]).view("S4"))
    random.shuffle(videos)
    return np.array([b"%b:%d" % (video, start) for video in videos for start in range(0, 300, 5)][:num_segments])


def write_lists(folder, num_classes, num_segments):
    """Paths of new ranked CSVs, one per model."""
    names = segment_names(num_segments * 17 // 10, np.random.RandomState(0))

    def rows(model):
        for label in range(num_classes):
            scores = np.random.RandomState(label).normal(size=len(names))  # shared by all models
            scores += 0.5 * np.random.RandomState(1000 * (model + 1) + label).normal(size=len(names))
            yield label, names[np.argsort(-scores)[:num_segments]]

    paths = [os.path.join(folder, "model%d.csv" % model) for model in range(LISTS)]
    for model, path in enumerate(paths):
        ranked_csv.write(path, rows(model))
    return paths


def fuse_with_dictionaries(paths, weights, w0, output, segment_max_pred):
    """The plain method."""
    streams = [open(path) for path in paths]
    with open(output, "w") as fused:
        fused.write([stream.readline() for stream in streams][0])
        for rows in zip(*streams):
            scores = {}
            for row, weight in zip(rows, weights):
                label, segments = row.rstrip("\n").split(",")
                for rank, segment in enumerate(segments.split(" ")):
                    scores[segment] = scores.get(segment, 0.0) + weight * w0 / (rank + w0)
            best = sorted(scores, key=scores.get, reverse=True)[:segment_max_pred]
            fused.write("%s,%s\n" % (label, " ".join(best)))
    for stream in streams:
        stream.close()


def seconds(fuse, *args):
    start = time.perf_counter()
    fuse(*args)
    return time.perf_counter() - start


def main():
    num_classes, num_segments = (int(argument) for argument in (sys.argv[1:] + [CLASSES, SEGMENTS][len(sys.argv) - 1:]))
    folder = tempfile.mkdtemp()
    try:
        paths, weights = write_lists(folder, num_classes, num_segments), list(published.WEIGHTS.values())
        contenders = [("dictionaries", fuse_with_dictionaries), ("fuse_files", fusion.fuse_files)]
        outputs = [os.path.join(folder, name) for name, _ in contenders]
        runs = [[seconds(fuse, paths, weights, published.MODELS_W0, output, num_segments) / num_classes
                 for (_, fuse), output in zip(contenders, outputs)] for _ in range(RUNS)]
        contents = [open(output, "rb").read() for output in outputs]
        print("%s files, %d classes" % ("equal" if contents[0] == contents[1] else "DIFFERENT", num_classes))
    finally:
        shutil.rmtree(folder)
    floor = statistics.median(run[0] for run in runs)
    for (name, _), values in zip(contenders, zip(*runs)):
        median = statistics.median(values)
        print("%-12s %5.0f ms per class (%.0f to %.0f), %5.1f times as fast as dictionaries; 1,000 classes: %.1f min"
              % (name, 1e3 * median, 1e3 * min(values), 1e3 * max(values), floor / median, 1000 * median / 60))
    print("peak memory: %.0f MB; %.0f MB in a process at work on a class" % tuple(
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


if __name__ == "__main__":
    main()
