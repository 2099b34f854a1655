"""The order of shards and the holdout are the same on every machine, whatever is on disk."""
import random
import types

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
    assert shards.holdout(shuffled, shards.Split(3844)) == in_order
    assert shards.ranks(paths(["00", "10", "a0", "Z0", "01", "ZZ"])) == [0, 1, 10, 61, 62, 3843]


def test_local_names_are_ordered_by_number():
    assert shards.holdout(paths(["0300", "3843", "0010"]), shards.Split(3844)) == paths(["0010", "0300", "3843"])
    assert shards.ranks(paths(["0000", "0299", "3843"])) == [0, 299, 3843]


@pytest.mark.parametrize("suffixes, held_out", [
    (["0000", "0299", "0300", "3843"], ["0000", "0299"]),
    (["00", "Z3", "P4", "Q4", "0a", "ZZ"], ["00", "Z3", "P4"]),  # 4 * 62 + 51 = 299 is P4
    (["0299"], ["0299"]),
    (["Q4", "0M", "P4"], ["P4"])])
def test_the_holdout_is_the_first_by_rank_and_training_the_rest(suffixes, held_out):
    rest = [suffix for suffix in suffixes if suffix not in held_out]
    assert shards.holdout(paths(suffixes), shards.Split(300)) == paths(held_out)
    if rest:
        assert shards.training(paths(suffixes), shards.Split(300)) == paths(rest)


def test_a_missing_shard_moves_no_other_between_the_parts():
    there = paths(["00", "20", "40", "60"])
    assert shards.holdout(there, shards.Split(3)) == paths(["00", "20"])
    assert shards.training(there, shards.Split(3)) == paths(["40", "60"])


@pytest.mark.parametrize("part", [shards.holdout, shards.training])
def test_no_split_takes_every_file_whatever_its_name(part):
    assert part(["/data/one", "/data/0000"], shards.Split()) == ["/data/one", "/data/0000"]


@pytest.mark.parametrize("stem", ["train", "validate", "test", "my_part-"])
def test_either_naming_is_recognised_behind_any_stem(stem):
    for suffix, rank in ("10", 1), ("0010", 10):
        assert shards.ranks(paths([suffix], stem, "gs://bucket/2/frame")) == [rank]


@pytest.mark.parametrize("stem", ["validate", "train", "video", "validate0", "validate3844", "validate12345",
                                  "validate_"])
@pytest.mark.parametrize("part", [shards.holdout, shards.training])
def test_a_name_without_a_shard_suffix_is_named(part, stem):
    with pytest.raises(InputError) as error:
        part(paths(["0000"]) + paths([""], stem), shards.Split(300))
    assert str(error.value).startswith("/data/%s.tfrecord is not named like a YouTube-8M shard" % stem)
    assert "--holdout_shards=0" in str(error.value)


def test_mixed_namings_are_refused_with_one_file_of_each():
    with pytest.raises(InputError) as error:
        shards.holdout(paths(["0000", "0001", "a0"]), shards.Split(300))
    assert str(error.value) == (
        "/data/validatea0.tfrecord has a cloud shard name and /data/validate0000.tfrecord a local one: give "
        "a pattern that matches only one kind.")


@pytest.mark.parametrize("part, suffixes, name", [
    (shards.holdout, ["0300", "0301"], "holdout"), (shards.training, ["0000", "0299"], "training part")])
def test_no_member_of_the_part_is_an_error_with_the_remedy(part, suffixes, name):
    there = paths(suffixes)
    with pytest.raises(InputError) as error:
        part(there, shards.Split(300))
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
        part(paths(["0400", "0002", "0300", "0299", "0350"]), shards.Split(300))
    assert caplog.messages == [line]


def test_flags_have_the_published_names(monkeypatch):
    assert declared.flags_of(monkeypatch, shards) == dict(
        holdout_shards=300, num_folds=None, fold=None, google_cloud=False)


# Folds.


