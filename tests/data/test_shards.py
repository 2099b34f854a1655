"""The order of shards and the holdout are the same on every machine, whatever is on disk."""
import random

import pytest

from src.common.errors import InputError
from src.data import shards
from tests import declared

CLOUD_BEGIN = ["%s0" % first for first in "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]


def paths(suffixes, stem="validate", folder="/data"):
    return ["%s/%s%s.tfrecord" % (folder, stem, suffix) for suffix in suffixes]


def test_cloud_names_are_ordered_by_the_second_character_then_the_first():
    in_order = paths(CLOUD_BEGIN + ["01", "11", "Z1", "0a", "1a", "0A", "ZA", "0Z", "YZ", "ZZ"])
    shuffled = random.Random(1).sample(in_order, len(in_order))
    assert shards.holdout(shuffled, 3844) == in_order
    assert shards.ranks(paths(["00", "10", "a0", "Z0", "01", "ZZ"])) == [0, 1, 10, 61, 62, 3843]


def test_local_names_are_ordered_by_number():
    assert shards.holdout(paths(["0300", "3843", "0010"]), 3844) == paths(["0010", "0300", "3843"])
    assert shards.ranks(paths(["0000", "0299", "3843"])) == [0, 299, 3843]


@pytest.mark.parametrize("suffixes, held_out", [
    (["0000", "0299", "0300", "3843"], ["0000", "0299"]),
    (["00", "Z3", "P4", "Q4", "0a", "ZZ"], ["00", "Z3", "P4"]),  # 4 * 62 + 51 = 299 is P4
    (["0299"], ["0299"]),
    (["Q4", "0M", "P4"], ["P4"])])
def test_the_holdout_is_the_first_by_rank_and_training_the_rest(suffixes, held_out):
    rest = [suffix for suffix in suffixes if suffix not in held_out]
    assert shards.holdout(paths(suffixes), 300) == paths(held_out)
    if rest:
        assert shards.training(paths(suffixes), 300) == paths(rest)


def test_a_missing_shard_moves_no_other_between_the_parts():
    there = paths(["00", "20", "40", "60"])
    assert shards.holdout(there, 3) == paths(["00", "20"])
    assert shards.training(there, 3) == paths(["40", "60"])


@pytest.mark.parametrize("part", [shards.holdout, shards.training])
def test_no_split_takes_every_file_whatever_its_name(part):
    assert part(["/data/one", "/data/0000"], 0) == ["/data/one", "/data/0000"]


@pytest.mark.parametrize("stem", ["train", "validate", "test", "my_part-"])
def test_either_naming_is_recognised_behind_any_stem(stem):
    for suffix, rank in ("10", 1), ("0010", 10):
        assert shards.ranks(paths([suffix], stem, "gs://bucket/2/frame")) == [rank]


@pytest.mark.parametrize("stem", ["validate", "train", "video", "validate0", "validate3844", "validate12345",
                                  "validate_"])
@pytest.mark.parametrize("part", [shards.holdout, shards.training])
def test_a_name_without_a_shard_suffix_is_named(part, stem):
    with pytest.raises(InputError) as error:
        part(paths(["0000"]) + paths([""], stem), 300)
    assert str(error.value).startswith("/data/%s.tfrecord is not named like a YouTube-8M shard" % stem)
    assert "--holdout_shards=0" in str(error.value)


def test_mixed_namings_are_refused_with_one_file_of_each():
    with pytest.raises(InputError) as error:
        shards.holdout(paths(["0000", "0001", "a0"]), 300)
    assert str(error.value) == (
        "/data/validatea0.tfrecord has a cloud shard name and /data/validate0000.tfrecord a local one: give "
        "a pattern that matches only one kind.")


@pytest.mark.parametrize("part, suffixes, name", [
    (shards.holdout, ["0300", "0301"], "holdout"), (shards.training, ["0000", "0299"], "training part")])
def test_no_member_of_the_part_is_an_error_with_the_remedy(part, suffixes, name):
    there = paths(suffixes)
    with pytest.raises(InputError) as error:
        part(there, 300)
    assert str(error.value).startswith(
        "None of the 2 shards such as %s belongs to the %s:" % (there[0], name))
    assert "--holdout_shards" in str(error.value)


@pytest.mark.parametrize("part, line", [
    (shards.holdout, "holdout: found 2 of 300 shards, validate0002.tfrecord to validate0299.tfrecord"),
    (shards.training, "training part: found 3 of 3544 shards, validate0300.tfrecord to "
                      "validate0400.tfrecord")])
def test_one_line_says_how_many_of_how_many_are_there(part, line, caplog, monkeypatch):
    monkeypatch.setattr(shards.log, "propagate", True)  # programs switch it off
    with caplog.at_level("INFO", logger="yt8m"):
        part(paths(["0400", "0002", "0300", "0299", "0350"]), 300)
    assert caplog.messages == [line]


def test_flags_have_the_published_names(monkeypatch):
    assert declared.flags_of(monkeypatch, shards) == dict(holdout_shards=300, google_cloud=False)
