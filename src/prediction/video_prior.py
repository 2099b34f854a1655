"""Candidates: only the best classes of a video, as a model of whole videos predicts them, compete for its segments.

For a class among the best K ranked classes of a video, a segment scores p^(1-b) * v^b: p is the segment's score, v the
prediction for the video, b the weight of this prior. For other classes it scores 1e-8 * p, so that it ranks below all
candidates. p and v are clipped to [1e-7, 1].
"""
import hashlib
import itertools
import logging
import re
import typing

from absl import flags
import numpy as np

from src.common import files
from src.common import text
from src.common.errors import InputError
from src.data import pipeline
from src.data import segment_ids
from src.prediction import video_csv
from src.submission import shifts

log = logging.getLogger("yt8m")

LOWEST = np.float32(1e-7)  # p and v are at least that
OTHERS = np.float32(1e-8)  # factor of the scores of classes that are no candidates
BLOCK_BYTES = 1 << 20  # of lines that are parsed at a time
_CANDIDATES, _WEIGHT = "20", "0"  # defaults of the flags
_LINE_BYTES = 1 << 20  # a line of all classes with their scores and names has up to 200,000
_PAIR = rb"[0-9]{1,9} [0-9]{1,3}(?:\.[0-9]{1,20})?(?:e[-+]?[0-9]{1,3})?"
_LINE = re.compile(rb'(%b),(%b(?: %b)*)(?:,".*")?' % (segment_ids.VIDEO.pattern, _PAIR, _PAIR))
_COUNT = re.compile(r" *[0-9]{1,5} *")
_SHARE = re.compile(r" *(?:[01]|[01]?\.[0-9]{1,6}) *")


class Setting(typing.NamedTuple):
    """How the predictions for videos count."""
    candidates: int  # K
    weight: float  # b


class Table(typing.NamedTuple):
    """The candidates of videos; those of a video are neighbours, the best first."""
    videos: np.ndarray  # bytes [videos], ids, ascending
    begins: np.ndarray  # int64 [videos], position of each video's first candidate
    counts: np.ndarray  # int64 [videos]
    columns: np.ndarray  # uint16 [candidates], classes, as indices into the ranked ones
    scores: np.ndarray  # float32 [candidates], predictions


class Prior(typing.NamedTuple):
    """Predictions for videos, and how they count."""
    path: str
    digest: str  # of the Table
    settings: list  # of Setting, one per output and shift
    table: Table  # None: to be read


# Flags.


def define_flags():
    flags.DEFINE_string("video_predictions", "", "With --segment_labels: CSV that inference.py wrote for the same "
                        "videos without --segment_labels, with --top_k=50 or so. Only its best classes of a video "
                        "compete for the video's segments; others rank below.")
    flags.DEFINE_string("candidates", _CANDIDATES, "With --video_predictions: how many of the ranked classes compete "
                        "per video; one number, or several such as 20,50 in one pass over the data.")
    flags.DEFINE_string("prior_weight", _WEIGHT, "With --video_predictions: weight b of the video's prediction v in "
                        "the score p^(1-b) v^b; one number from 0 to 1, or several. Several --candidates or weights "
                        "write NAME_candidates20_prior0.5.csv and so on instead of --output_file, with several shifts "
                        "also NAME_candidates20_prior0.5_shiftK.csv.")


def parse(args):
    """The Settings that the flags ask for, each --candidates with each --prior_weight; [] without --video_predictions.

    Raises:
      InputError: a value is malformed, out of range or repeated, or another flag is missing.
    """
    if not args.video_predictions:
        if (args.candidates, args.prior_weight) != (_CANDIDATES, _WEIGHT):
            raise InputError("--candidates and --prior_weight need --video_predictions: give it, or leave them out.")
        return []
    if not args.segment_labels:
        raise InputError("--video_predictions needs --segment_labels: it changes the scores of segments.")
    counts, weights = args.candidates.split(","), args.prior_weight.split(",")
    counts = [int(count) for count in counts] if all(map(_COUNT.fullmatch, counts)) else []
    if not counts or min(counts) < 1 or len(set(counts)) < len(counts):
        raise InputError("--candidates=%s is not a comma list of different whole numbers from 1 to 99999, such as "
                         "20,50." % args.candidates)
    weights = [float(weight) for weight in weights] if all(map(_SHARE.fullmatch, weights)) else []
    if not weights or max(weights) > 1 or len(set(weights)) < len(weights):
        raise InputError("--prior_weight=%s is not a comma list of different numbers from 0 to 1 with at most six "
                         "decimals, such as 0,0.5." % args.prior_weight)
    return list(itertools.starmap(Setting, itertools.product(counts, weights)))


