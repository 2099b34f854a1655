"""Canonical order of YouTube-8M shards, and the holdout it defines.

A partition has 3,844 shards. Cloud names, which data.yt8m.org serves, end in two characters of 0-9a-zA-Z, ordered by
the second and then the first: 00 10 .. Z0 01 11 ..; local names end in 0000..3843. The holdout is the first shards in
that order, whichever are on disk, so that all machines agree on it.
"""
import logging
import os
import re
import string
import typing

from absl import flags

from src.common.errors import InputError

log = logging.getLogger("yt8m")

_CHARACTERS = string.digits + string.ascii_lowercase + string.ascii_uppercase
CLOUD_SUFFIXES = [first + second for second in _CHARACTERS for first in _CHARACTERS]
NUM_SHARDS = len(CLOUD_SUFFIXES)
LOCAL_SUFFIXES = ["%04d" % rank for rank in range(NUM_SHARDS)]
SUFFIXES = {"cloud": CLOUD_SUFFIXES, "local": LOCAL_SUFFIXES}
_RANKS = {naming: {suffix: rank for rank, suffix in enumerate(suffixes)} for naming, suffixes in SUFFIXES.items()}

# Two letters may also end a word, as in "validate": they are a suffix only after a partition's name or a separator.
_STEM = re.compile(r"^(?:.*[^0-9])?([0-9]{4})$|^.*(?:train|validate|test|[^0-9A-Za-z])([0-9A-Za-z]{2})$")


class Name(typing.NamedTuple):
    """A shard's name."""
    stem: str  # before the suffix
    naming: str  # cloud or local
    rank: int  # in canonical order, 0..3843


def define_flags():
    """Flags of the split; the published commands pass `google_cloud`."""
    flags.DEFINE_integer("holdout_shards", 300, "First shards of the validation partition, in canonical order, "
                         "held out of training for evaluation and out-of-fold predictions; 0 = no split.",
                         lower_bound=0, upper_bound=NUM_SHARDS)
    flags.DEFINE_bool("google_cloud", False, "No effect: the names themselves show whether they are cloud or local "
                      "shard names.")


def parse(path):
    """The `Name` of a shard; None if the path is not named like a shard."""
    base = os.path.splitext(os.path.basename(path))[0]
    matched = _STEM.match(base)
    suffix = matched and (matched.group(1) or matched.group(2))
    naming = suffix and ("local" if len(suffix) == 4 else "cloud")
    if not suffix or suffix not in _RANKS[naming]:
        return None
    return Name(base[:-len(suffix)], naming, _RANKS[naming][suffix])


def ranks(paths):
    """Canonical rank, 0..3843, of each shard.

    Raises:
      InputError: a name has no shard suffix, or cloud and local names are mixed.
    """
    result, namings = [], {}
    for path in paths:
        name = parse(path)
        if not name:
            raise InputError("%s is not named like a YouTube-8M shard (validate00..validateZZ or "
                             "validate0000..validate3843), so it is not part of the split: rename it, or pass "
                             "--holdout_shards=0 to read every file." % path)
        namings.setdefault(name.naming, path)
        result.append(name.rank)
    if len(namings) > 1:
        raise InputError("%s has a cloud shard name and %s a local one: give a pattern that matches only one kind."
                         % (namings["cloud"], namings["local"]))
    return result


def ordered(paths):
    """The shards sorted by folder and name, those of a partition in canonical order."""
    def key(path):
        name = parse(path)
        return (os.path.dirname(path), name.stem if name else "", name.rank if name else 0, path)

    return sorted(paths, key=key)


def holdout(paths, size):
    """The shards among the first `size` of the partition, in canonical order; all if `size` is 0.

    Raises:
      InputError: there are none.
    """
    if not size:
        return paths
    return _part(paths, "holdout", lambda rank: rank < size, size,
                 "lower-ranked shards are missing, or raise --holdout_shards (0 = no split)")


def training(paths, size):
    """The shards outside the holdout, in canonical order; all if `size` is 0.

    Raises:
      InputError: there are none.
    """
    if not size:
        return paths
    return _part(paths, "training part", lambda rank: rank >= size, NUM_SHARDS - size,
                 "lower --holdout_shards (0 = no split)")


def _part(paths, name, belongs, expected, remedy):
    ranked = sorted((rank, path) for rank, path in zip(ranks(paths), paths) if belongs(rank))
    if not ranked:
        raise InputError("None of the %d shards such as %s belongs to the %s: %s."
                         % (len(paths), paths[0], name, remedy))
    log.info("%s: found %d of %d shards, %s to %s", name, len({rank for rank, _ in ranked}), expected,
             os.path.basename(ranked[0][1]), os.path.basename(ranked[-1][1]))
    return [path for _, path in ranked]
