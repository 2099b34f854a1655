"""Synthetic YouTube-8M videos: frame features whose labels can be learnt and are localized in time.

Classes come in themes, groups that occur together. A video shows some classes of one theme, each in runs that start and
end at any second, and never all the time. While a class is active, its prototype, a direction in feature space, is
added to the frames, clearly at some seconds and faintly at others. A second direction, its context, is added to all
frames of the video alike. Video labels are learnt most easily from the contexts, which do not depend on time; to find
the segments, a model must recognise the prototypes.

In a world of twins, two classes have the same prototype, a video shows one of the two, and its context is in the frames
in which no class is active. Then only these frames tell twins apart, and no model of a segment alone can. Half of the
rated classes are the twin that the video does not show.
"""
import os
import string
import typing

import numpy as np

from src.data import segments
from src.data import shards
from src.data import writing

RGB_BYTES = 1024  # of a frame
AUDIO_BYTES = 128
FRAME_BYTES = RGB_BYTES + AUDIO_BYTES

THEME_CLASSES = 4  # at most
MIN_LABELS = 2  # of a video; at most its whole theme
SHORTEST_STRETCH = 15  # seconds that a class is active, or absent
LONGEST_RUN, LONGEST_GAP = 60, 90  # seconds that it is active, and absent
RATED_SEGMENTS = 5  # of a video, for one class
TWO_CLASSES_RATED = 0.1  # share of the videos
TWIN_RATED = 0.5  # share of the rated classes that are the absent twin

# Standard deviations per feature, in dequantized units, where a feature spans -2..2. With them a small model that is
# fine-tuned on some hundred videos does well, but not perfectly: about 0.85 mAP, against 0.75 after training on video
# labels alone and 0.5 by chance.
STYLE = 0.4  # a video's own look
CONTEXT = 0.06
TWINS_CONTEXT = 0.18  # stronger, as it is in some frames only
PROTOTYPE = 0.2
CLARITY = 0.7  # of the strength of a class from second to second, in prototypes
FRESH_NOISE = 0.1  # new each second
LASTING_NOISE = 0.1  # drifts within NOISE_SECONDS
NOISE_SECONDS = 8

# Names of the classes: a theme is a scene, Harbour or Old harbour, and a class is a thing in it.
_KINDS = ["", "Old", "Little", "Northern", "Busy", "Quiet", "Summer", "Winter", "Painted", "Hidden"]
_SCENES = ["Harbour", "Kitchen", "Orchard", "Workshop", "Meadow", "Station", "Theatre", "Market", "Library", "Glacier",
           "Bakery", "Lighthouse", "Stadium", "Desert", "Aquarium", "Village", "Forest", "Airfield", "Museum", "Canal",
           "Vineyard", "Quarry", "Garden", "Island", "Tunnel"]
_THINGS = ["lantern", "rope", "bell", "wheel", "kite", "drum", "ladder", "basket", "mirror", "whistle", "compass"]

_ID_CHARACTERS = np.frombuffer((string.digits + string.ascii_letters).encode(), np.uint8)
_ID_LENGTH = 4
_NUM_IDS = len(_ID_CHARACTERS) ** _ID_LENGTH
_ID_FACTOR = 5700307  # has no divisor in common with _NUM_IDS: scatters the ids and repeats none


class Partition(typing.NamedTuple):
    """A partition of the data set."""
    number: int  # from 1
    folder: str  # of the shards, below the output folder
    stem: str  # of the shards' names
    labels: bool  # whether the records hold labels
    ratings: bool  # whether the records hold ratings


PARTITIONS = [Partition(1, "2/frame/train", "train", True, False),
              Partition(2, "2/frame/validate", "validate", True, False),
              Partition(3, "3/frame/validate", "validate", True, True),
              Partition(4, "3/frame/test", "test", False, False)]
MAX_VIDEOS_PER_SHARD = _NUM_IDS // (len(PARTITIONS) * shards.NUM_SHARDS)  # limited by the number of ids


