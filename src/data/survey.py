"""The content of shards, and which shards are damaged or unusable, before a week of training finds out."""
import collections
import concurrent.futures
import contextlib
import functools
import os
import shutil
import tempfile
import typing

from google.protobuf.message import DecodeError
import numpy as np
import tensorflow as tf

from src.common import files
from src.common import interrupts
from src.common import storage
from src.common import system_errors
from src.common.errors import InputError
from src.common.errors import MachineError
from src.common.progress import Progress
from src.data import contents
from src.data import damage
from src.data import faults
from src.data import forms
from src.data import framing
from src.data import segment_ids
from src.data import segments
from src.data import shards

FRAME_LEVEL = forms.Form(True, [("rgb", 1024), ("audio", 128)], forms.NUM_CLASSES, forms.MAX_FRAMES)
MAX_FAULTS = 10  # sentences kept about unusable records of a shard

# What `Shard.counts` counts: usable and unusable records, what the usable ones hold, their ratings that start after the
# last frame, and their ratings that a later one of the same segment and class replaces.
COUNTS = ("videos", "unusable", "frames", "segments", "ratings", "positive_ratings", "ratings_after_the_video",
          "replaced_ratings")


class Shard(typing.NamedTuple):
    """What a shard holds."""
    path: str
    damage: str  # the sentence about a shard that does not read to its end, or None
    faults: list  # the first sentences about unusable records
    ids: np.ndarray  # bytes, of the records; empty for unusable records
    counts: collections.Counter  # of COUNTS
    labels: collections.Counter  # videos per class
    rated: collections.Counter  # ratings per class
    from_start: collections.Counter  # rated segments per position in their video, counted from 0
    from_end: collections.Counter  # rated segments per position, counted from 0 at the video's last segment
    lengths: collections.Counter  # videos per number of frames
    levels: collections.Counter  # records per level, True for frame-level and False for video-level


def read_shards(paths, form=FRAME_LEVEL):
    """List of the `Shard`s of paths, read by two threads per core.

    The records of a partition are frame-level, or they all are video-level, with the means of the features of `form`.
    Those of the rarer level are unusable; their shards are read twice.

    Python code reads each shard first; TensorFlow then reads it from the system's memory, and compares checksums.
    With two threads per core, some do the one and some the other. Memory: one record per thread, and the `Shard`s.
    Shards in a bucket are first copied to the temporary folder, one per thread.
    """
    progress = Progress("check", "shards", len(paths))
    checksums = framing.Checksums()
    with concurrent.futures.ThreadPoolExecutor(2 * os.cpu_count()) as executor:
        futures = [executor.submit(read_shard, path, form, checksums) for path in paths]
        try:
            for _ in concurrent.futures.as_completed(futures):
                progress.add(1)
            found = [future.result() for future in futures]
            for position, frame_level in _of_rarer_level(found):
                futures[position] = executor.submit(read_shard, paths[position], form, checksums, frame_level)
            found = [future.result() for future in futures]
        finally:
            for future in futures:  # stops those that have not begun
                future.cancel()
    progress.finish()
    return found


def _of_rarer_level(found):
    """Yields (position, level of its partition) of each Shard with records of the other level."""
    levels = collections.defaultdict(collections.Counter)
    for shard in found:
        levels[_partition(shard.path)].update(shard.levels)
    for position, shard in enumerate(found):
        of_partition = levels[_partition(shard.path)]
        frame_level = of_partition[True] >= of_partition[False]
        if shard.levels[not frame_level]:
            yield position, frame_level


def _partition(path):
    """What the shards of a partition have in common; the path itself if it is not named like YouTube-8M's."""
    name = shards.parse(path)
    return (os.path.dirname(path),) + name[:2] if name else path


def read_shard(path, form, checksums, frame_level=None):
    """The `Shard` at a path, local or gs://.

    Args:
      path: of the shard.
      form: the `forms.Form` of frame-level records.
      checksums: `framing.Checksums`.
      frame_level: whether records must be frame-level or video-level; None: each record may be either.
    """
    levels = {True: form, False: form._replace(
        frame_level=False, features=[("mean_" + name, size) for name, size in form.features])}
    shard = Shard(path, damage.no_file(path), [], np.array([], "S1"), *_counters())
    if shard.damage:
        return shard
    try:
        with _on_this_machine(path) as local:
            found = _read(path, framing.unchecked_records(local), levels, frame_level)
            if found.damage or not checksums.hold(local):
                found = _read(path, framing.records(local), levels, frame_level)
            return found
    except MachineError:
        raise
    except InputError as error:
        return shard._replace(damage=str(error))


def _counters():
    """New ones for a Shard, whose fields after `ids` they are."""
    return [collections.Counter() for _ in Shard._fields[Shard._fields.index("ids") + 1:]]


def _read(path, records, levels, frame_level):
    """The `Shard` of records, which are as those of `framing.records`; for the others see `_add`."""
    shard = Shard(path, None, [], [], *_counters())
    sentence = "%s is empty: fetch the shard again or leave it out." % path
    for index, (offset, serialized) in enumerate(records):
        sentence = damage.damaged(path, index, offset) if serialized is None else None
        fault = None if sentence else _add(shard, serialized, levels, frame_level)
        if fault and len(shard.faults) < MAX_FAULTS:
            shard.faults.append("%s, record %d, %s" % (path, index, fault))
    return shard._replace(damage=sentence, ids=np.array(shard.ids, "S1" if not shard.ids else "S"))


