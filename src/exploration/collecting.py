"""Collects the content of the pages from ranked lists and their ratings, class by class."""
import typing

import numpy as np

from src.data import segment_ids
from src.data import segments
from src.evaluation import ranking_metrics
from src.exploration import maps
from src.submission import fusion

HEAD = 200  # segments shown of each list
MAX_POINTS = 50  # rated segments of a list in its line of precision over rank
MAX_MISSED = 200  # positive ratings of a class shown as missed


class ClassView(typing.NamedTuple):
    """A class as its lists show it, one list per file."""
    heads: list  # per file: bytes array of the best HEAD ids
    lengths: tuple  # per file: number of ranked segments
    precisions: list  # per file: AP; None where no rating is positive
    found: np.ndarray  # bytes: ids in some head that were rated positive
    absent: np.ndarray  # bytes: ids in some head that were rated negative
    ratings: int  # number of ratings
    positives: int  # number of positive ratings
    points: list  # per file: int array, ranks from 1 of the first MAX_POINTS rated segments, negated if rated negative
    missed: list  # (id, best rank from 1, file) of the best MAX_MISSED positives in no head; None if in no list
    num_missed: int  # number of all positives in no head


class _Rows(typing.NamedTuple):
    """Rows of a class for `maps.Maps`; see its `add`."""
    videos: np.ndarray
    ranks: np.ndarray
    cells: np.ndarray
    is_rated: np.ndarray
    best_scores: np.ndarray


def collect(paths, ratings, table, scores, unranked):
    """Yields (class, ClassView) of the classes that have a list or a rating, ascending, and fills the maps.

    Memory: that of `fusion.fuse_files`, twice.

    Args:
      paths: ranked CSVs, local or gs://.
      ratings: see `ratings.create`.
      table: `maps.Maps` to fill; its sources are the paths and the files of `scores`.
      scores: `maps.Scores`.
      unranked: `ranking_metrics.Unranked` that meets the lists.

    Raises:
      InputError: a file is missing or malformed.
    """
    rated = ranking_metrics.by_class(ratings)
    nothing = np.zeros(0, "S1"), np.zeros(0, bool)

    def look(label, lists, names):
        met = fusion.meet(lists, names)
        ranks = _ranks(met, len(lists))
        ids, positive = rated.get(label, nothing)
        view = _view(lists, met, ranks, ids, positive)
        return view, _rows(label, met, ranks, ids, table.videos, scores), unranked.meet(met.ids)

    for label, (view, rows, met) in fusion.each_class(paths, look, "reading lists", also=rated):
        table.add(label, *rows)
        unranked.meet(met)
        if any(view.lengths):
            unranked.meet_class(label)
        yield label, view


def _ranks(met, num_lists):
    """int32 [lists, distinct ids]: the rank from 0 that each list gives each id of `fusion.Met` lists, -1 for none."""
    ranks = np.full([num_lists, len(met.ids)], -1, np.int32)
    numbers = np.zeros(len(met.firsts), np.int32)
    numbers[met.new] = np.arange(len(met.ids))
    for row, firsts in zip(ranks, np.split(met.firsts, np.cumsum(met.lengths)[:-1])):
        row[numbers[firsts]] = np.arange(len(firsts))
    return ranks


def _best(ranks):
    """The least rank of each column, and its row; the greatest int32 if no row has a rank."""
    known = np.where(ranks < 0, np.iinfo(np.int32).max, ranks)
    return known.min(axis=0), known.argmin(axis=0)


def _view(lists, met, ranks, ids, positive):
    positions, which = segment_ids.locate(met.ids, ids)
    of_rated = np.full([len(lists), len(ids)], -1, np.int32)
    of_rated[:, which] = ranks[:, positions]
    precisions, points = [], []
    for row in of_rated:
        order = np.argsort(row, kind="stable")[np.count_nonzero(row < 0):]
        precisions.append(ranking_metrics.average_precision(positive[order], np.count_nonzero(positive))
                          if positive.any() else None)
        points.append((np.where(positive, 1, -1) * (row + 1))[order[:MAX_POINTS]])
    best, files = _best(of_rated)
    missed = np.flatnonzero(positive & (best >= HEAD))
    missed = missed[np.argsort(best[missed], kind="stable")]
    shown = [(ids[one], best[one] + 1, files[one]) if of_rated[files[one], one] >= 0 else (ids[one], None, None)
             for one in missed[:MAX_MISSED]]
    return ClassView(
        heads=[one[:HEAD] for one in lists], lengths=met.lengths, precisions=precisions,
        found=ids[positive & (best < HEAD)], absent=ids[~positive & (best < HEAD)], ratings=len(ids),
        positives=int(np.count_nonzero(positive)), points=points, missed=shown, num_missed=len(missed))


def _rows(label, met, ranks, ids, videos, scores):
    """The _Rows of the videos where a class may matter: it is rated there, is in a head, or has scores."""
    of_ids, starts = segment_ids.split(met.ids)
    positions, which = segment_ids.locate(of_ids, videos)
    columns = starts[positions] // segments.SEGMENT_FRAMES
    within = columns < maps.MAX_COLUMNS
    positions, which, columns = positions[within], which[within], columns[within]
    best, _ = _best(ranks[:, positions])
    is_rated = np.isin(videos, segment_ids.split(ids)[0]) if len(ids) else np.zeros(len(videos), bool)
    scored, best_scores, levels = scores.of_class(label)
    chosen = is_rated.copy()
    chosen[which[best < HEAD]] = True
    chosen[scored] = True
    row_of = np.cumsum(chosen) - 1
    shown = chosen[which]
    positions, rows, columns = positions[shown], row_of[which[shown]], columns[shown]
    num_columns = max(levels.shape[-1], 1 + columns.max(initial=0))
    num_lists, num_files = len(ranks), levels.shape[1]
    cells = np.zeros([np.count_nonzero(chosen), num_lists + num_files, num_columns], np.uint8)
    cells[rows, :num_lists, columns] = maps.level_of_rank(ranks[:, positions]).T
    cells[row_of[scored], num_lists:, :levels.shape[-1]] = levels
    ranks_of, scores_of = np.full(len(cells), np.iinfo(np.int32).max), np.full(len(cells), -1.0)
    np.minimum.at(ranks_of, rows, best[shown])
    scores_of[row_of[scored]] = best_scores
    return _Rows(np.flatnonzero(chosen), ranks_of, cells, is_rated[chosen], scores_of)