class World(typing.NamedTuple):
    """What all videos of a seed have in common."""
    classes: np.ndarray  # int64 [classes], ascending
    themes: list  # of arrays of indices into the classes
    prototypes: np.ndarray  # float32 [classes, FRAME_BYTES]
    contexts: np.ndarray  # float32 [classes, FRAME_BYTES]
    twins: bool = False  # whether the 1st and the 2nd class of each theme are twins, the 3rd and the 4th, and so on


class Video(typing.NamedTuple):
    """A video and what it shows."""
    labels: np.ndarray  # int64 [labels], ascending
    active: np.ndarray  # bool [frames, labels], when each class is to be seen
    frames: np.ndarray  # uint8 [frames, FRAME_BYTES]
    twins: np.ndarray = None  # int64 [labels], their twins, or they themselves where there is none


def generator(seed, *key):
    """Random generator for a key of ints, the last above 0; independent of the generators for other keys."""
    return np.random.default_rng([seed] + list(key))


def create_world(rated_classes, num_classes, seed, twins=False):
    """The World of a seed.

    Args:
      rated_classes: the classes rated at segment level; `num_classes` of them are drawn at random.
      num_classes: at least MIN_LABELS.
      twins: whether classes are twins.
    """
    rng = generator(seed, len(PARTITIONS) + 1)
    classes = np.sort(rng.choice(rated_classes, num_classes, replace=False))
    themes = [np.sort(theme) for theme in
              np.array_split(rng.permutation(num_classes), -(-num_classes // THEME_CLASSES))]
    prototypes, contexts = rng.standard_normal([2, num_classes, FRAME_BYTES], np.float32)
    if twins:
        for theme in themes:
            prototypes[theme[1::2]] = prototypes[theme[:-1:2]]
    return World(classes, themes, PROTOTYPE * prototypes, (TWINS_CONTEXT if twins else CONTEXT) * contexts, twins)


def titles(world):
    """List of (name of the class, name of its theme) in a world, such as ("Old harbour: rope", "Old harbour")."""
    found = [None] * len(world.classes)
    for number, theme in enumerate(world.themes):
        kinds, scene = divmod(number, len(_SCENES))
        again, kind = divmod(kinds, len(_KINDS))
        name = " ".join(filter(None, [_KINDS[kind], _SCENES[scene], str(again + 1) * bool(again)])).capitalize()
        for index, column in enumerate(theme):
            found[column] = "%s: %s" % (name, _THINGS[(number + index) % len(_THINGS)]), name
    return found


def create_video(world, num_frames, rng):
    """A Video of `num_frames` seconds, drawn with a generator."""
    theme = world.themes[rng.integers(len(world.themes))]
    if world.twins:
        sides = rng.integers(2, size=-(-len(theme) // 2))
        shown, hidden = (np.minimum(2 * np.arange(len(sides)) + side, len(theme) - 1) for side in (sides, 1 - sides))
    else:
        shown = np.sort(rng.permutation(len(theme))[:rng.integers(MIN_LABELS, len(theme) + 1)])
    active = _activity(num_frames, len(shown), rng)
    strengths = CLARITY * rng.standard_normal([num_frames, len(theme)], np.float32)
    strengths[:, shown] += active
    # Not @: BLAS rounds differently on other processors, and its idle threads slow other work down.
    context = np.einsum("c,cf->f", 2 * rng.random(len(shown), np.float32), world.contexts[theme[shown]])
    if world.twins:
        context = ~active.any(axis=1)[:, np.newaxis] * context
    evidence = np.einsum("tc,cf->tf", strengths, world.prototypes[theme])
    style = STYLE * rng.standard_normal(FRAME_BYTES, np.float32)
    values = style + context + evidence + _noise(num_frames, rng)
    return Video(world.classes[theme[shown]], active, writing.quantize(values),
                 world.classes[theme[hidden]] if world.twins else None)


def _activity(num_frames, count, rng):
    """bool [frames, count]: alternating runs and gaps of each class, at least one of both."""
    longest_run, longest_gap = min(LONGEST_RUN, num_frames // 2), min(LONGEST_GAP, num_frames // 2)
    shortest = min(SHORTEST_STRETCH, num_frames // 4)
    stretches = np.arange(-(-num_frames // shortest) + 1)[:, np.newaxis]
    active = (stretches + rng.integers(2, size=count)) % 2 == 0
    ends = np.cumsum(rng.integers(shortest, np.where(active, longest_run, longest_gap) + 1), axis=0)
    past = np.sum(np.arange(num_frames)[:, np.newaxis, np.newaxis] >= ends, axis=1)
    return np.take_along_axis(active, past, axis=0)


def _noise(num_frames, rng):
    """float32 [frames, FRAME_BYTES]: noise of each second plus the mean noise of the seconds around it."""
    fresh = rng.standard_normal([num_frames + NOISE_SECONDS, FRAME_BYTES], np.float32)
    sums = np.cumsum(fresh, axis=0)
    lasting = (sums[NOISE_SECONDS:] - sums[:-NOISE_SECONDS]) / np.sqrt(np.float32(NOISE_SECONDS))
    return FRESH_NOISE * fresh[NOISE_SECONDS:] + LASTING_NOISE * lasting


def rate(video, rng):
    """VideoRatings of RATED_SEGMENTS segments for one of a video's classes; for some videos, for two classes.

    A class is present in a segment if it is active in most of its seconds. Where classes are twins, half of the rated
    ones are the video's classes' twins, which are nowhere present.
    """
    num_segments = len(video.frames) // segments.SEGMENT_FRAMES
    whole = video.active[:num_segments * segments.SEGMENT_FRAMES]
    present = whole.reshape([num_segments, segments.SEGMENT_FRAMES, -1]).mean(axis=1) > 0.5
    columns = np.sort(rng.permutation(len(video.labels))[:1 + (rng.random() < TWO_CLASSES_RATED)])
    rated = [rng.choice(num_segments, RATED_SEGMENTS, replace=False) for _ in columns]
    labels = video.labels[columns]
    if video.twins is not None:
        labels = np.where(rng.random(len(columns)) < TWIN_RATED, video.twins[columns], labels)
    rated = np.concatenate(rated)
    columns, labels = (np.repeat(each, RATED_SEGMENTS) for each in (columns, labels))
    scores = present[rated, columns] & (labels == video.labels[columns])
    return writing.VideoRatings(rated * segments.SEGMENT_FRAMES, labels, scores.astype(np.float32))


def video_id(partition, shard, video):
    """A unique id of four bytes.

    Args:
      partition: Partition.
      shard: its rank.
      video: number of the video in the shard, below MAX_VIDEOS_PER_SHARD.
    """
    number = ((partition.number - 1) * shards.NUM_SHARDS + shard) * MAX_VIDEOS_PER_SHARD + video
    base = len(_ID_CHARACTERS)
    digits = number * _ID_FACTOR % _NUM_IDS // base ** np.arange(_ID_LENGTH) % base
    return _ID_CHARACTERS[digits].tobytes()


def shard_path(output_dir, partition, naming, shard):
    """Path of a shard; `shard` is its rank."""
    name = "%s%s.tfrecord" % (partition.stem, shards.SUFFIXES[naming][shard])
    return os.path.join(output_dir, partition.folder, name)


def write_shard(path, partition, shard, world, num_videos, frame_range, seed):
    """Writes a shard, which appears under its name only when it is whole.

    Args:
      path: of the shard.
      partition: Partition.
      shard: rank of the shard in the partition.
      world: World.
      num_videos: in the shard.
      frame_range: fewest and most frames of a video; two in five have the most.
      seed: see `generator`.

    Returns:
      List of (id, number of frames, labels) of its videos.

    Raises:
      InputError: the shard cannot be written.
    """
    rng = generator(seed, shard, partition.number)
    fewest, most = frame_range
    written = []

    def videos():
        for number in range(num_videos):
            name = video_id(partition, shard, number)
            num_frames = int(np.interp(rng.random(), [0, 0.6, 1], [fewest, most, most]))
            video = create_video(world, num_frames, rng)
            lists = {"rgb": video.frames[:, :RGB_BYTES], "audio": video.frames[:, RGB_BYTES:]}
            yield writing.serialize(name, video.labels if partition.labels else None, lists,
                                    rate(video, rng) if partition.ratings else None)
            written.append((name, num_frames, video.labels))

    writing.write_shard(path, videos())
    return written
