"""Arbitrary names of shards, values of --shift and files of shifts."""
import re

from hypothesis import given
from hypothesis import strategies

from src.common.errors import InputError
from src.data import shards
from src.submission import shifts

CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
STEMS = strategies.sampled_from(["train", "validate", "test", "my_part-", "gs://b/3/frame/validate", "video", ""])
SUFFIXES = strategies.one_of(
    strategies.text(CHARACTERS, min_size=2, max_size=2), strategies.text("0123456789", max_size=5),
    strategies.integers(0, 4000).map("{:04d}".format), strategies.text(max_size=3))


def rank(path):
    """Canonical rank of a shard name: by its second character and then its first, or by its number."""
    name = path.rpartition("/")[2].rpartition(".")[0]
    matched = re.search(r"(?:^|[^0-9])([0-9]{4})$", name)
    if matched:
        return int(matched.group(1)) if int(matched.group(1)) < 3844 else None
    matched = re.search(r"(?:train|validate|test|[^0-9A-Za-z])([0-9A-Za-z]{2})$", name)
    return 62 * CHARACTERS.index(matched.group(1)[1]) + CHARACTERS.index(matched.group(1)[0]) if matched else None


@given(STEMS, SUFFIXES)
def test_the_rank_of_a_shard(stem, suffix):
    path = "%s%s.tfrecord" % (stem, suffix)
    try:
        found, = shards.ranks([path])
    except InputError as error:
        assert path in str(error) and str(error).endswith(".")
        found = None
    assert found == (None if "\n" in path else rank(path))


@given(strategies.sets(strategies.integers(0, 3843), min_size=1), strategies.integers(1, 3844), strategies.booleans())
def test_the_holdout_and_the_training_part_are_all_shards(ranks, size, cloud):
    paths = ["validate%s.tfrecord" % (CHARACTERS[one % 62] + CHARACTERS[one // 62] if cloud else "%04d" % one)
             for one in sorted(ranks)]
    parts = []
    for part in shards.holdout, shards.training:
        try:
            parts.append(part(paths[::-1], shards.Split(size)))
        except InputError:
            parts.append([])
    assert parts[0] + parts[1] == paths and len(parts[0]) == sum(one < size for one in ranks)


NUMBERS = strategies.one_of(
    strategies.integers(-400, 400), strategies.integers(), strategies.text("-+0123456789 ._e", max_size=4)).map(str)


@given(strategies.one_of(strategies.text(max_size=6), strategies.lists(NUMBERS, max_size=4).map(",".join)))
def test_shifts(given_text):
    numbers = given_text.split(",")
    expected = None
    if all(re.fullmatch(" *[-+]?[0-9]{1,6} *", number) for number in numbers):
        expected = [int(number) for number in numbers]
        expected = expected if len(set(expected)) == len(expected) else None
    try:
        assert shifts.parse(given_text, True) == expected
    except InputError as error:
        assert expected is None and str(error).startswith("--shift=" + given_text)


@given(strategies.text("ab_.shift1-/", max_size=12),
       strategies.sets(strategies.integers(-9, 9), min_size=2, max_size=5).map(sorted))
def test_files_of_shifts_are_told_apart_and_found_again(path, frames):
    names = shifts.outputs(path + ".csv", frames)
    assert len(set(names)) == len(names)
    if shifts.split(path + ".csv") == (path + ".csv", 0) and not path.endswith("/"):
        in_order = [names[frames.index(shift)] for shift in shifts.order(frames)]
        assert shifts.group(names) == {path + ".csv": in_order}
