"""Prediction jobs, and how this process runs them; `dask_cluster` runs them in other processes."""
import contextlib
import logging
import typing

import numpy as np

from src.common import files
from src.common import sessions
from src.common.errors import InputError
from src.common.progress import Progress
from src.data import segments
from src.prediction import video_csv
from src.prediction import video_prior
from src.prediction.scoring import Scorer
from src.prediction.top_segments import TopSegments
from src.prediction.top_segments import top_columns
from src.submission import ranked_csv
from src.trained import export
from src.trained import model_flags

log = logging.getLogger("yt8m")


class Reading(typing.NamedTuple):
    """How shards are read."""
    max_frames: int  # per video
    batch_size: int  # videos, or segments, per batch; see `Scorer`
    num_readers: int  # shards that are checked ahead of reading


class Output(typing.NamedTuple):
    """Content of the CSVs."""
    ranked: bool  # True: best segments of each class; False: best classes of each segment or video
    top_k: int  # classes per segment or video that count
    max_segments: int  # ranked: segments kept per class
    names: dict  # {class: name} to write beside the classes; None: no names


class Job(typing.NamedTuple):
    """A prediction: its data, its model and its outputs."""
    paths: list  # shards, in their order
    checkpoint: str  # of the model
    values: dict  # the model's model_flags.json
    reading: Reading
    shifts: list  # of segments, in frames; None: score whole videos
    classes: np.ndarray  # int: the classes to score
    output: Output
    options: sessions.Options
    skip: segments.Skipped = segments.Skipped()
    prior: video_prior.Prior = None  # of segments

    @property
    def num_outputs(self):
        """Number of CSVs: of each shift, one per Setting of the prior."""
        return len(self.shifts or [0]) * (len(self.prior.settings) if self.prior else 1)


def open_scorer(job):
    """Opens a Scorer with the restored model of a Job; the caller closes it."""
    reader = model_flags.create_reader(job.values, max_frames=job.reading.max_frames)
    segments_alone = {} if job.shifts is None else {
        "shifts": job.shifts, "classes": job.classes, "skip": job.skip}
    scorer = Scorer(model_flags.create_model(job.values), reader, job.reading.batch_size, job.reading.num_readers,
                    options=job.options, **segments_alone)
    scorer.open(lambda session: export.restore_model(session, job.checkpoint, scorer.variables))
    return scorer


def predict(job, outputs):
    """Predicts in this process.

    Memory: if segments are ranked, at most 1 GB per CSV; see `TopSegments`.

    Args:
      job: a Job.
      outputs: paths of the CSVs; see `Job.num_outputs`.

    Raises:
      InputError: a shard, a record or the model is unusable, or an output cannot be written.
    """
    with contextlib.closing(open_scorer(job)) as scorer:
        batches = _with_progress(job, scored(job, scorer))
        if job.output.ranked:
            for path, best in zip(outputs, best_segments(job, batches)):
                write_ranked(job, path, best.ranked())
            return
        with writing_pairs(job, outputs) as streams:
            for output, lines in pairs(job, batches):
                streams[output].write(lines)


def scored(job, scorer, left_out=()):
    """Yields `Scorer.batches`, those of a Job with a prior with `rows`, the rows of its Table."""
    for batch in scorer.batches(job.paths, left_out):
        yield dict(batch, rows=video_prior.rows(job.prior.table, batch["id"])) if job.prior else batch


def num_unknown(batch):
    """Number of segments of a batch that have no row in the prior's Table."""
    return np.count_nonzero(batch["rows"] < 0) if "rows" in batch else 0


def _of_outputs(job, batch):
    """Yields (index of the output, its scores) of a batch."""
    shift = batch.get("shift", 0)
    if not job.prior:
        yield shift, batch["scores"]
    else:
        yield from enumerate(video_prior.scores(job.prior, batch["scores"], batch["rows"]),
                             shift * len(job.prior.settings))


def _with_progress(job, batches):
    """Yields the batches and logs progress."""
    total, read, unknown, progress = files.total_bytes(job.paths), 0.0, 0, new_progress(job)
    for batch in batches:
        yield batch
        read += batch["bytes"].sum() / len(job.shifts or [0])
        unknown += num_unknown(batch)
        progress.add(len(batch["id"]), share=read / total)
    check_end(job, progress.done, unknown)
    progress.finish()


def new_progress(job):
    """The Progress of a Job. It counts videos, or segments of all shifts."""
    return Progress("inference", "videos" if job.shifts is None else "segments")


def check_end(job, num_predicted, unknown):
    """Checks what was predicted, and logs how many segments have no row in the prior's Table.

    Args:
      job: a Job.
      num_predicted: videos, or segments of all shifts.
      unknown: `num_unknown` of all shifts.

    Raises:
      InputError: nothing was predicted, or the prior has no video of the shards.
    """
    if not num_predicted and any(job.skip):
        raise InputError("The %d shards such as %s hold no video of more than %d segments, and --skip_first_segments "
                         "and --skip_last_segments leave these out: lower them, or check --input_data_pattern." % (
                             len(job.paths), job.paths[0], sum(job.skip)))
    if not num_predicted:
        raise InputError("The %d shards such as %s hold no video: check --input_data_pattern." % (
            len(job.paths), job.paths[0]))
    if job.prior:
        video_prior.check_known(job.prior, unknown // len(job.shifts), num_predicted // len(job.shifts), job.paths)


def best_segments(job, batches):
    """The TopSegments of each output."""
    best = [TopSegments(len(job.classes), job.output.max_segments) for _ in range(job.num_outputs)]
    for batch in batches:
        for output, scores in _of_outputs(job, batch):
            best[output].add(batch["id"], scores, job.output.top_k)
    return best


def pairs(job, batches):
    """Yields (index of the output, lines of `video_csv`) for each output of each batch."""
    for batch in batches:
        for output, scores in _of_outputs(job, batch):
            columns = top_columns(scores, job.output.top_k)
            best = scores[np.arange(len(columns))[:, np.newaxis], columns]
            yield output, video_csv.lines(batch["id"], job.classes[columns], best, job.output.names)


@contextlib.contextmanager
def writing_pairs(job, outputs):
    """Context of a list of streams for `pairs`, one per output."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(video_csv.writing(path, job.output.names is not None)) for path in outputs]


def write_ranked(job, path, rows):
    """Writes a ranked CSV, and logs how many classes have no segment.

    Args:
      job: a Job.
      path: of the CSV.
      rows: iterable of the segment ids of each class, best first; see `ranked_csv.write`.
    """
    counts = []

    def counted():
        for label, ids in zip(job.classes, rows):
            counts.append(len(ids))
            yield label, ids

    ranked_csv.write(path, counted())
    if 0 in counts:
        log.info("%s: %d of the %d classes have no segment, because only the best --top_k=%d classes of each "
                 "segment count: raise it", path, counts.count(0), len(counts), job.output.top_k)
