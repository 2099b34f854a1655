"""make_records.py: features, labels and ratings of your own videos become records like those of YouTube-8M."""
import collections
import io
import os
import types
import zipfile
import zlib

import numpy as np
import pytest
import tensorflow as tf

from src import make_records
from src.common.errors import InputError
from tests import records
from tests.programs import runner

RANDOM = np.random.RandomState(3)
SIZES = collections.OrderedDict([("rgb", 1024), ("audio", 128)])
FLAGS = dict(labels_file="", ratings_file="", vocabulary_file="", feature_names="rgb,audio", feature_sizes="1024,128",
             partition="train", naming="local", num_shards=2, num_classes=12, long_videos="cut")


def quantized(seconds):
    return {name: RANDOM.randint(0, 256, (seconds, size)).astype(np.uint8) for name, size in SIZES.items()}


def floats(seconds):
    return {name: RANDOM.uniform(-2, 2, (seconds, size)).astype("f4") for name, size in SIZES.items()}


def of_mediapipe(arrays):
    """A SequenceExample of float lists, as written by MediaPipe's extractor."""
    lists = {name.upper() + "/feature/floats": tf.train.FeatureList(
        feature=[records.float_feature(second) for second in values]) for name, values in arrays.items()}
    context = {"clip/data_path": records.bytes_feature([b"/videos/one.mp4"])}
    return tf.train.SequenceExample(context=tf.train.Features(feature=context), feature_lists=tf.train.FeatureLists(
        feature_list=lists)).SerializeToString()


def read(folder):
    """{shard's name: [(id, labels, {feature: uint8 [seconds, size]}, ratings)]}, as the starter code parses records."""
    found = {}
    for name in sorted(os.listdir(str(folder))):
        found[name] = []
        for serialized in tf.compat.v1.io.tf_record_iterator(os.path.join(str(folder), name)):
            context, lists = tf.io.parse_single_sequence_example(
                serialized, context_features={
                    "id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64),
                    "segment_start_times": tf.io.VarLenFeature(tf.int64),
                    "segment_end_times": tf.io.VarLenFeature(tf.int64),
                    "segment_labels": tf.io.VarLenFeature(tf.int64),
                    "segment_scores": tf.io.VarLenFeature(tf.float32)},
                sequence_features={name: tf.io.FixedLenSequenceFeature([], tf.string) for name in SIZES})
            frames = {name: tf.io.decode_raw(strings, tf.uint8) for name, strings in lists.items()}
            with tf.compat.v1.Session() as session:
                context, frames = session.run((context, frames))
            ratings = [context["segment_" + name].values.tolist()
                       for name in ("start_times", "end_times", "labels", "scores")]
            found[name].append((context["id"], context["labels"].values.tolist(), frames, list(zip(*ratings))))
    return found


def make(folder, **flags):
    """Runs the program's main; returns the records by their ids."""
    make_records.main(types.SimpleNamespace(**dict(
        FLAGS, features_dir=str(folder / "features"), output_dir=str(folder / "records"), **flags)))
    return {video: (labels, frames, ratings) for shard in read(folder / "records").values()
            for video, labels, frames, ratings in shard}


@pytest.fixture(name="folder")
def features_of_one_video(tmp_path):
    """A folder with features/one.npz, of 12 seconds, and labels.csv."""
    (tmp_path / "features").mkdir()
    np.savez(str(tmp_path / "features" / "one.npz"), **quantized(12))
    (tmp_path / "labels.csv").write_text("one,3;7\n")
    return tmp_path


def test_accents_of_ids_may_be_composed_or_not(tmp_path):
    (tmp_path / "features").mkdir()
    np.savez(str(tmp_path / "features" / "cafe\u0301.npz"), **quantized(12))
    (tmp_path / "labels.csv").write_text("caf\u00e9,3\n", encoding="utf-8")
    (tmp_path / "ratings.csv").write_text("cafe\u0301:5,3,1\n", encoding="utf-8")
    found = make(tmp_path, labels_file=str(tmp_path / "labels.csv"), ratings_file=str(tmp_path / "ratings.csv"))
    (video, (labels, _, ratings)), = found.items()
    assert (video.decode(), labels, ratings) == ("caf\u00e9", [3], [(5, 10, 3, 1)])


