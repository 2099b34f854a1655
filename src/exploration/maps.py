"""Heat maps of videos over time: how high rankings put each segment, for the classes that matter in the video."""
import typing

import numpy as np

from src.common.progress import Progress
from src.data import segment_ids
from src.data import segments
from src.prediction import video_csv
from src.submission import ranked_csv

MAX_VIDEOS = 4000  # with a map
MAX_CLASSES = 8  # per map
MAX_COLUMNS = 720  # segments per video: an hour
LEVELS = 61  # of ranks and scores, one letter each: 61 is the first rank or the score 1, 0 is unknown
LETTERS = np.frombuffer(b" 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)
_LEVEL_OF_RANK = (1 + (LEVELS - 1) * (1 - np.log1p(np.arange(ranked_csv.MAX_SEGMENTS))
                                      / np.log1p(ranked_csv.MAX_SEGMENTS))).astype(np.uint8)
# Keys that sort the classes in a video's map: rated ones first, then by best score, then by best rank.
_RATED, _SCORED = -4e9, -1e9


def level_of_rank(ranks):
    """uint8 levels of ranks from 0, in 60 logarithmic steps by a factor of 1.24; 0 where a rank is negative."""
    return np.where(ranks < 0, 0, _LEVEL_OF_RANK[ranks]).astype(np.uint8)


def level_of_score(scores):
    """uint8 levels of scores in 0..1."""
    return (1 + np.rint((LEVELS - 1) * np.clip(scores, 0, 1))).astype(np.uint8)


def choose_videos(ratings):
    """Sorted ids of the rated videos, bytes array [videos]; at most MAX_VIDEOS, those with most positive ratings."""
    names, _ = segment_ids.split(ratings.segment_ids)
    videos, which = np.unique(names, return_inverse=True)
    order = np.argsort(-np.bincount(which, ratings.scores > 0, len(videos)), kind="stable")
    return videos[np.sort(order[:MAX_VIDEOS])]


class Maps(object):
    """The maps of all videos, each with at most MAX_CLASSES classes.

    Memory: for each video, class and source, one byte per segment of the longest video (17 MB for 4,000 videos of 5
    minutes and nine sources).

    Args:
      videos: their ids, bytes array [videos], sorted.
      num_sources: number of rankings, and of the files of scores that follow them.
    """

    def __init__(self, videos, num_sources):
        self.videos = videos
        self.classes = np.full([len(videos), MAX_CLASSES], -1)
        self._keys = np.full([len(videos), MAX_CLASSES], np.inf)  # the smaller, the more a class matters
        self._cells = np.zeros([len(videos), MAX_CLASSES, num_sources, 1], np.uint8)

    def add(self, label, videos, ranks, cells, is_rated, best_scores):
        """Enters a class into the maps where it matters more than others.

        Args:
          videos: int array [n], indices of `videos`, each once.
          ranks: [n], the best rank of the video's segments.
          cells: levels, uint8 [n, sources, columns].
          is_rated: bool [n].
          best_scores: float [n], -1 where there is none.
        """
        extra = cells.shape[-1] - self._cells.shape[-1]
        if extra > 0:
            self._cells = np.pad(self._cells, [(0, 0)] * 3 + [(0, extra)], mode="constant")
        keys = np.where(is_rated, _RATED, np.where(best_scores >= 0, _SCORED * (1 + best_scores), ranks))
        worst = self._keys[videos].argmax(axis=1)
        better = keys < self._keys[videos, worst]
        videos, worst = videos[better], worst[better]
        self._keys[videos, worst], self.classes[videos, worst] = keys[better], label
        self._cells[videos, worst] = 0
        self._cells[videos, worst, :, :cells.shape[-1]] = cells[better]

    def of_video(self, video):
        """The classes of a video, those that matter most first, and their levels uint8 [classes, sources, columns]."""
        order = np.argsort(self._keys[video], kind="stable")
        order = order[self.classes[video, order] >= 0]
        return self.classes[video, order], self._cells[video, order]


def as_text(levels):
    """Levels of segments [columns] as text, one letter each, without blanks at the end."""
    return LETTERS[levels].tobytes().decode().rstrip()


class _Entries(typing.NamedTuple):
    """Scores, arrays [entries], ordered by class."""
    labels: np.ndarray  # classes, ascending
    videos: np.ndarray  # indices
    files: np.ndarray  # numbers of the files
    columns: np.ndarray  # segments
    scores: np.ndarray


class Scores(object):
    """The scores of each segment's best classes, from files of inference.py --output_prob.

    Memory: about 500 bytes for each segment and file.

    Args:
      paths: the files.
      videos: see `Maps`.

    Raises:
      InputError: a file cannot be read.
    """

    def __init__(self, paths, videos):
        number_of = {video: number for number, video in enumerate(videos.tolist())}
        parts = [_Entries(*np.zeros([5, 0], np.int64))]
        for number, path in enumerate(paths):
            progress = Progress("reading scores", "segments")
            for video, start, labels, scores in video_csv.iterate(path, number_of):
                column = start // segments.SEGMENT_FRAMES
                if 0 <= column < MAX_COLUMNS:
                    best = np.argsort(-scores, kind="stable")[:2 * MAX_CLASSES]
                    same = np.full([3, len(best)], [[number_of[video]], [number], [column]], np.int32)
                    parts.append(_Entries(labels[best].astype(np.int32), *same, scores[best].astype(np.float32)))
                progress.add(1)
            progress.finish()
        entries = _Entries(*map(np.concatenate, zip(*parts)))
        order = np.argsort(entries.labels, kind="stable")
        self._num_files, self._entries = len(paths), _Entries(*(column[order] for column in entries))

    def of_class(self, label):
        """A class's videos int [n], each once, their best scores [n], and levels uint8 [n, files, columns]."""
        some = slice(*np.searchsorted(self._entries.labels, [label, label + 1]))
        _, videos, numbers, columns, scores = (column[some] for column in self._entries)
        videos, which = np.unique(videos, return_inverse=True)
        levels = np.zeros([len(videos), self._num_files, 1 + columns.max(initial=0)], np.uint8)
        levels[which, numbers, columns] = level_of_score(scores)
        best = np.zeros(len(videos))
        np.maximum.at(best, which, scores)
        return videos.astype(np.int64), best, levels
