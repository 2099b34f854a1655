"""extract_features.py: films become the features that make_records.py reads."""
import os
import types

import numpy as np
import pytest

from src import extract_features
from src.common.errors import InputError
from tests.features import stand_ins
from tests.programs import runner


@pytest.fixture(scope="module", name="networks_dir")
def folder_of_networks(tmp_path_factory):
    return stand_ins.write_networks(tmp_path_factory.mktemp("stand_ins") / "networks")


def make_film(path, seconds, with_sound=True):
    stand_ins.ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=%d" % seconds,
                     *(stand_ins.tone(seconds) if with_sound else []), "-c:v", "ffv1", "-c:a", "pcm_s16le", path)


def read(path):
    with np.load(str(path)) as found:
        return dict(found)


@stand_ins.needs_ffmpeg
def test_films_become_records(tmp_path, networks_dir):
    folder, features = tmp_path / "films", tmp_path / "features"
    folder.mkdir()
    for name, seconds, with_sound in ("one.mkv", 3, True), ("caf\u00e9.mkv", 2, True), ("still.mkv", 1, False):
        make_film(folder / name, seconds, with_sound)
    (folder / "text.mp4").write_text("hello")
    (folder / ".hidden").write_text("hello")
    flags = dict(videos="%s/*" % folder, networks_dir=networks_dir, output_dir=features)
    code, errors = runner.run("extract_features", **flags)
    assert code == 1 and errors.splitlines()[-1] == (
        "error: 1 of 4 videos is not extracted: %s/text.mp4 cannot be read as a film (moov atom not found; Invalid "
        "data found when processing input): replace or remove it." % folder)
    assert "1 videos have no sound: %s/still.mkv; their features of sound are those of silence" % folder in errors
    assert "extraction: 6 seconds of video in " in errors and "written: 3 of 4 videos, to %s" % features in errors
    assert sorted(os.listdir(str(features))) == ["caf\u00e9.npz", "one.npz", "still.npz"]
    found = read(features / "one.npz")
    assert {name: (values.shape, values.dtype) for name, values in found.items()} == {
        "rgb": ((3, 1024), np.float32), "audio": ((3, 128), np.float32)}
    assert abs(found["rgb"]).max() <= 16 and found["rgb"].std() > 0
    # What is written is skipped, and what was removed is made again as it was.
    os.remove(str(folder / "text.mp4"))
    os.remove(str(features / "one.npz"))
    errors = runner.succeed("extract_features", **flags)
    assert "skipping 2 of 3 videos, whose features are in %s" % features in errors
    np.testing.assert_array_equal(read(features / "one.npz")["rgb"], found["rgb"])
    assert "skipping 3 of 3 videos" in runner.succeed("extract_features", **flags)
    runner.succeed("make_records", features_dir=features, output_dir=tmp_path / "records", num_shards=1,
                   partition="validate")
    assert "unusable" in runner.output_of("check_data", data_pattern=str(tmp_path / "records" / "*"))


@stand_ins.needs_ffmpeg
def test_films_that_fail_are_all_named(tmp_path, networks_dir):
    for name in "ab":
        (tmp_path / (name + ".mp4")).write_text("hello")
    code, errors = runner.run("extract_features", videos="%s/*.mp4" % tmp_path, networks_dir=networks_dir,
                              output_dir=tmp_path / "features", max_seconds=1)
    assert code == 1 and errors.splitlines()[-1] in (
        "error: 2 of 2 videos are not extracted, see the lines above: %s/%s.mp4, %s/%s.mp4." % (
            tmp_path, first, tmp_path, second) for first, second in ("ab", "ba"))
    assert len([line for line in errors.splitlines() if "cannot be read as a film" in line]) == 2
    assert os.listdir(str(tmp_path / "features")) == []


@stand_ins.needs_ffmpeg
def test_missing_networks_are_named_before_the_work(tmp_path):
    (tmp_path / "a.mp4").write_text("hello")
    flags = dict(videos=tmp_path / "a.mp4", networks_dir=tmp_path / "none", output_dir=tmp_path / "features")
    code, errors = runner.run("extract_features", **flags)
    assert code == 1 and "vggish_model.ckpt is missing: download https://storage.googleapis.com/audioset/" in errors
    assert errors.splitlines()[-1] == ("error: --networks_dir=%s/none lacks 6 of the networks' files: download what "
                                       "the lines above name." % tmp_path)
    assert not (tmp_path / "features").exists()
    assert runner.run("extract_features", check_models=True, networks_dir=tmp_path / "none")[0] == 1


def test_stand_ins_fail_the_published_checks(networks_dir):
    with runner.Run("extract_features", check_models=True, networks_dir=networks_dir) as started:
        assert started.wait() == 1
        lines = started.output.splitlines()
    assert lines[0] == ("image PCA: not checked: download https://github.com/google/youtube-8m/raw/master/"
                        "feature_extractor/testdata/sports1m_frame.pkl into %s" % networks_dir)
    assert lines[1].startswith("VGGish: FAIL, a tone of 1 kHz gives mean ")
    assert lines[1].endswith("; within 10 % of 0.000657 and 0.343 is right")
    assert lines[2].startswith("sound PCA: FAIL, ") and len(lines) == 3


def jobs(tmp_path, videos, output_dir="features"):
    return extract_features.jobs_of(types.SimpleNamespace(
        videos=videos and "%s/%s" % (tmp_path, videos), output_dir=output_dir))


@pytest.mark.parametrize("names, videos, expected", [
    (["a.mp4", "a.mkv"], "*", "{0}/a.mkv and {0}/a.mp4 are both of the video a: remove one of the two."),
    (["a,b.mp4"], "*", "{0}/a,b.mp4 gives a video the id \"a,b\", which is not 1 to 64 bytes without comma, colon, "
                       "blank and control characters: rename the file."),
    (["a b.mp4"], "*", "{0}/a b.mp4 gives a video the id \"a b\""),
    (["a:b.mp4"], "*", "{0}/a:b.mp4 gives a video the id \"a:b\""),
    (["a.mp4"], "", "--videos is empty: give it a path or a glob."),
    (["a.mp4"], "b*", "No file matches --videos={0}/b*: check the path, and quote the glob."),
    ([".a.mp4"], "*", "No film matches --videos={0}/*: check the path, and quote the glob."),
    (["a.mp4"], ".", "--videos={0}/. is a folder: give a glob of its videos, --videos='{0}/./*'.")],
    ids=["twice", "comma", "blank", "colon", "empty", "none", "hidden", "folder"])
def test_videos_that_cannot_be_told_apart_are_refused_before_the_work(tmp_path, names, videos, expected):
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(InputError) as caught:
        jobs(tmp_path, videos)
    assert str(caught.value).startswith(expected.format(tmp_path))


def test_an_output_folder_is_needed_and_a_bucket_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="^--output_dir is empty: say where the features go.$"):
        jobs(tmp_path, "*", "")
    with pytest.raises(InputError, match="^--videos=gs://one/.* is a bucket, which ffmpeg cannot read: copy the"):
        extract_features.jobs_of(types.SimpleNamespace(videos="gs://one/*", output_dir="features"))


def test_features_are_named_by_the_films(tmp_path):
    (tmp_path / "a.b.mp4").write_text("")
    (job,) = jobs(tmp_path, "*", "out")
    assert job == ("%s/a.b.mp4" % tmp_path, "out/a.b.npz")