def test_features_of_each_kind_become_records_that_the_starter_code_parses(tmp_path):
    features = tmp_path / "features"
    features.mkdir()
    (features / ".hidden").write_text("")
    given = {b"bytes": quantized(7), b"floats": floats(300), b"pipe": floats(9), b"half": floats(3)}
    for video in b"bytes", b"floats":
        np.savez_compressed(str(features / (video.decode() + ".npz")), **given[video])
    np.savez(str(features / "half.npz"), **{name: values.astype("f2") for name, values in given[b"half"].items()})
    (features / "pipe.pb").write_bytes(of_mediapipe(given[b"pipe"]))
    (tmp_path / "labels.csv").write_text("id,labels\nbytes,3;0;3\nfloats, 11\r\npipe,\nhalf,5\nelsewhere,1\n")
    (tmp_path / "ratings.csv").write_text("bytes:5,3,1\nbytes:0,3,1.0\nbytes:0,3,0\nfloats:295,0,1\n")
    errors = runner.succeed(
        "make_records", features_dir=features, labels_file=tmp_path / "labels.csv",
        ratings_file=tmp_path / "ratings.csv", output_dir=tmp_path / "records", num_shards=3, num_classes=12,
        naming="cloud", partition="validate")
    assert "4 records, 319 seconds" in errors
    assert "ignoring the rows of 1 videos that --features_dir lacks, such as line 6" in errors
    shards = read(tmp_path / "records")
    assert sorted(shards) == ["validate00.tfrecord", "validate10.tfrecord", "validate20.tfrecord"]
    found = {}
    for number, name in enumerate(sorted(shards)):
        assert {zlib.crc32(video) % 3 for video, _, _, _ in shards[name]} <= {number}
        found.update((video, rest) for video, *rest in shards[name])
    assert {video: labels for video, (labels, _, _) in found.items()} == {
        b"bytes": [0, 3], b"floats": [11], b"pipe": [], b"half": [5]}
    assert found[b"bytes"][2] == [(0, 5, 3, 0), (5, 10, 3, 1)] and found[b"floats"][2] == [(295, 300, 0, 1)]
    for video, arrays in given.items():
        for name, values in arrays.items():
            written = found[video][1][name]
            if video == b"bytes":
                np.testing.assert_array_equal(written, values)
            else:  # the steps are 4/255 apart, and a half-precision float near 2 is off by 1/1024
                off = np.abs(written * (4 / 255.) + 4 / 512. - 2 - values.clip(4 / 512. - 2, None))
                assert off.max() <= 2 / 255. + (.001 if video == b"half" else 1e-6)


def test_a_long_video_is_cut_with_its_ratings_or_refused(folder, capsys):
    arrays = quantized(605)
    np.savez(str(folder / "features" / "long.npz"), rgb=arrays["rgb"], audio=arrays["audio"][:604])
    (folder / "ratings.csv").write_text("long:295,3,1\nlong:300,3,0\nlong:600,4,1\n")
    (folder / "labels.csv").write_text("one,3\nlong,4\n")
    flags = dict(labels_file=str(folder / "labels.csv"), ratings_file=str(folder / "ratings.csv"))
    with pytest.raises(InputError, match="long.npz has 604 seconds, and records hold up to 300: cut the video, or"):
        make(folder, long_videos="refuse", **flags)
    assert sorted(os.listdir(str(folder))) == ["features", "labels.csv", "ratings.csv"]
    found = make(folder, **flags)
    assert set(found) == {b"one", b"long", b"long~300", b"long~600"}
    for start, ratings in (0, [(295, 300, 3, 1)]), (300, [(0, 5, 3, 0)]), (600, [(0, 5, 4, 1)]):
        labels, frames, rated = found[b"long" + (b"~%d" % start if start else b"")]
        assert (labels, rated) == ([4], ratings)
        for name in SIZES:
            np.testing.assert_array_equal(frames[name], arrays[name][:604][start:start + 300])
    assert capsys.readouterr().out.splitlines() == [
        "class  videos  ratings  positive ratings", "3           1        2                 1",
        "4           1        1                 1", "2 of 12 classes occur"]