def _add(shard, serialized, levels, frame_level):
    """Adds a record to a Shard whose `ids` are still a list; returns the record's fault, or None.

    Args:
      shard: the Shard.
      serialized: the record.
      levels: {whether records are frame-level: their `forms.Form`}.
      frame_level: see `read_shard`.
    """
    try:
        found = contents.read_quickly(serialized, levels[True])
    except DecodeError:
        fault = faults.fault_of(serialized, levels[frame_level is not False])
    else:
        if found.frames or any(name in found.context for name, _ in levels[False].features):
            shard.levels[bool(found.frames)] += 1
            fault = faults.fault(found, levels[bool(found.frames) if frame_level is None else frame_level])
        else:
            fault = faults.fault(found, levels[frame_level is not False])
    if fault:
        shard.counts["unusable"] += 1
        shard.ids.append(b"")
        return fault
    _add_content(shard, found)
    shard.counts["videos"] += 1
    shard.ids.append(contents.values(found.context, "id")[0])
    return None


def _add_content(shard, found):
    for label in set(contents.values(found.context, "labels")):
        shard.labels[label] += 1
    length = max(found.frames.values(), default=0)
    if length:
        shard.lengths[length] += 1
    num_frames = min(length, forms.MAX_FRAMES)
    num_segments = -(-num_frames // segments.SEGMENT_FRAMES)
    shard.counts["frames"] += num_frames
    shard.counts["segments"] += num_segments
    if forms.RATINGS[0] in found.context:
        starts, classes, scores = (contents.values(found.context, name) for name in forms.RATINGS)
        rated = dict(zip(zip(starts, classes), scores))  # of several ratings, the last
        shard.rated.update(label for _, label in rated)
        shard.counts["ratings"] += len(rated)
        shard.counts["replaced_ratings"] += len(starts) - len(rated)
        shard.counts["positive_ratings"] += sum(score > 0 for score in rated.values())
        shard.counts["ratings_after_the_video"] += sum(start >= num_frames for start, _ in rated)
        for position in {start // segments.SEGMENT_FRAMES for start, _ in rated if start < num_frames}:
            shard.from_start[position] += 1
            shard.from_end[num_segments - 1 - position] += 1


@contextlib.contextmanager
def _on_this_machine(path):
    """The path of a shard, or of a copy of it in the temporary folder.

    Raises:
      InputError: it cannot be read.
    """
    try:
        with files.reading(path):
            if storage.local(path) is not None:
                yield path
                return
            folder = tempfile.mkdtemp()
            with interrupts.cleaning_up(functools.partial(shutil.rmtree, folder, ignore_errors=True)):
                copy = os.path.join(storage.as_path(folder), "shard")
                tf.io.gfile.copy(path, copy)
                yield copy
    except OSError as error:
        raise system_errors.input_error("%s cannot be read" % path, error.strerror)


def report(found):
    """A summary of `Shard`s: a list of OrderedDicts, one per folder and kind of name in it.

    Each holds the `folder`, the `stem` of the names (None for names unlike YouTube-8M's), the numbers of `shards` and
    `expected_shards` (or None), the names of `missing_shards`, sentences about `damaged_shards` and `unusable_records`,
    COUNTS, and the histograms `labels` {class: videos}, `rated` {class: ratings}, `lengths` {frames: videos}, and
    `rated_from_start` and `rated_from_end` {position of a segment in its video: rated segments}.
    """
    groups = collections.defaultdict(list)
    for shard in found:
        name = shards.parse(shard.path)
        groups[(os.path.dirname(shard.path),) + (name[:2] if name else ("", ""))].append(shard)
    return [_report(folder, stem, naming, groups[folder, stem, naming]) for folder, stem, naming in sorted(groups)]


def _report(folder, stem, naming, found):
    counts = _total(found, "counts")
    result = collections.OrderedDict([
        ("folder", folder), ("stem", stem or None), ("shards", len(found)),
        ("expected_shards", shards.NUM_SHARDS if naming else None),
        ("missing_shards", _missing(stem, naming, found) if naming else []),
        ("damaged_shards", [shard.damage for shard in found if shard.damage]),
        ("unusable_records", sum((shard.faults for shard in found), []))])
    result.update((name, counts[name]) for name in COUNTS)
    result.update((name, _total(found, name)) for name in ("labels", "rated", "lengths"))
    result.update(("rated_" + name, _total(found, name)) for name in ("from_start", "from_end"))
    return result


def _total(found, name):
    """Sum of the Counters `name` of `Shard`s."""
    result = collections.Counter()
    for shard in found:
        result.update(getattr(shard, name))
    return result


def _missing(stem, naming, found):
    """Names of the shards of a partition that were not found."""
    ranks = {shards.parse(shard.path).rank for shard in found}
    extension = os.path.splitext(found[0].path)[1]
    return [stem + suffix + extension for rank, suffix in enumerate(shards.SUFFIXES[naming]) if rank not in ranks]


def twice(found):
    """Records whose video occurs earlier in the `Shard`s: [(id, first record, this record)].

    Records are given as `PATH, record N`. Memory: the ids, and some 30 bytes for each.
    """
    ends = np.cumsum([len(shard.ids) for shard in found])
    ids = np.concatenate([shard.ids for shard in found])
    known = np.flatnonzero(ids != b"")
    repeated, firsts = (known[positions] for positions in segment_ids.repeats(ids[known]))

    def record(position):
        number = np.searchsorted(ends, position, side="right")
        return "%s, record %d" % (found[number].path, position - ends[number] + len(found[number].ids))

    return [(ids[position].decode("utf-8", "backslashreplace"), record(first), record(position))
            for first, position in zip(firsts, repeated)]
