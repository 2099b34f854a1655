"""Canonical order of YouTube-8M shards, and the holdout it defines.

A partition has 3,844 shards. Cloud names, which data.yt8m.org serves, end in two characters of 0-9a-zA-Z, ordered by
the second and then the first: 00 10 .. Z0 01 11 ..; local names end in 0000..3843. The holdout is the first shards in
that order, or every n-th shard, whichever are on disk, so that all machines agree on it.
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


class Split(typing.NamedTuple):
    """What is held out of training: the first shards or, if there are folds, those of one fold."""
    holdout_shards: int = 0  # number of first shards; 0 = no split
    num_folds: int = None
    fold: int = None  # holds the shards whose rank modulo num_folds it is

    def holds_out(self, rank):
        """Whether the shard of a rank is in the holdout."""
        return rank < self.holdout_shards if self.num_folds is None else rank % self.num_folds == self.fold

    @property
    def recorded(self):
        """How results.csv names it, in the column holdout_shards; see `parse_recorded`."""
        return self.holdout_shards if self.num_folds is None else "fold %d of %d" % (self.fold, self.num_folds)


def parse_recorded(text):
    """Text of the column holdout_shards -> what `Split.recorded` was.

    Raises:
      ValueError: it was something else.
    """
    return text if re.fullmatch("fold [0-9]+ of [0-9]+", text) else int(text)


def define_flags():
    """Flags of the split; the published commands pass `google_cloud`."""
    flags.DEFINE_integer("holdout_shards", 300, "First shards of the validation partition, in canonical order, "
                         "held out of training for evaluation and out-of-fold predictions; 0 = no split.",
                         lower_bound=0, upper_bound=NUM_SHARDS)
    flags.DEFINE_integer("num_folds", None, "Instead of --holdout_shards: split the shards into this many "
                         "folds. Fold k has the shards whose rank in canonical order, modulo --num_folds, is k.")
    flags.DEFINE_integer("fold", None, "With --num_folds: the fold that is held out, from 0 on.")
    flags.DEFINE_bool("google_cloud", False, "No effect: the names themselves show whether they are cloud or local "
                      "shard names.")


def split(args):
    """The Split that the flags describe.

    Raises:
      InputError: they contradict each other, or there is no such fold.
    """
    num_folds, fold = args.num_folds, args.fold
    if num_folds is None and fold is None:
        return Split(args.holdout_shards)
    if num_folds is None or fold is None:
        raise InputError("--num_folds and --fold belong together: give both, such as --num_folds=5 --fold=2, or "
                         "neither.")
    if not 2 <= num_folds <= NUM_SHARDS:
        raise InputError("--num_folds=%d is outside 2..%d: give another number of folds." % (num_folds, NUM_SHARDS))
    if not 0 <= fold < num_folds:
        raise InputError("--fold=%d is outside 0..%d, the folds of --num_folds=%d: give one of them."
                         % (fold, num_folds - 1, num_folds))
    if args["holdout_shards"].present:
        raise InputError("Give either --holdout_shards=%d or --num_folds=%d --fold=%d: both say what is held out."
                         % (args.holdout_shards, num_folds, fold))
    return Split(num_folds=num_folds, fold=fold)


def parse(path):
    """The `Name` of a shard; None if the path is not named like a shard."""
    base = os.path.splitext(os.path.basename(path))[0]
    matched = _STEM.match(base)
    suffix = matched and (matched.group(1) or matched.group(2))
    naming = suffix and ("local" if len(suffix) == 4 else "cloud")
    if not suffix or suffix not in _RANKS[naming]:
        return None
    return Name(base[:-len(suffix)], naming, _RANKS[naming][suffix])


def ranks(paths, instead=""):
    """Canonical rank, 0..3843, of each shard.

    Args:
      paths: of the shards.
      instead: what to leave out for --holdout_shards=0, for errors.

    Raises:
      InputError: a name has no shard suffix, or cloud and local names are mixed.
    """
    result, namings = [], {}
    for path in paths:
        name = parse(path)
        if not name:
            raise InputError("%s is not named like a YouTube-8M shard (validate00..validateZZ or "
                             "validate0000..validate3843), so it is not part of the split: rename it, or pass "
                             "--holdout_shards=0%s to read every file." % (path, instead))
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


def holdout(paths, split_):
    """The shards in the holdout of a `Split`, in canonical order; all if there is no split.

    Raises:
      InputError: there are none.
    """
    return _part(paths, split_, True)


def training(paths, split_):
    """The shards outside the holdout of a `Split`, in canonical order; all if there is no split.

    Raises:
      InputError: there are none.
    """
    return _part(paths, split_, False)


def _part(paths, split_, held_out):
    if split_ == Split():
        return paths
    name, instead = "holdout" if held_out else "training part", ""
    remedy = "lower-ranked shards are missing, or raise" if held_out else "lower"
    remedy += " --holdout_shards (0 = no split)"
    if split_.num_folds:
        name, instead = "%s of %s" % (name, split_.recorded), " instead of --num_folds and --fold"
        remedy = "give the whole partition, or --holdout_shards=0%s" % instead
    ranked = sorted((rank, path) for rank, path in zip(ranks(paths, instead), paths)
                    if split_.holds_out(rank) == held_out)
    if not ranked:
        raise InputError("None of the %d shards such as %s belongs to the %s: %s."
                         % (len(paths), paths[0], name, remedy))
    log.info("%s: found %d of %d shards, %s to %s", name, len({rank for rank, _ in ranked}),
             sum(split_.holds_out(rank) == held_out for rank in range(NUM_SHARDS)),
             os.path.basename(ranked[0][1]), os.path.basename(ranked[-1][1]))
    return [path for _, path in ranked]