def test_labels_may_be_names(folder, capsys):
    (folder / "names.csv").write_text("Index,Name\n3,Cat\n5,Dog  (pet)\n7,Cat\n8,Fish\n")
    (folder / "labels.csv").write_text("one,Dog (pet); 4;Fish\n")
    (folder / "ratings.csv").write_text("one:5,Fish,1\n")
    flags = {name + "_file": str(folder / (file + ".csv")) for name, file in (
        ("labels", "labels"), ("ratings", "ratings"), ("vocabulary", "names"))}
    labels, _, ratings = make(folder, **flags)[b"one"]
    assert labels == [4, 5, 8] and ratings == [(5, 10, 8, 1)]
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()[1:4]] == [
        "class 4", "Dog (pet)", "Fish"]
    (folder / "labels.csv").write_text("one,Cat\n")
    with pytest.raises(InputError, match='line 1: "Cat" is the name of the classes 3, 7 in --vocabulary_file: give'):
        make(folder, partition="test", **flags)


@pytest.mark.parametrize("beyond", [0, 138])
def test_the_share_of_clipped_floats_is_logged(folder, caplog, beyond):
    caplog.set_level("INFO", "yt8m")
    floats = np.zeros(12 * 1152)
    floats[:beyond] = 2.5
    np.savez(str(folder / "features" / "one.npz"), rgb=floats[:12 * 1024].reshape(12, 1024),
             audio=floats[12 * 1024:].reshape(12, 128))
    make(folder, labels_file=str(folder / "labels.csv"))
    told = [line for line in caplog.messages if line.startswith("clipped")]
    assert told == ["clipped the 1 % of the floats that were beyond -2..2"] * bool(beyond)


def test_videos_without_sound_or_labels(folder):
    np.savez(str(folder / "features" / "silent.npz"), rgb=quantized(4)["rgb"])
    with pytest.raises(InputError, match="silent.npz holds rgb and no audio: extract it, or leave audio out of --feat"):
        make(folder)
    make_records.main(types.SimpleNamespace(**dict(
        FLAGS, features_dir=str(folder / "features"), output_dir=str(folder / "records"), feature_names="rgb",
        feature_sizes="1024")))
    for name in os.listdir(str(folder / "records")):
        for serialized in tf.compat.v1.io.tf_record_iterator(str(folder / "records" / name)):
            record = tf.train.SequenceExample.FromString(serialized)
            assert set(record.context.feature) == {"id"} and set(record.feature_lists.feature_list) == {"rgb"}


def npz(**changes):
    """An .npz of a video of 12 seconds, with some arrays replaced."""
    stream = io.BytesIO()
    np.savez(stream, **dict(quantized(12), **changes))
    return stream.getvalue()


def spoilt(where, value):
    values = floats(12)["rgb"]
    values[where] = value
    return values