def outputs(args, frame_shifts, settings):
    """The paths of the CSVs: for each shift, one per Setting; see `shifts.outputs`.

    With several Settings out.csv becomes out_candidates20_prior0.5.csv, and so on.

    Raises:
      InputError: one is --video_predictions.
    """
    names = ["_candidates%d_prior%g" % setting for setting in settings] if len(settings) > 1 else [""]
    of_settings = [shifts.outputs(args.output_file, frame_shifts, name) for name in names]
    paths = [path for of_shift in zip(*of_settings) for path in of_shift]
    if args.video_predictions and files.real(args.video_predictions) in map(files.real, paths):
        raise InputError("--video_predictions=%s would be overwritten: give another --output_file."
                         % args.video_predictions)
    return paths


# Reading.


def read(path, settings, classes, num_classes):
    """Reads the Prior of some Settings.

    Memory: 6 bytes per candidate, at most the largest K per video, and 16 per video beside its id: some 140 bytes per
    video with 20 candidates. Twice that while it is read.

    Args:
      path: CSV that inference.py wrote without --segment_labels; the header may be missing.
      settings: list of Setting.
      classes: the ranked classes, int [classes], ascending.
      num_classes: labels in the file are below.

    Raises:
      InputError: the file is missing, empty or malformed, or a video occurs twice; names the line.
    """
    column_of = np.full(num_classes, -1)
    column_of[classes] = np.arange(len(classes))
    most = max(setting.candidates for setting in settings)
    parts = [_parsed(path, block, column_of, most) for block in _blocks(path)]
    if not parts:
        raise InputError("%s holds no video: give what inference.py writes without --segment_labels." % path)
    ids, numbers, counts, columns, scores = (np.concatenate(part) for part in zip(*parts))
    again, firsts = segment_ids.repeats(ids)
    if again.size:
        raise InputError("%s, line %d: the video %s was in line %d: give each video once."
                         % (path, numbers[again[0]], text.quoted(ids[again[0]]), numbers[firsts[0]]))
    order = np.argsort(ids)
    table = Table(ids[order], (np.cumsum(counts) - counts)[order], counts[order], columns, scores)
    digest = hashlib.sha256()
    for column in table:
        digest.update(column.tobytes())
    log.info("%s: %d videos with %.1f candidates on average", path, len(ids), counts.mean())
    return Prior(path, digest.hexdigest(), settings, table)


