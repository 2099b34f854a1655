"""check_data.py: what is present, what is missing, and which shards must be fetched again."""
import gzip
import json
import os

import numpy as np
import pytest

from tests import records
from tests.programs import runner

RGB, AUDIO = records.random_frames(1, 12)


def video(name, labels=(7,), ratings=None, frames=12):
    return records.frame_level(name, *records.random_frames(2, frames), labels=labels, ratings=ratings)


def check(*words, **flags):
    """-> exit code, standard output, standard error."""
    with runner.Run("check_data", *words, **flags) as run:
        return run.wait(), run.output, run.errors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A partition with each kind of damaged shard and unusable record, and two good ones."""
    folder = tmp_path_factory.mktemp("data")
    for name in "train", "validate":
        (folder / name).mkdir()
    rated = [(0, 7, 1), (5, 7, 0), (5, 9, 0), (5, 9, 1), (30, 9, 1)]
    good = [video(b"aa", ratings=rated), video(b"bb", frames=310), video(b"cc", labels=[7, 3861, 7])]
    for suffix in "00", "10", "0Z":
        records.write(folder / "validate" / ("validate%s.tfrecord" % suffix), good)
    bad = {"00": good, "10": [], "20": [video(b"dd"), video(b"a,b"), video(b"", labels=[1])], "30": [video(b"ee")] * 2,
           "40": [video(b"ff", ratings=[(300, 7, 1)]), video(b"gg", ratings=[(0, 7, .5)]), video(b"hh", labels=[3862]),
                  video(b"ii", frames=0), records.frame_level(b"jj", RGB[:, 1:], AUDIO),
                  records.frame_level(b"kk", RGB, AUDIO[1:])]}
    paths = {suffix: records.write(folder / "train" / ("train%s.tfrecord" % suffix), content)
             for suffix, content in bad.items()}
    whole = (folder / "train" / "train00.tfrecord").read_bytes()
    for suffix, content in {
            "cut": whole[:-10], "header": whole + b"\1\0\0", "corrupt": whole[:9000] + b"?" + whole[9001:],
            "gzip": gzip.compress(whole), "forged": whole + b"\0\0\0\0\0\1\0\0" + b"\0" * 100}.items():
        (folder / "train" / ("part-%s.tfrecord" % suffix)).write_bytes(content)
    records.write(folder / "videos0000", [records.random_record(seed, is_frame_level=False) for seed in range(3)])
    return str(folder), paths


def test_a_good_partition_is_counted(folder, tmp_path):
    folder, _ = folder
    code, output, errors = check(data_pattern=folder + "/validate/*00*", output_file=tmp_path / "new" / "data.json")
    assert code == 0, errors
    assert output.splitlines()[1].split() == [
        folder + "/validate/validate", "1", "of", "3844", "-", "3", "-", "324", "66", "4", "3"]
    with open(str(tmp_path / "new" / "data.json")) as stream:
        found = json.load(stream)
    partition, = found["partitions"]
    missing = partition.pop("missing_shards")
    assert len(missing) == 3843 and missing[:2] == ["validate10.tfrecord", "validate20.tfrecord"]
    assert partition == {
        "folder": folder + "/validate", "stem": "validate", "shards": 1, "expected_shards": 3844, "damaged_shards": [],
        "unusable_records": [], "videos": 3, "unusable": 0, "frames": 12 + 300 + 12, "segments": 3 + 60 + 3,
        "ratings": 4, "positive_ratings": 3, "ratings_after_the_video": 1, "replaced_ratings": 1,
        "labels": {"7": 3, "3861": 1},
        "rated": {"7": 2, "9": 2}, "lengths": {"12": 2, "310": 1},
        "rated_from_start": {"0": 1, "1": 1}, "rated_from_end": {"1": 1, "2": 1}}
    assert found["damaged_or_unusable"] == found["videos_that_stand_twice"] == []


def test_the_table_shows_histograms_and_what_is_missing(folder):
    _, output, _ = check(data_pattern="%s/validate/validate?0*,%s/videos*" % (folder[0], folder[0]))
    tables = {block.splitlines()[0].split("  ")[0]: block.splitlines() for block in output.split("\n\n")}
    header, row = tables["frames of a video"]
    assert dict(zip(header.split("  ")[-12:], row.split()[1:])) == {
        name: {"1-29": "4", "301-": "2"}.get(name.strip(), "-") for name in header.split("  ")[-12:]}
    assert [line.split()[1:4] for line in tables["videos of a class"][1:]] == [["3853", "9", "-"], ["3860", "2", "-"]]
    assert [line.split()[1:4] for line in tables["ratings of a class"][1:]] == [["3860", "2", "-"]]
    assert [line.split()[1:4] for line in tables["rated segments from the start"][1:]] == [["2", "2", "-"]]
    assert [line.split()[1:5] for line in tables["rated segments from the end"][1:]] == [["-", "2", "2", "-"]]
    assert tables["rated segments of %s/validate/validate: 4, among the first 6 of their video: 4, among the last 2: 2"
                  % folder[0]][1:] == ["  inference.py --skip_first_segments=6 --skip_last_segments=2 leaves out these"]
    assert tables["missing of %s/validate/validate: 3842" % folder[0]][1].startswith(
        "  validate20.tfrecord, validate30.tfrecord, ")
    assert tables["missing of %s/validate/validate: 3842" % folder[0]][1].endswith("and 3822 more, see --output_file")
    assert len(tables["videos that occur twice: 3"]) == 4


def test_the_ends_of_videos_that_no_rating_lies_in_are_said(tmp_path):
    path = records.write(tmp_path / "validate0000.tfrecord", [
        video(b"aa", ratings=[(30, 7, 0), (30, 9, 1), (55, 7, 0)], frames=70),  # the 7th and the 3rd to last segment
        video(b"bb", ratings=[(100, 7, 1)], frames=120)])
    _, output, _ = check(data_pattern=path)
    assert ("rated segments of %s/validate: 3, among the first 6 of their video: 0, among the last 2: 0\n"
            "  inference.py --skip_first_segments=6 --skip_last_segments=2 leaves out none that is rated\n" % tmp_path
            ) in output


def test_damage_is_named_and_listed(folder, tmp_path):
    folder, paths = folder
    code, output, _ = check(data_pattern=folder + "/train/*", output_file=tmp_path / "data.json")
    assert code == 1
    parts = {suffix: "%s/train/part-%s.tfrecord" % (folder, suffix)
             for suffix in ("cut", "header", "corrupt", "gzip", "forged")}
    record = "%s, record %d (byte %d), is truncated or corrupt: fetch the shard again or leave it out."
    sizes = np.cumsum([0] + [len(each) + 16 for each in (
        video(b"aa", ratings=[(0, 7, 1), (5, 7, 0), (5, 9, 0), (5, 9, 1), (30, 9, 1)]), video(b"bb", frames=310),
        video(b"cc", labels=[7, 3861, 7]))])
    with open(str(tmp_path / "data.json")) as stream:
        found = json.load(stream)
    others, train = found["partitions"]
    assert sorted(others["damaged_shards"]) == sorted([
        record % (parts["cut"], 2, sizes[2]), record % (parts["header"], 3, sizes[3]),
        record % (parts["corrupt"], 0, 0), record % (parts["forged"], 3, sizes[3]),
        parts["gzip"] + " is compressed with gzip and no TFRecord: unpack it."])
    empty = paths["10"] + " is empty: fetch the shard again or leave it out."
    assert train["damaged_shards"] == [empty]
    assert others["stem"] is None and others["expected_shards"] is None
    replace = ": replace the shard or remove the record."
    told = [(20, 1, 'has the id "a,b", which is not 1 to 64 bytes without comma, colon, blank and control characters'
             + replace), (20, 2, 'has the id "", which is not 1 to 64 bytes without comma, colon, blank and control '
                          'characters' + replace),
            (40, 0, "has a rating that starts at second 300, outside 0..299" + replace),
            (40, 1, "has a rating with the score 0.5, not 0 or 1" + replace),
            (40, 2, "has a label outside 0..3861: check --num_classes, replace the shard or remove the record."),
            (40, 3, "holds no frames: remove the record."),
            (40, 4, "holds rgb frames that are not 1024 bytes long (frame 0 has 1023): check --feature_sizes."),
            (40, 5, "holds different numbers of frames of rgb, audio: replace the shard.")]
    assert train["unusable_records"] == ["%s, record %d, %s" % (paths[str(suffix)], index, sentence)
                                         for suffix, index, sentence in told]
    assert (train["shards"], train["videos"], train["unusable"]) == (5, 6, 8)
    for line in others["damaged_shards"] + [empty] + train["unusable_records"]:
        assert line in output
    damaged = sorted(parts.values()) + [paths["10"], paths["20"], paths["40"]]
    assert found["damaged_or_unusable"] == damaged
    code, output, _ = check(data_pattern=folder + "/train/*", list_damaged=True)
    assert (code, output) == (1, "".join(path + "\n" for path in damaged))


def test_videos_that_occur_twice_are_named(folder, tmp_path):
    folder, paths = folder
    code, output, _ = check(data_pattern=paths["30"])
    assert code == 0
    assert "videos that occur twice: 1\n  ee: %s, record 0 and %s, record 1\n" % (paths["30"], paths["30"]) in output
    os.symlink(folder + "/validate", str(tmp_path / "link"))
    os.symlink(folder + "/validate", str(tmp_path / "validate"))
    _, as_one, _ = check(data_pattern="%s/*/validate00*" % tmp_path)
    assert "videos that occur twice: 3\n" in as_one
    _, each, _ = check(*["--data_pattern=%s/%s/validate00*" % (tmp_path, name) for name in ("link", "validate")])
    assert each.count(" 1 of 3844 ") == 2 and "occur twice" not in each


@pytest.mark.parametrize("flags, told", [
    ({}, "--data_pattern is empty"), (dict(data_pattern="{}/none*"), "No file matches --data_pattern={}/none*"),
    (dict(data_pattern="{}/videos*", output_file="{}/videos0000/data.json"), "cannot be written")])
def test_wrong_usage_gets_a_sentence(folder, flags, told):
    code, output, errors = check(**{name: value.replace("{}", folder[0]) for name, value in flags.items()})
    assert (code, output) == (1, "") and told.replace("{}", folder[0]) in errors and "Traceback" not in errors


def test_features_and_classes_may_be_your_own(tmp_path):
    path = records.write(tmp_path / "own.tfrecord", [
        records.frame_level(b"v%d" % label, RGB[:, :6], None, labels=[label]) for label in (0, 5, 6)])
    code, output, _ = check(data_pattern=path, num_classes=6, feature_names="rgb", feature_sizes="6")
    assert code == 1 and "own.tfrecord, record 2, has a label outside 0..5: check --num_classes, replace" in output
    classes = next(line for line in output.splitlines() if line.startswith("videos of a class"))
    assert output.splitlines()[output.splitlines().index(classes) + 1].split()[1:3] == ["4", "2"]  # none, one video
    assert check(data_pattern=path, num_classes=7, feature_names="rgb", feature_sizes="6")[0] == 0


def test_records_of_the_other_level_are_named(tmp_path):
    """Those of which a partition has fewer, in a shard of the others or in one of their own."""
    frame_level, video_level = ([records.random_record(seed, is_frame_level=is_frame_level) for seed in range(4)]
                                for is_frame_level in (True, False))
    for level, partition in (frame_level, "frames"), (video_level, "videos"):
        others = video_level if level is frame_level else frame_level
        (tmp_path / partition).mkdir()
        records.write(tmp_path / partition / "train0000.tfrecord", others[:1])
        records.write(tmp_path / partition / "train0001.tfrecord", level)
        records.write(tmp_path / partition / "train0002.tfrecord", level[:2] + others[2:3] + level[3:])
        records.write(tmp_path / partition / "other.tfrecord", others)  # of no partition
    code, _, _ = check(data_pattern="%s/*/*" % tmp_path, output_file=tmp_path / "data.json")
    with open(str(tmp_path / "data.json")) as stream:
        found = json.load(stream)["partitions"]
    told = {"frames": "is not a frame-level SequenceExample with id, rgb, audio (it holds id, labels, mean_audio (128 "
                      "floats), mean_rgb (1024 floats)): check --feature_names and --frame_features.",
            "videos": "is not a video-level Example with id and mean_rgb (1024 floats), mean_audio (128 floats) (it "
                      "holds audio (12 frames), id, labels, rgb (12 frames)): check --feature_names, --feature_sizes "
                      "and --frame_features."}
    assert code == 1
    assert [(os.path.basename(each["folder"]), each["stem"], each["videos"], each["frames"], each["unusable_records"])
            for each in found] == [row for name, frames in (("frames", 12), ("videos", 0)) for row in (
                (name, None, 4, 48 - 4 * frames, []),
                (name, "train", 7, 7 * frames, ["%s/%s/train%04d.tfrecord, record %d, %s" % (
                    tmp_path, name, shard, record, told[name]) for shard, record in ((0, 0), (2, 2))]))]
    assert check(data_pattern="%s/*/other*" % tmp_path)[0] == 0