@pytest.mark.parametrize("name, content, told", [
    ("x.npz", npz(rgb=spoilt((7, 5), np.nan)), "x.npz: rgb is nan at second 7, column 5, far outside the"),
    ("x.npz", npz(rgb=spoilt((7, 5), 128)), "x.npz: rgb is 128 at second 7, column 5, far outside the"),
    ("x.npz", npz(rgb=np.zeros([12, 1024], int)), "x.npz: rgb is of the type int64: give floats from -2 to 2, or"),
    ("x.npz", npz(rgb=np.zeros([12, 1023])), "x.npz: rgb has the shape [12, 1023] and not [seconds, 1024]: check"),
    ("x.npz", npz(rgb=np.zeros([0, 1024])), "x.npz: rgb has the shape [0, 1024] and not [seconds, 1024]"),
    ("x.npz", npz(audio=np.zeros([10, 128])), "x.npz has 12 seconds of rgb and 10 seconds of audio: extract"),
    ("x.npz", npz(rgb=np.array([{}])), "x.npz is no readable .npz of arrays (Object arrays cannot be loaded"),
    ("x.npz", npz()[:-60], "x.npz is no readable .npz of arrays (File is not a zip file)"),
    ("x.npz", b"text", "x.npz is neither an .npz nor one of MediaPipe's SequenceExamples: remove it."),
    ("x.pb", of_mediapipe({"rgb": np.zeros([2, 1024])}),
     "x.pb holds RGB/feature/floats and no AUDIO/feature/floats: extract it, or leave audio out of --feature_names."),
    ("x.pb", of_mediapipe({"rgb": np.zeros([2, 1024]), "audio": np.zeros([2, 127])}),
     "x.pb: AUDIO/feature/floats has 127 floats at second 0 and not 128: check --feature_sizes."),
    ("a b.npz", npz(), 'a b.npz gives a video the id "a b", which is not 1 to 64 bytes without comma, colon'),
    ("one.pb", of_mediapipe(floats(2)), "one.npz and %s/features/one.pb are both of the video one: remove one"),
    ("y.npz", npz(), "y.npz has no line in --labels_file=%s/labels.csv: add it, or remove the video."),
], ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_features_that_do_not_fit_are_named(folder, name, content, told):
    (folder / "features" / name).write_bytes(content)
    with (folder / "labels.csv").open("a") as stream:
        stream.write("x,1\n")
    with pytest.raises(InputError) as error:
        make(folder, labels_file=str(folder / "labels.csv"))
    assert (told % folder if "%s" in told else told) in str(error.value)
    assert not os.path.exists(str(folder / "records")) or not os.listdir(str(folder / "records"))


@pytest.mark.parametrize("file, content, told", [
    ("labels", "one 3\n", 'labels.csv, line 1: "one 3" is not id,label;label, the id without colon and'),
    ("labels", "one,3\no:e,3\n", 'labels.csv, line 2: "o:e,3" is not id,label;label'),
    ("labels", "one,3\none,4\n", 'labels.csv, line 2: the video "one" already has line 1: remove one'),
    ("labels", "one,3;12\n", "labels.csv, line 1: the label 12 is outside 0..11: check --num_classes."),
    ("labels", "one,3;-1\n", 'labels.csv, line 1: "-1" is the name of no class in --vocabulary_file: give'),
    ("labels", "one,3;cat\n", 'labels.csv, line 1: "cat" is the name of no class in --vocabulary_file: give'),
    ("ratings", "one:5,3\n", 'ratings.csv, line 1: "one:5,3" is not segment_id,label,score such as abcd:35,7,1'),
    ("ratings", "one:5,3,1\none:5,3,2\n", 'ratings.csv, line 2: "one:5,3,2" is not segment_id,label,score'),
    ("ratings", "one:7,3,1\n", "ratings.csv, line 1: no segment starts at second 7, only one every 5 seconds"),
    ("ratings", "one:0,12,1\n", "ratings.csv, line 1: the label 12 is outside 0..11: check --num_classes."),
    ("ratings", "one:0,3,1\none:15,3,1\n", "ratings.csv, line 1 or further down: a segment starts at second"),
])
def test_rows_that_do_not_fit_are_named(folder, file, content, told):
    (folder / (file + ".csv")).write_text(content)
    with pytest.raises(InputError) as error:
        make(folder, **{file + "_file": str(folder / (file + ".csv"))})
    assert told in str(error.value)
    assert not os.path.exists(str(folder / "records")) or not os.listdir(str(folder / "records"))


def test_an_archive_that_unpacks_to_more_than_a_video_is_refused(folder, monkeypatch):
    monkeypatch.setattr("src.data.own_videos.MAX_BYTES", 100000)
    with zipfile.ZipFile(str(folder / "features" / "bomb.npz"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rgb.npy", b"\0" * 200000)
    with pytest.raises(InputError, match="bomb.npz unpacks to more than 0 MB: cut the video."):
        make(folder)


def test_shards_that_are_there_are_not_mixed_with_new_ones(folder):
    make(folder)
    before = read(folder / "records")
    with pytest.raises(InputError, match="records/train0000.tfrecord exists already and would mix with the new"):
        make(folder, num_shards=1)
    assert str(read(folder / "records")) == str(before)
    make(folder, partition="test")
    (folder / "features" / "one.npz").unlink()
    with pytest.raises(InputError, match="features holds no file: give a folder of .npz files or of MediaPipe's Seq"):
        make(folder, partition="validate")


def test_empty_shards_are_said_to_be_so(folder, caplog):
    caplog.set_level("INFO", "yt8m")
    make(folder, num_shards=5)
    assert len(os.listdir(str(folder / "records"))) == 5
    assert "4 of the shards are empty, which check_data.py will say, too: lower --num_shards" in caplog.text


def test_a_part_that_has_the_name_of_another_video_is_refused(folder):
    for name, seconds in ("a", 301), ("a~300", 1):
        np.savez(str(folder / "features" / (name + ".npz")), **quantized(seconds))
    with pytest.raises(InputError, match="features/a~300.npz is a part of .*features/a.npz as well: rename one"):
        make(folder)
