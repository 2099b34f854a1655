"""What the worker processes of a Dask cluster do of a prediction; `dask_cluster` has them do it.

A process keeps the session of the last Job for all tasks of it. Tasks of one process wait for each other.
"""
import contextlib
import functools
import hashlib
import logging
import os
import threading
import typing

import distributed
import numpy as np
import tensorflow as tf

from src.common import files
from src.common import sentences
from src.common.errors import InputError
from src.prediction import predictions
from src.prediction import top_segments
from src.submission import ranked_csv

_lock = threading.Lock()
_done = threading.Event()
_opened = {}  # {key: Scorer} of the last job


class Scored(typing.NamedTuple):
    """What a task returns."""
    num_predicted: int  # videos, or segments counted at each shift
    ids: np.ndarray  # of its videos; see `passes.Pass`
    places: np.ndarray  # of its videos' records; see `passes.Pass`
    said: list  # log lines about its records
    results: list  # per shift: Rankings of blocks of classes, or lines of a CSV; None in a summary


class _Lines(logging.Handler):
    """Collects what is logged."""

    def __init__(self):
        super(_Lines, self).__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _lines_said():
    """Context of the list of what the project's modules log."""
    log, handler = logging.getLogger("yt8m"), _Lines()
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield handler.lines
    finally:
        log.removeHandler(handler)


def _digest():
    """Of the package's modules."""
    digest, root = hashlib.sha256(), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            if name.endswith(".py"):
                with open(os.path.join(folder, name), "rb") as stream:
                    digest.update(name.encode() + b"\0" + hashlib.sha256(stream.read()).digest())
    return digest.hexdigest()


VERSION = _digest()  # as this process has loaded it


def _in_one_sentence(function):
    """Decorator that makes InputErrors of TensorFlow's errors, which do not travel."""
    @functools.wraps(function)
    def wrapped(*args):
        try:
            return function(*args)
        except tf.errors.OpError as error:
            raise InputError(sentences.of(error) or "TensorFlow: %s" % error.message) from None

    return wrapped


@_in_one_sentence
def check(expected_version, shard, checkpoint):
    """Checks that this worker has the same code, and reads the first shard and the model.

    Raises:
      InputError: it has not, or does not.
    """
    worker = distributed.get_worker().address
    if VERSION != expected_version:
        raise InputError("The worker %s runs another version of the code: start it in a copy of this project." % worker)
    for path in shard, checkpoint + ".index":
        try:
            with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
                stream.read(1)
        except InputError as error:
            raise InputError("The worker %s cannot read what this process can (%s) Give it the same files at the same "
                             "path, or have all of them at gs://." % (worker, error))


def _scorer(key, job, expected_version):
    if key not in _opened:
        check(expected_version, job.paths[0], job.checkpoint)
        while _opened:
            _opened.popitem()[1].close()
        _opened[key] = predictions.open_scorer(job)
    return _opened[key]


@_in_one_sentence
def score(key, job, expected_version, left_out, classes_a_block):
    """The `Scored` of a Job's paths.

    Its results are, where segments are ranked, a `top_segments.Ranking` for each `classes_a_block` classes; else lines
    of a CSV.

    Args:
      key: the same for all tasks of a job.
      job: a Job of some of the paths.
      expected_version: of the code.
      left_out: places of records to leave out.
    """
    with _lock:
        scorer, num_predicted = _scorer(key, job, expected_version), 0

        def counted():
            nonlocal num_predicted
            for batch in scorer.batches(job.paths, left_out):
                num_predicted += len(batch["id"])
                yield batch

        with _lines_said() as said:
            results = _results(job, counted(), classes_a_block)
        ids, places = scorer.videos()
    return Scored(num_predicted, ids, places, said, results)


def _results(job, batches, classes_a_block):
    if job.output.ranked:
        return [list(best.rankings(classes_a_block)) for best in predictions.best_segments(job, batches)]
    lines = [[] for _ in job.shifts or [0]]
    for shift, of_batch in predictions.pairs(job, batches):
        lines[shift].append(of_batch)
    return list(map(b"".join, lines))


def set_done():
    """Says on a worker that the job is done."""
    _done.set()


def is_done():
    """Whether that was said here."""
    return _done.is_set()


def summary(scored):
    """A Scored without its results."""
    return scored._replace(results=None)


def part(scored, shift, number):
    """The Ranking of a block of classes at a shift."""
    return scored.results[shift][number]


def lines_of(scored, shift):
    """The lines of a shift."""
    return scored.results[shift]


def merge(max_segments, *rankings):
    """See `top_segments.merged`."""
    return top_segments.merged(rankings, max_segments)


def counts(ranking):
    """How many segments each class of a Ranking has."""
    return np.diff(ranking.ends, prepend=0)


def rows(ranking, begin, end):
    """The segment ids, best first and joined, of the classes from one to before another of a Ranking."""
    return [ranked_csv.joined(top_segments.row(ranking, column)) for column in range(begin, end)]
