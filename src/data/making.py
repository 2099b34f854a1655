"""Own videos, their labels and ratings -> records, and counts of their content."""
import collections

from src.common.errors import InputError
from src.common.progress import Progress
from src.data import annotations
from src.data import own_videos
from src.data import writing


class Maker(object):
    """Makes records of videos, and counts their content.

    Args:
      videos: {id: path of its features}.
      features: list of (name, size) of the features to use.
      labels, ratings: `annotations.Annotations`.
      cut: whether to cut videos that are too long for a record, or to refuse them.

    Attributes:
      counts: Counter of `records` and `seconds`.
      by_class: {name: Counter of the classes} for `videos`, `ratings` and `positive ratings`.
      clipped: share of floats beyond the range, mean over videos.
    """

    def __init__(self, videos, features, labels, ratings, cut):
        self._videos, self._features, self._cut = videos, features, cut
        self._labels, self._ratings = labels, ratings
        self._progress = Progress("records", "videos", len(videos))
        self.counts, self.clipped = collections.Counter(), 0.0
        self.by_class = collections.OrderedDict(
            (name, collections.Counter()) for name in ("videos", "ratings", "positive ratings"))

    def records(self, ids):
        """Yields the serialized records of videos, which are read one by one; a long video has several records.

        Raises:
          InputError: something does not fit; names the file, and the row or second.
        """
        for video in ids:
            path = self._videos[video]
            lists, clipped = own_videos.read(path, self._features)
            length = len(next(iter(lists.values())))
            labels, ratings = self._labels_of(video, path), self._ratings_of(video, path, length)
            for part, start, seconds in own_videos.parts(video, path, length, self._cut):
                if part != video and part in self._videos:
                    raise InputError("%s is a part of %s as well: rename one of the two." % (self._videos[part], path))
                yield writing.serialize(
                    part, labels, {name: values[start:start + seconds] for name, values in lists.items()},
                    ratings and annotations.of_part(ratings, start, seconds))
                self.counts.update(records=1, seconds=seconds)
            self.clipped += clipped / len(self._videos)
            self._progress.add(1)

    def _labels_of(self, video, path):
        if not self._labels.path:
            return None
        if video not in self._labels.rows:
            raise InputError("%s has no line in --labels_file=%s: add it, or remove the video."
                             % (path, self._labels.path))
        _, labels = self._labels.rows[video]
        self.by_class["videos"].update(labels.tolist())
        return labels

    def _ratings_of(self, video, path, length):
        if video not in self._ratings.rows:
            return None
        number, ratings = self._ratings.rows[video]
        if ratings.starts.max() >= length:
            raise InputError("%s, line %d or further down: a segment starts at second %d, but %s has only %d "
                             "seconds: correct it." % (self._ratings.path, number, ratings.starts.max(), path, length))
        self.by_class["ratings"].update(ratings.labels.tolist())
        self.by_class["positive ratings"].update(ratings.labels[ratings.scores > 0].tolist())
        return ratings

    def finish(self):
        """Logs the number of records, and their length."""
        self._progress.finish("%d records, %d seconds" % (self.counts["records"], self.counts["seconds"]))
