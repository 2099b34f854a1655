"""export_features.py: records become features again, of which make_records.py makes the same records."""
import os

import numpy as np
import pytest

from src import export_features
from src.common.errors import InputError
from tests import records
from tests.programs import runner

LABELS = {"abcd": "3;7", "efgh~300": "", "caf\u00e9": "11"}


def read(path):
    with np.load(str(path)) as found:
        return dict(found)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(str(folder))}


@pytest.fixture(scope="module", name="made")
def folder_of_records(tmp_path_factory):
    """A folder with features/, labels.csv and the records/ made of them."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "features").mkdir()
    for seed, video in enumerate(LABELS):
        rgb, audio = records.random_frames(seed, 4 + seed)
        np.savez(str(folder / "features" / (video + ".npz")), rgb=rgb, audio=audio)
    (folder / "labels.csv").write_text("".join("%s,%s\n" % pair for pair in LABELS.items()), encoding="utf-8")
    make(folder, folder / "records")
    return folder


def make(folder, output_dir):
    runner.succeed("make_records", features_dir=folder / "features", labels_file=folder / "labels.csv", num_classes=12,
                   num_shards=2, output_dir=output_dir)


def export(made, output_dir, **flags):
    return runner.run("export_features", input_data_pattern="%s/*" % (made / "records"), num_classes=12,
                      output_dir=output_dir, **flags)


def test_records_of_exported_features_have_the_same_bytes(tmp_path, made):
    code, errors = export(made, tmp_path / "features", all=True, labels_file=tmp_path / "labels.csv")
    assert code == 0 and "export: 3 videos in " in errors
    lines = (tmp_path / "labels.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "id,labels" and sorted(lines[1:]) == sorted("%s,%s" % pair for pair in LABELS.items())
    make(tmp_path, tmp_path / "records")
    assert contents(tmp_path / "records") == contents(made / "records")


def test_exported_features_are_the_dequantized_bytes_of_the_videos_asked_for(tmp_path, made):
    code, _ = export(made, tmp_path / "features", video_ids="cafe\u0301, abcd")
    assert code == 0 and sorted(os.listdir(str(tmp_path / "features"))) == ["abcd.npz", "caf\u00e9.npz"]
    found, given = read(tmp_path / "features" / "abcd.npz"), read(made / "features" / "abcd.npz")
    for name in "rgb", "audio":
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], given[name] * (4 / 255.) + 4 / 512. - 2, rtol=0, atol=1e-6)


def test_videos_that_are_not_there_are_named_and_the_others_are_written(tmp_path, made):
    code, errors = export(made, tmp_path, video_ids="none,abcd,other")
    assert code == 1 and errors.splitlines()[-1] == (
        "error: 2 of the 3 videos of --video_ids are not in the 2 shards such as %s/records/train0000.tfrecord: "
        '"none", "other".' % made)
    assert os.listdir(str(tmp_path)) == ["abcd.npz"]


def test_a_video_that_occurs_twice_and_one_with_ratings(tmp_path):
    frames = [records.random_frames(seed, 5) for seed in range(2)]
    records.write(tmp_path / "train0000.tfrecord", [records.frame_level(b"abcd", *each, labels=[1], ratings=[(0, 1, 1)])
                                                    for each in frames])
    errors = runner.succeed("export_features", input_data_pattern=tmp_path / "*.tfrecord", all=True,
                            feature_names="rgb", feature_sizes="1024", output_dir=tmp_path / "features")
    assert "video \"abcd\" is in" in errors and "1 of the videos have ratings of segments, which are not" in errors
    found = read(tmp_path / "features" / "abcd.npz")
    assert sorted(found) == ["rgb"]
    np.testing.assert_allclose(found["rgb"], frames[0][0] * (4 / 255.) + 4 / 512. - 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("flags, sentence", [
    (dict(all=True, output_dir=""), "--output_dir is empty: say where the features go."),
    (dict(), "--video_ids is empty: give a comma list of ids, or pass --all."),
    (dict(all=True, video_ids="abcd"), "--all exports the videos of --video_ids, too: leave one of the two out."),
    (dict(all=True, input_data_pattern="none*"), "No file matches --input_data_pattern=none*: check the path, and "
                                                 "quote the glob.")], ids=["folder", "none", "both", "pattern"])
def test_flags_that_do_not_fit(tmp_path, flags, sentence):
    code, errors = runner.run("export_features", **dict(dict(
        input_data_pattern="x", output_dir=tmp_path / "features"), **flags))
    assert (code, errors.splitlines()[-1]) == (1, "error: " + sentence)
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize("video", [b"a/b", b".ab", b"\xff\xfe"], ids=["slash", "dot", "bytes"])
def test_an_id_that_is_no_file_s_name_is_named(video):
    with pytest.raises(InputError, match="^The video .* cannot be exported: a file cannot have its id as its name.$"):
        export_features.output_of(video, "features")


def test_an_unusable_record_is_named(tmp_path):
    path = records.write(tmp_path / "train0000.tfrecord", [
        records.random_record(1, 2), records.video_level(b"ab", np.ones(4), np.ones(3))])
    flags = dict(input_data_pattern=path, all=True, output_dir=tmp_path / "features", labels_file=tmp_path / "l.csv")
    code, errors = runner.run("export_features", **flags)
    assert (code, errors.splitlines()[-1]) == (
        1, "error: %s, record 1, is not a frame-level SequenceExample with id, rgb, audio (it holds id, labels, "
           "mean_audio (3 floats), mean_rgb (4 floats)): check --feature_names and --frame_features." % path)
    with open(path, "r+b") as stream:
        stream.truncate(os.path.getsize(path) - 3)
    code, errors = runner.run("export_features", **flags)
    assert code == 1 and "train0000.tfrecord, record 1 (byte " in errors.splitlines()[-1]
    assert sorted(os.listdir(str(tmp_path))) == ["features", "train0000.tfrecord"]