@pytest.mark.parametrize("suffixes", [
    ["0000", "0001", "0002", "0007", "3842", "3843"], ["00", "10", "20", "70", "YZ", "ZZ"]])
def test_a_fold_holds_out_the_shards_of_its_remainder_and_trains_on_the_others(suffixes):
    """3842 and 3843 are 2 and 3 modulo 5."""
    there, fold = paths(suffixes), shards.Split(num_folds=5, fold=2)
    assert shards.holdout(there[::-1], fold) == [there[2], there[3], there[4]]
    assert shards.training(there[::-1], fold) == [there[0], there[1], there[5]]


def test_each_shard_is_held_out_by_one_fold():
    there = paths("%04d" % rank for rank in range(3844))
    folds = [shards.holdout(there, shards.Split(num_folds=7, fold=fold)) for fold in range(7)]
    assert sorted(sum(folds, [])) == there and {len(fold) for fold in folds} == {549, 550}


@pytest.mark.parametrize("part, line", [
    (shards.holdout, "holdout of fold 3 of 5: found 1 of 769 shards, validate0003.tfrecord to validate0003.tfrecord"),
    (shards.training, "training part of fold 3 of 5: found 2 of 3075 shards, validate0002.tfrecord to "
                      "validate0004.tfrecord")])
def test_the_line_about_a_fold_names_it(part, line, caplog, monkeypatch):
    monkeypatch.setattr(shards.log, "propagate", True)
    with caplog.at_level("INFO", logger="yt8m"):
        part(paths(["0002", "0003", "0004"]), shards.Split(num_folds=5, fold=3))
    assert caplog.messages == [line]


def test_a_fold_without_shards_is_an_error():
    with pytest.raises(InputError, match="None of the 1 shards such as .*0001.* belongs to the holdout of fold 2 of 5: "
                                         "give the whole partition, or --holdout_shards=0 instead of --num_folds"):
        shards.holdout(paths(["0001"]), shards.Split(num_folds=5, fold=2))


class Given(types.SimpleNamespace):
    """Parsed flags."""

    def __getitem__(self, name):
        return types.SimpleNamespace(present=int(name in self.present))


def split(**given):
    values = dict(dict(holdout_shards=300, num_folds=None, fold=None), **given)
    return shards.split(Given(present=set(given), **values))


def test_flags_make_the_split():
    assert split() == split(holdout_shards=300) == shards.Split(300) and split(holdout_shards=0) == shards.Split()
    assert split(num_folds=5, fold=2) == shards.Split(num_folds=5, fold=2) != split(num_folds=5, fold=3)


@pytest.mark.parametrize("given, told", [
    (dict(num_folds=5), "--num_folds and --fold belong together: give both, such as --num_folds=5 --fold=2"),
    (dict(fold=0), "--num_folds and --fold belong together: give both"),
    (dict(num_folds=1, fold=0), "--num_folds=1 is outside 2..3844: give another number of folds."),
    (dict(num_folds=3845, fold=0), "--num_folds=3845 is outside 2..3844"),
    (dict(num_folds=5, fold=5), "--fold=5 is outside 0..4, the folds of --num_folds=5: give one of them."),
    (dict(num_folds=5, fold=-1), "--fold=-1 is outside 0..4"),
    (dict(num_folds=5, fold=2, holdout_shards=300), "Give either --holdout_shards=300 or --num_folds=5 --fold=2:")])
def test_flags_that_make_no_split_are_explained(given, told):
    with pytest.raises(InputError) as error:
        split(**given)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize("one", [shards.Split(300), shards.Split(), shards.Split(num_folds=5, fold=2)])
def test_what_is_recorded_of_a_split_is_read_back(one):
    assert shards.parse_recorded(str(one.recorded)) == one.recorded


@pytest.mark.parametrize("text", ["fold", "fold 2 of", "fold 2 of 5!", "x", ""])
def test_other_texts_record_no_split(text):
    with pytest.raises(ValueError):
        shards.parse_recorded(text)
