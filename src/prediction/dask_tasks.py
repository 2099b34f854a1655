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
from src.prediction import video_prior
from src.submission import ranked_csv

_lock = threading.Lock()
_done = threading.Event()
_opened = {}  # {key: (Scorer, video_prior.Prior with its table or None)} of the last job


class Scored(typing.NamedTuple):
    """Result of a scoring task."""
    num_predicted: int  # videos, or segments of all shifts
    num_unknown: int  # of these segments, those without a row in the prior's table
    ids: np.ndarray  # of its videos; see `passes.Pass`
    locations: np.ndarray  # of its videos' records; see `passes.Pass`
    log_lines: list  # about its records
    results: list  # per output: Rankings of blocks of classes, or lines of a CSV; None in a summary


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


def needed(job):
    """The files that a worker must be able to read: the first shard, the model, the predictions for videos."""
    return [job.paths[0], job.checkpoint + ".index"] + ([job.prior.path] if job.prior else [])


@_in_one_sentence
def check(expected_version, paths):
    """Checks that this worker has the same code, and can read some files.

    Raises:
      InputError: it has other code, or cannot read them.
    """
    worker = distributed.get_worker().address
    if VERSION != expected_version:
        raise InputError("The worker %s runs another version of the code: start it in a copy of this project." % worker)
    for path in paths:
        try:
            with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
                stream.read(1)
        except InputError as error:
            raise InputError("The worker %s cannot read a file that this process can (%s) Give it the same files at "
                             "the same path, or keep all of them at gs://." % (worker, error))


def _open(key, job, expected_version):
    """The open Scorer of a job, and its prior with its table."""
    if key not in _opened:
        check(expected_version, needed(job))
        while _opened:
            _opened.popitem()[1][0].close()
        prior = _prior(job) if job.prior else None
        _opened[key] = predictions.open_scorer(job), prior
    return _opened[key]


def _prior(job):
    """The prior of a job with its table, read here.

    Raises:
      InputError: the file is another one than where the job comes from.
    """
    found = video_prior.read(job.prior.path, job.prior.settings, job.classes, job.values["num_classes"])
    if found.digest != job.prior.digest:
        raise InputError("The worker %s reads other predictions in %s than this process: give it the same file at the "
                         "same path, and do not change it." % (distributed.get_worker().address, job.prior.path))
    return found


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
        scorer, prior = _open(key, job, expected_version)
        job, num_predicted, num_unknown = job._replace(prior=prior), 0, 0

        def counted():
            nonlocal num_predicted, num_unknown
            for batch in predictions.scored(job, scorer, left_out):
                num_predicted += len(batch["id"])
                num_unknown += predictions.num_unknown(batch)
                yield batch

        with _log_lines() as lines:
            results = _results(job, counted(), classes_per_block)
        ids, locations = scorer.videos()
    return Scored(num_predicted, num_unknown, ids, locations, lines, results=results)


def _results(job, batches, classes_per_block):
    if job.output.ranked:
        return [list(best.rankings(classes_per_block)) for best in predictions.best_segments(job, batches)]
    lines = [[] for _ in range(job.num_outputs)]
    for output, of_batch in predictions.pairs(job, batches):
        lines[output].append(of_batch)
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


def part(scored, output, number):
    """The Ranking of a block of classes of an output, each given by its index."""
    return scored.results[output][number]


def lines_of(scored, output):
    """The CSV lines of an output, given by its index."""
    return scored.results[output]


def merge(max_segments, *rankings):
    """See `top_segments.merged`."""
    return top_segments.merged(rankings, max_segments)


def counts(ranking):
    """Number of segments per class of a Ranking."""
    return np.diff(ranking.ends, prepend=0)


def rows(ranking, begin, end):
    """The joined segment ids, best first, of each of the classes begin to end - 1 of a Ranking."""
    return [ranked_csv.joined(top_segments.row(ranking, column)) for column in range(begin, end)]