def _blocks(path):
    """Yields lists of (number, line) of the lines of videos, of some BLOCK_BYTES."""
    block, size = [], 0
    for number, line in text.lines(path, line_bytes=_LINE_BYTES):
        if number == 1 and line.startswith(video_csv.HEADER):
            continue
        block.append((number, line))
        size += len(line)
        if size > BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _parsed(path, block, column_of, most):
    """Parses a block of lines -> their videos' ids, their numbers, their numbers of candidates; columns and scores of
    the candidates.

    Args:
      path: of the file, for the error.
      block: see `_blocks`.
      column_of: int [all classes], index of a ranked class, else -1.
      most: candidates to keep per video.
    """
    numbers, lines = zip(*block)
    matches = list(map(_LINE.fullmatch, lines))
    if None in matches:
        raise _malformed(path, *block[matches.index(None)], num_classes=len(column_of))
    ids, pairs = zip(*(matched.group(1, 2) for matched in matches))
    words = np.array(b" ".join(pairs).split(b" "))
    labels, scores = words[::2].astype(np.int64), words[1::2].astype(np.float64)
    rows = np.repeat(np.arange(len(pairs)), [of_line.count(b" ") // 2 + 1 for of_line in pairs])
    is_bad = np.ones(len(labels), bool)
    is_bad[np.unique(rows * 10 ** 9 + labels, return_index=True)[1]] = False  # bad: labels that repeat an earlier one
    is_bad |= (labels >= len(column_of)) | (scores > 1)
    if is_bad.any():
        raise _malformed(path, *block[rows[is_bad.argmax()]], num_classes=len(column_of))
    is_ranked = column_of[labels] >= 0
    rows, columns, scores = rows[is_ranked], column_of[labels[is_ranked]], scores[is_ranked]
    order = np.lexsort([-scores, rows])  # stable: of equal scores, the file's order decides
    counts = np.bincount(rows, minlength=len(pairs))
    best = order[_ranks(counts) < most]
    return (np.array(ids), np.array(numbers), np.minimum(counts, most), columns[best].astype(np.uint16),
            scores[best].astype(np.float32))


def _ranks(counts):
    """0, 1, .. count - 1 for each of the counts, one after the other; int64 [sum of counts]."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _malformed(path, number, line, num_classes):
    return InputError("%s, line %d: %s is not VIDEO,label score label score, with different labels from 0 to %d and "
                      "scores from 0 to 1: give what inference.py writes without --segment_labels."
                      % (path, number, text.quoted(line), num_classes - 1))


# Scores.


def rows(table, segments):
    """int64 [n]: the row in a Table of the videos of segments, given as ids VIDEO:START; -1 if it lacks the video."""
    videos, _ = segment_ids.split(np.array(segments, "S"))
    nearest = np.searchsorted(table.videos, videos.astype(table.videos.dtype))  # cuts longer ids, which differ then
    nearest = np.minimum(nearest, len(table.videos) - 1)
    return np.where(table.videos[nearest] == videos, nearest, -1)


def _candidates(table, found, most):
    """The at most `most` best candidates of each of the rows `found` [n] of a Table, -1 for none.

    Returns:
      int arrays [candidates]: indices into `found`, ascending, and positions in the Table.
    """
    counts = np.where(found < 0, 0, np.minimum(table.counts[found], most))
    which = np.repeat(np.arange(len(found)), counts)
    return which, table.begins[found[which]] + _ranks(counts)


def scores(prior, of_model, found):
    """Yields the float32 scores [n, classes] of segments for each Setting.

    Args:
      prior: Prior with its table.
      of_model: float32 scores [n, classes].
      found: `rows` of the segments.
    """
    of_model = np.clip(of_model, LOWEST, np.float32(1))
    others = OTHERS * of_model
    for setting in prior.settings:
        segments, positions = _candidates(prior.table, found, setting.candidates)
        columns = prior.table.columns[positions]
        of_video = np.clip(prior.table.scores[positions], LOWEST, np.float32(1)).astype(np.float64)
        of_segment = of_model[segments, columns].astype(np.float64)
        result = others.copy()
        result[segments, columns] = of_segment ** (1 - setting.weight) * of_video ** setting.weight
        yield result


def check_known(prior, num_unknown, num_segments, paths):
    """Logs how many segments have no candidates because their videos are not in the Table.

    Args:
      prior: Prior.
      num_unknown: their number.
      num_segments: the number of all segments.
      paths: the shards.

    Raises:
      InputError: none has any.
    """
    if num_unknown == num_segments:
        raise InputError("--video_predictions=%s has no video of the %d shards such as %s: give the predictions for "
                         "the videos of these shards." % (prior.path, len(paths), paths[0]))
    if num_unknown:
        log.info("%d of the %d segments are of videos that %s lacks: they have no candidates", num_unknown,
                 num_segments, prior.path)


def log_recall(prior, classes, paths, num_classes):
    """Logs which share of the positive ratings, of the ranked classes, is of candidates of their video.

    Args:
      prior: Prior with its table.
      classes: the ranked classes, int [classes], ascending.
      paths: shards. If they hold no such rating, nothing is logged.
      num_classes: labels are below.
    """
    try:
        ids, labels, is_present = pipeline.read_ratings(paths, num_classes=num_classes)
    except pipeline.NoRatings:
        return
    positive = (is_present > 0) & np.isin(labels, classes)
    if not positive.any():
        return
    columns, found = np.searchsorted(classes, labels[positive]), rows(prior.table, ids[positive])
    for most in sorted({setting.candidates for setting in prior.settings}):
        which, positions = _candidates(prior.table, found, most)
        num_held = np.count_nonzero(prior.table.columns[positions] == columns[which])
        log.info("candidates: the best %d rated classes of each video hold %.1f%% of %s positive ratings", most,
                 100 * num_held / len(columns), "{:,}".format(len(columns)))
