"""Tasks of a prediction on a Dask cluster. `dask_cluster` submits them, and worker processes run them.

A process keeps the session of the last Job for all its tasks. It runs one scoring task at a time.
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
from src.common import runtime
from src.common import sentences
from src.common.errors import InputError
from src.prediction import predictions
from src.prediction import top_segments
from src.submission import ranked_csv

_lock = threading.Lock()
_done = threading.Event()
_opened = {}  # {key: Scorer} of the last job


class Scored(typing.NamedTuple):
    """Result of a scoring task."""
    num_predicted: int  # videos, or segments of all shifts
    ids: np.ndarray  # of its videos; see `passes.Pass`
    locations: np.ndarray  # of its videos' records; see `passes.Pass`
    log_lines: list  # about its records
    results: list  # per shift: Rankings of blocks of classes, or lines of a CSV; None in a summary


class _Lines(logging.Handler):
    """Collects log lines."""

    def __init__(self):
        super(_Lines, self).__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _log_lines():
    """Context of the list of lines that the project's modules log."""
    log, handler = logging.getLogger("yt8m"), _Lines()
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield handler.lines
    finally:
        log.removeHandler(handler)


def _digest():
    """Digest of the package's modules."""
    digest, root = hashlib.sha256(), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            if name.endswith(".py"):
                with open(os.path.join(folder, name), "rb") as stream:
                    digest.update(name.encode() + b"\0" + hashlib.sha256(stream.read()).digest())
    return digest.hexdigest()


VERSION = _digest()  # of the code that this process has loaded


def _in_one_sentence(function):
    """Decorator that turns TensorFlow's errors, which cannot be sent to another process, into InputErrors."""
    @functools.wraps(function)
    def wrapped(*args):
        try:
            return function(*args)
        except tf.errors.OpError as error:
            raise InputError(sentences.of(error) or "TensorFlow: %s" % runtime.message(error)) from None

    return wrapped


@_in_one_sentence
def check(expected_version, shard, checkpoint):
    """Checks that this worker has the same code, and can read the first shard and the model.

    Raises:
      InputError: it has other code, or cannot read them.
    """
    worker = distributed.get_worker().address
    if VERSION != expected_version:
        raise InputError("The worker %s runs another version of the code: start it in a copy of this project." % worker)
    for path in shard, checkpoint + ".index":
        try:
            with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
                stream.read(1)
        except InputError as error:
            raise InputError("The worker %s cannot read a file that this process can (%s) Give it the same files at "
                             "the same path, or keep all of them at gs://." % (worker, error))


def _scorer(key, job, expected_version):
    if key not in _opened:
        check(expected_version, job.paths[0], job.checkpoint)
        while _opened:
            _opened.popitem()[1].close()
        _opened[key] = predictions.open_scorer(job)
    return _opened[key]


@_in_one_sentence
def score(key, job, expected_version, left_out, classes_per_block):
    """Returns the `Scored` of a Job's paths.

    If segments are ranked, its results are one `top_segments.Ranking` per block of classes, else lines of a CSV.

    Args:
      key: the same for all tasks of a job.
      job: a Job with some of the paths.
      expected_version: the VERSION of the process that submits the task.
      left_out: locations of records to leave out.
      classes_per_block: classes per Ranking.
    """
    with _lock:
        scorer, num_predicted = _scorer(key, job, expected_version), 0

        def counted():
            nonlocal num_predicted
            for batch in scorer.batches(job.paths, left_out):
                num_predicted += len(batch["id"])
                yield batch

        with _log_lines() as lines:
            results = _results(job, counted(), classes_per_block)
        ids, locations = scorer.videos()
    return Scored(num_predicted, ids, locations, lines, results)


def _results(job, batches, classes_per_block):
    if job.output.ranked:
        return [list(best.rankings(classes_per_block)) for best in predictions.best_segments(job, batches)]
    lines = [[] for _ in job.shifts or [0]]
    for shift, of_batch in predictions.pairs(job, batches):
        lines[shift].append(of_batch)
    return list(map(b"".join, lines))


def forget(address, dask_worker=None):
    """Cuts this worker, which `Client.run` passes, from another one, whose answers it would wait for for ever."""
    dask_worker.rpc.remove(address)


def set_done():
    """Notes on a worker that the job is done."""
    _done.set()


def is_done():
    """Whether `set_done` was called in this process."""
    return _done.is_set()


def summary(scored):
    """A Scored without its results."""
    return scored._replace(results=None)


def part(scored, shift, number):
    """The Ranking of a block of classes at a shift, each given by its index."""
    return scored.results[shift][number]


def lines_of(scored, shift):
    """The CSV lines of a shift, given by its index."""
    return scored.results[shift]


def merge(max_segments, *rankings):
    """See `top_segments.merged`."""
    return top_segments.merged(rankings, max_segments)


def counts(ranking):
    """Number of segments per class of a Ranking."""
    return np.diff(ranking.ends, prepend=0)


def rows(ranking, begin, end):
    """The joined segment ids, best first, of each of the classes begin to end - 1 of a Ranking."""
    return [ranked_csv.joined(top_segments.row(ranking, column)) for column in range(begin, end)]
