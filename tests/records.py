"""Writes small YouTube-8M records for tests, and reads datasets back; everything random is seeded."""
import contextlib
import os

import numpy as np
import tensorflow as tf

NUM_CLASSES = 3862
RGB, AUDIO = 1024, 128


def random_frames(seed, frames, rgb=RGB, audio=AUDIO):
    """Quantized features of a video: uint8 [frames, rgb] and [frames, audio]."""
    random = np.random.RandomState(seed)
    return random.randint(0, 256, (frames, rgb), np.uint8), random.randint(0, 256, (frames, audio), np.uint8)


def bytes_feature(values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def int_feature(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def float_feature(values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def frame_level(video_id, rgb, audio, labels=None, ratings=None):
    """A serialized SequenceExample.

    Args:
      video_id: bytes.
      rgb, audio: uint8 [frames, size], or a list of byte strings; None leaves the feature out.
      labels: ints; None leaves them out, as in 3/frame/test.
      ratings: (start, class, score) triples, as in 3/frame/validate; None leaves them out.
    """
    context = {"id": bytes_feature([video_id])}
    if labels is not None:
        context["labels"] = int_feature(labels)
    if ratings is not None:
        starts, classes, scores = zip(*ratings) if ratings else ((), (), ())
        context.update(segment_start_times=int_feature(starts),
                       segment_end_times=int_feature([start + 5 for start in starts]),
                       segment_labels=int_feature(classes), segment_scores=float_feature(scores))
    lists = {name: tf.train.FeatureList(feature=[bytes_feature([bytes(frame)]) for frame in frames])
             for name, frames in (("rgb", rgb), ("audio", audio)) if frames is not None}
    return tf.train.SequenceExample(
        context=tf.train.Features(feature=context),
        feature_lists=tf.train.FeatureLists(feature_list=lists)).SerializeToString()


def video_level(video_id, mean_rgb, mean_audio, labels=()):
    """A serialized Example; mean_rgb and mean_audio are floats, None leaves the feature out."""
    features = {"id": bytes_feature([video_id]), "labels": int_feature(labels)}
    features.update((name, float_feature(values)) for name, values in
                    (("mean_rgb", mean_rgb), ("mean_audio", mean_audio)) if values is not None)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path, serialized):
    """Writes a shard of serialized records; returns its path as str."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in serialized:
            writer.write(record)
    return str(path)


def random_record(seed, frames=12, is_frame_level=True, rated=False):
    """A serialized video `v<seed>` with three labels or, if `rated`, two ratings for each whole segment."""
    random = np.random.RandomState(seed)
    video_id = b"v%03d" % seed
    labels = random.choice(NUM_CLASSES, 3, replace=False)
    if not is_frame_level:
        return video_level(video_id, random.randn(RGB), random.randn(AUDIO), labels)
    rgb, audio = random_frames(seed, frames)
    if not rated:
        return frame_level(video_id, rgb, audio, labels)
    return frame_level(video_id, rgb, audio, labels, [
        (start, label, score) for start in range(0, frames - 4, 5) for label, score in zip(labels, (1, 0))])


def write_shards(folder, num_shards=2, videos=3, frames=12, is_frame_level=True, rated=False,
                 name="validate%04d.tfrecord"):
    """Writes shards of `random_record`s, numbered from v000; returns their paths."""
    return [write(os.path.join(str(folder), name % shard),
                  [random_record(seed, frames, is_frame_level, rated)
                   for seed in range(shard * videos, (shard + 1) * videos)])
            for shard in range(num_shards)]


def fetch(dataset, view=lambda batch: batch):
    """List of a finite dataset's batches as NumPy; `view` is applied to their tensors first."""
    tensors = view(tf.compat.v1.data.make_one_shot_iterator(dataset).get_next())
    with tf.compat.v1.Session() as session:
        return fetched(session, tensors)


def fetched(session, tensors):
    """List of the values of tensors until the data end."""
    batches = []
    with contextlib.suppress(tf.errors.OutOfRangeError):
        while True:
            batches.append(session.run(tensors))
    return batches


class Pipeline(object):
    """Reads shards with a graph that is built once, as building it takes most of the time.

    Args:
      batches_of: function from the shards' paths, string [n], to a finite dataset.
      view: applied to the batches' tensors.
    """

    def __init__(self, batches_of, view=lambda batch: batch):
        with tf.Graph().as_default() as graph:
            self._paths = tf.compat.v1.placeholder(tf.string, [None])
            iterator = tf.compat.v1.data.make_initializable_iterator(batches_of(self._paths))
            self._initializer, self._fetched = iterator.initializer, view(iterator.get_next())
        self._session = tf.compat.v1.Session(graph=graph)

    def read(self, paths):
        """List of the batches of shards as NumPy."""
        self._session.run(self._initializer, {self._paths: paths})
        return fetched(self._session, self._fetched)
