"""Synthetic YouTube-8M videos: frame features whose labels can be learnt and are localized in time.

Classes come in themes, groups that occur together. A video shows some classes of one theme, each
in runs that start and end at any second, and rarely all the time. While a class is active its
prototype, a direction in feature space, adds to the frames, seen clearly at some seconds and
faintly at others. A second direction, its context, adds to all frames of the video alike. Video
labels are learnt most easily from the contexts, which say nothing of the time; a model that is to
find the segments must tell the prototypes apart.
"""
import collections
import contextlib
import os

import numpy as np
import tensorflow as tf

from src.common import files
from src.common.errors import InputError
from src.data import segments
from src.data import shards

RGB_BYTES = 1024  # of a frame
AUDIO_BYTES = 128
FRAME_BYTES = RGB_BYTES + AUDIO_BYTES

# The suffixes of the shards of a partition, in canonical order.
SUFFIXES = {"cloud": shards.CLOUD_SUFFIXES, "local": shards.LOCAL_SUFFIXES}

THEME_CLASSES = 4  # at most
MIN_LABELS = 2  # of a video; at most its whole theme
LONGEST_RUN, SHORTEST_RUN = 60, 15  # seconds that a class stays active, or absent, at a stretch
RATED_SEGMENTS = 5  # of a video, for one class
TWO_CLASSES_RATED = 0.1  # share of the videos

# Standard deviations per feature, in dequantized units, where a feature spans -2..2.
STYLE = 0.4  # a video's own look
CONTEXT = 0.05
PROTOTYPE = 0.08
LASTING_NOISE = 0.1  # drifts within NOISE_SECONDS
FRESH_NOISE = 0.1  # new each second
NOISE_SECONDS = 8
CLARITY = 1.0  # spread of a class's strength from second to second, in prototypes

_ID_CHARACTERS = np.frombuffer("".join(sorted(set("".join(shards.CLOUD_SUFFIXES)))).encode(), np.uint8)
_ID_LENGTH = 4
_NUM_IDS = len(_ID_CHARACTERS) ** _ID_LENGTH
_ID_FACTOR = 5700307  # shares no divisor with _NUM_IDS, so that multiples of it repeat late; scatters the ids

# folder and stem of the shards below the output folder; labels, ratings: whether the records hold them.
Partition = collections.namedtuple("Partition", "number folder stem labels ratings")
PARTITIONS = [Partition(1, "2/frame/train", "train", True, False),
              Partition(2, "2/frame/validate", "validate", True, False),
              Partition(3, "3/frame/validate", "validate", True, True),
              Partition(4, "3/frame/test", "test", False, False)]
MAX_VIDEOS_PER_SHARD = _NUM_IDS // (len(PARTITIONS) * shards.NUM_SHARDS)  # as many as there are ids for

# classes: int64 [classes], ascending; themes: list of arrays of indices into them; prototypes and
# contexts: float32 [classes, FRAME_BYTES].
World = collections.namedtuple("World", "classes themes prototypes contexts")

# labels: int64 [n], ascending; active: bool [frames, n], when each is to be seen;
# frames: uint8 [frames, FRAME_BYTES].
Video = collections.namedtuple("Video", "labels active frames")

# Arrays [ratings]: int64 starts in seconds, int64 labels, float32 scores 1 (present) or 0 (absent).
Ratings = collections.namedtuple("Ratings", "starts labels scores")


def generator(seed, *place):
    """Random generator for one place, ints of which the last is above 0; other places do not affect it."""
    return np.random.default_rng([seed] + list(place))


def create_world(rated_classes, num_classes, seed):
    """What all videos of a seed have in common.

    Args:
      rated_classes: the classes rated at segment level, of which `num_classes` are taken at random.
      num_classes: at least MIN_LABELS.
    """
    rng = generator(seed, len(PARTITIONS) + 1)
    classes = np.sort(rng.choice(rated_classes, num_classes, replace=False))
    themes = np.array_split(rng.permutation(num_classes), -(-num_classes // THEME_CLASSES))
    prototypes, contexts = rng.standard_normal([2, num_classes, FRAME_BYTES], np.float32)
    return World(classes, themes, PROTOTYPE * prototypes, CONTEXT * contexts)


def create_video(world, num_frames, rng):
    """A Video of `num_frames` seconds."""
    theme = world.themes[rng.integers(len(world.themes))]
    present = np.sort(rng.choice(theme, rng.integers(MIN_LABELS, len(theme) + 1), replace=False))
    active = _activity(num_frames, len(present), rng)
    strengths = CLARITY * rng.standard_normal([num_frames, len(world.classes)], np.float32)
    strengths[:, present] += active
    contexts = 2 * rng.random(len(present), np.float32)
    values = (STYLE * rng.standard_normal(FRAME_BYTES, np.float32) + contexts @ world.contexts[present]
              + strengths[:, theme] @ world.prototypes[theme] + _noise(num_frames, rng))
    return Video(world.classes[present], active, quantize(values))


def _activity(num_frames, count, rng):
    """bool [frames, count]: runs of activity and absence in turn; each class has at least one of both."""
    longest = min(LONGEST_RUN, num_frames // 2)
    shortest = min(SHORTEST_RUN, longest // 2)
    lengths = rng.integers(shortest, longest + 1, [-(-num_frames // shortest), count])
    changes = np.cumsum(lengths, axis=0)
    past = np.sum(np.arange(num_frames)[:, np.newaxis, np.newaxis] >= changes, axis=1)
    return (past + rng.integers(2, size=count)) % 2 == 1


def _noise(num_frames, rng):
    """float32 [frames, FRAME_BYTES]: each second's own noise plus the mean of the seconds around it."""
    fresh = rng.standard_normal([num_frames + NOISE_SECONDS, FRAME_BYTES], np.float32)
    sums = np.cumsum(fresh, axis=0)
    lasting = (sums[NOISE_SECONDS:] - sums[:-NOISE_SECONDS]) / np.sqrt(np.float32(NOISE_SECONDS))
    return FRESH_NOISE * fresh[NOISE_SECONDS:] + LASTING_NOISE * lasting


def quantize(values):
    """Bytes b for which b * 4/255 + 4/512 - 2 is nearest to the values, clipped to -2..2."""
    return np.clip(np.rint((values + np.float32(2 - 4 / 512.0)) * np.float32(255 / 4.0)), 0, 255).astype(np.uint8)


def rate(video, rng):
    """Ratings of RATED_SEGMENTS segments for one of a video's classes, for some videos for two.

    A class is present in a segment when it is active in most of its seconds.
    """
    num_segments = len(video.frames) // segments.SEGMENT_FRAMES
    whole = video.active[:num_segments * segments.SEGMENT_FRAMES]
    seconds = whole.reshape([num_segments, segments.SEGMENT_FRAMES, -1]).sum(axis=1)
    columns = np.sort(rng.permutation(len(video.labels))[:1 + (rng.random() < TWO_CLASSES_RATED)])
    rated = [rng.choice(num_segments, RATED_SEGMENTS, replace=False) for _ in columns]
    present = [seconds[chosen, column] > segments.SEGMENT_FRAMES // 2 for chosen, column in zip(rated, columns)]
    return Ratings(np.concatenate(rated) * segments.SEGMENT_FRAMES,
                   np.repeat(video.labels[columns], RATED_SEGMENTS), np.concatenate(present).astype(np.float32))
