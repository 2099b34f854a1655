"""Scores records batch by batch: whole videos, or all their segments at several shifts."""
import tensorflow as tf

from src.common import sessions
from src.data import damage
from src.data import passes
from src.data import pipeline
from src.data import segments
from src.trained import forward

tf1 = tf.compat.v1


class Scorer(object):
    """Scores the classes of records by a model: holds a graph and, once it is open, a session.

    Args:
      model: see `models.create`.
      reader: see `data.readers`; not one of rated segments.
      batch_size: videos per batch; if `shifts` are given, the approximate number of segments.
      num_readers: shards that are checked ahead of reading.
      shifts: score every segment of every video at each of these shifts (frames); None: score
        whole videos.
      classes: the classes to score; None: all.
      options: of the session; see `sessions`.
      skip: `segments.Skipped`.
    """

    def __init__(self, model, reader, batch_size, num_readers, shifts=None, classes=None,
                 options=sessions.PLAIN, skip=segments.Skipped()):
        self._form, self._options, self._session = reader.form, options, None
        self._graph = tf.Graph()
        with self._graph.as_default():
            frame_indices = forward.frame_picker(model, reader) if shifts is None else None
            with tf.device("/cpu:0"):
                self._shards = tf1.placeholder(tf.string, [None])
                self._left_out = tf1.placeholder(tf.int64, [None])
                reading = passes.Pass(self._shards, reader.form, left_out=self._left_out)
                if shifts is None:
                    batches = pipeline.video_batches(reader, reading, batch_size, frame_indices, num_readers)
                else:
                    batches = pipeline.segment_batches(reader, reading, shifts, batch_size, num_readers, skip=skip,
                                                       view=forward.view(model))
                self._iterator = tf1.data.make_initializable_iterator(batches)
                batch = self._iterator.get_next()
                self._videos = reading.videos()
            predictions = forward.of_batch(model, reader, batch, frames_sampled=frame_indices is not None,
                                           classes=classes)["predictions"]
            self._fetches = {"id": batch["id"], "scores": predictions, "bytes": batch["bytes"]}
            if shifts is not None:
                self._fetches["shift"] = batch["shift"]
        self.variables = self._graph.get_collection(tf1.GraphKeys.GLOBAL_VARIABLES)

    def open(self, restore):
        """Opens the session; `close` closes it.

        Args:
          restore: function that restores `variables` into a given session.
        """
        with self._graph.as_default():
            self._session = tf1.Session(config=sessions.config(self._options))
            restore(self._session)

    def close(self):
        if self._session:
            self._session.close()

    def batches(self, paths, left_out=()):
        """Yields dicts of NumPy arrays: `id` [n], `scores` [n, classes], `bytes` and, of segments, the index `shift`.

        Args:
          paths: shards, in the order of reading.
          left_out: locations of records to leave out; see `passes.Pass`.
        """
        feed = {self._shards: paths, self._left_out: left_out}
        with damage.explained(paths, self._form):
            yield from forward.fetch_all(self._session, self._iterator, self._fetches, feed)

    def videos(self):
        """Ids, bytes [videos], and locations, int64 [videos], of the videos of the last `batches`, in no order."""
        return self._session.run(self._videos)
