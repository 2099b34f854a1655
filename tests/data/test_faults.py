"""Every reader names an unusable record and says what is wrong with it."""
import numpy as np
import pytest
import tensorflow as tf

from src.common import text
from src.data import damage
from src.data import pipeline
from tests import complaints
from tests import records

RATINGS = [(0, 7, 1), (5, 9, 0)]
RGB, AUDIO = records.random_frames(1, 12)

OTHER_FORMATS = {
    "random bytes": bytes(np.random.RandomState(0).randint(0, 256, 200, np.uint8)),
    "text": b"label,score\n",
    "nothing": b"",
    "TensorBoard event": tf.compat.v1.Event(wall_time=1.5, file_version="brain.Event:2").SerializeToString(),
    "cut short": records.random_record(0)[:-5],
    "image": tf.train.Example(features=tf.train.Features(feature={
        "image/encoded": records.bytes_feature([bytes(range(256))])})).SerializeToString(),
}


def not_the_format(kind, holding):
    if kind == "video":
        return ("is not a video-level Example with id and mean_rgb (1024 floats), mean_audio (128 floats) (%s): check "
                "--feature_names, --feature_sizes and --frame_features." % holding)
    return ("is not a frame-level SequenceExample with id, rgb, audio (%s): check --feature_names and --frame_features."
            % holding)


HOLDING = {"cut short": "it is no protocol buffer", "image": 'it holds "image/encoded"'}
OF_VIDEO = "it holds id, labels, mean_audio (128 floats), mean_rgb (1024 floats)"
OF_FRAMES = "it holds audio (12 frames), id, labels, rgb (12 frames)"


def good(kind, seed=0):
    return records.random_record(seed, is_frame_level=kind != "video", rated=kind == "segment")


def assert_named(tmp_path, kind, bad, told):
    """Asserts that a shard with a bad record 2 is refused with the sentence `told` about that record."""
    path = records.write(tmp_path / "validate0000", [good(kind), good(kind, 1), bad, good(kind, 3)])
    assert complaints.of_evaluation([path], kind) == "%s, record 2, %s" % (path, told)


@pytest.mark.parametrize("kind", ["frame", "video"])
@pytest.mark.parametrize("form", sorted(OTHER_FORMATS))
def test_a_record_of_another_format_is_named(kind, form, tmp_path):
    assert_named(tmp_path, kind, OTHER_FORMATS[form], not_the_format(
        kind, HOLDING.get(form, "it holds no feature")))


@pytest.mark.parametrize("kind, other", [("frame", "video"), ("segment", "video"), ("video", "frame")])
def test_frame_level_and_video_level_records_are_told_apart(kind, other, tmp_path):
    assert_named(tmp_path, kind, good(other, 2), not_the_format(kind, OF_FRAMES if kind == "video" else OF_VIDEO))


@pytest.mark.parametrize("form", ["random bytes", "nothing"])
def test_the_ratings_reader_names_a_record_of_another_format(tmp_path, form):
    path = records.write(tmp_path / "validate0000", [good("segment"), OTHER_FORMATS[form]])
    assert complaints.of_ratings([path]).startswith("%s, record 1, lacks id (it holds no feature): " % path)


def video(rgb=RGB, audio=AUDIO, **context):
    return records.frame_level(b"abcd", rgb, audio, **context)


def mean(mean_rgb=np.ones(1024), mean_audio=np.ones(128), labels=()):
    return records.video_level(b"abcd", mean_rgb, mean_audio, labels)


def changed(serialized, *removed, **values):
    """A record with some features of its context removed and others set."""
    parsed = tf.train.SequenceExample.FromString(serialized)  # an Example is one without lists
    for name in removed:
        del parsed.context.feature[name]
    for name, feature in values.items():
        parsed.context.feature[name].CopyFrom(feature)
    return parsed.SerializeToString()


def with_another_value(serialized):
    """A record with two values for the second rgb frame."""
    parsed = tf.train.SequenceExample.FromString(serialized)
    parsed.feature_lists.feature_list["rgb"].feature[1].bytes_list.value.append(b"x")
    return parsed.SerializeToString()


LABEL_OUTSIDE = "has a label outside 0..3861: check --num_classes, replace the shard or remove the record."
BAD_FEATURES = {
    "no rgb": ("frame", video(rgb=None), not_the_format("frame", "it holds audio (12 frames), id")),
    "no audio": ("segment", changed(video(audio=None, ratings=RATINGS), "segment_end_times"), not_the_format(
        "segment", "it holds id, rgb (12 frames), segment_labels, segment_scores (2 floats), segment_start_times")),
    "no mean_audio": ("video", mean(mean_audio=None), not_the_format(
        "video", "it holds id, labels, mean_rgb (1024 floats)")),
    "mean_audio too short": ("video", mean(mean_audio=np.ones(127)), not_the_format(
        "video", "it holds id, labels, mean_audio (127 floats), mean_rgb (1024 floats)")),
    "rgb too short": ("frame", video(rgb=RGB[:, 1:]),
                      "holds rgb frames that are not 1024 bytes long (frame 0 has 1023): check --feature_sizes."),
    "frames without audio": ("segment", video(audio=list(AUDIO[:7]) + [b""] * 5, ratings=RATINGS),
                             "holds audio frames that are not 128 bytes long (frame 7 has 0): check --feature_sizes."),
    "two values of a frame": ("frame", with_another_value(video()),
                              "holds rgb frames that are not 1024 bytes long (frame 1 has 1025): check "
                              "--feature_sizes."),
    "fewer audio than rgb": ("frame", video(audio=AUDIO[:11]),
                             "holds different numbers of frames of rgb, audio: replace the shard."),
    "label too high": ("frame", video(labels=[0, 3862]), LABEL_OUTSIDE),
    "label negative": ("frame", video(labels=[-1]), LABEL_OUTSIDE),
    "label beyond 32 bits": ("frame", video(labels=[2 ** 32]), LABEL_OUTSIDE),
    "video-level label too high": ("video", mean(labels=[3862]), LABEL_OUTSIDE),
    "video-level label negative": ("video", mean(labels=[-1]), LABEL_OUTSIDE),
    "labels that are floats": ("frame", changed(video(), labels=records.float_feature([1])),
                               "holds labels as float_list and not as int64_list: replace the shard."),
}


@pytest.mark.parametrize("name", sorted(BAD_FEATURES))
def test_a_record_with_a_bad_feature_is_named(tmp_path, name):
    assert_named(tmp_path, *BAD_FEATURES[name])


def read_by(tmp_path, reads, bad, kind):
    """A reader's sentence about a bad record 1 of a shard, without its beginning."""
    path = records.write(tmp_path / "validate0000", [good(kind), bad])
    told = complaints.EVERY_READER[reads]([path], **{"kind": kind} if reads in ("eval", "train") else {})
    place = "%s, record 1, " % path
    assert told and told.startswith(place), told
    return told[len(place):]


@pytest.mark.parametrize("reads", sorted(complaints.EVERY_READER))
def test_a_video_without_frames_is_named_by_every_reader(tmp_path, reads):
    bad = video([], [], labels=[1], ratings=RATINGS)
    assert read_by(tmp_path, reads, bad, "segment") == "holds no frames: remove the record."


@pytest.mark.parametrize("reads", ["eval", "train", "inference"])
def test_whole_videos_without_frames_are_named(tmp_path, reads):
    assert read_by(tmp_path, reads, video([], [], labels=[1]), "frame") == "holds no frames: remove the record."


@pytest.mark.parametrize("kind", sorted(complaints.READERS))
def test_a_record_without_an_id_is_named_with_what_it_holds(tmp_path, kind):
    holding = {"video": "labels, mean_audio (128 floats), mean_rgb (1024 floats)",
               "frame": "audio (12 frames), labels, rgb (12 frames)", "segment":
               "audio (12 frames), labels, rgb (12 frames), segment_end_times, segment_labels, segment_scores "
               "(4 floats), segment_start_times"}[kind]
    assert_named(tmp_path, kind, changed(good(kind), "id"),
                 "lacks id (it holds %s): replace the shard or remove the record." % holding)


BAD_IDS = [b"", b"x" * 65, b"a,b", b"a:b", b"a b", b"a\nb", b"ab\0cd", b"\0", b"a\tb", b"a\x7f", b"\xff,"]


@pytest.mark.parametrize("reads, bad", [("eval", bad) for bad in BAD_IDS] + [
    ("video-level eval", bad) for bad in BAD_IDS] + [
        (reads, b"a,b") for reads in ("train", "inference", "ratings", "video-level train")])
def test_an_id_that_no_csv_could_hold_is_named(tmp_path, reads, bad):
    kind = "segment" if reads in complaints.EVERY_READER else "video"
    record = changed(good(kind, 5), id=records.bytes_feature([bad]))
    assert read_by(tmp_path, reads.split(" ")[-1], record, kind) == (
        "has the id %s, which is not 1 to 64 bytes without comma, colon, blank and control characters: replace the "
        "shard or remove the record." % text.quoted(bad))


def test_two_ids_of_a_record_are_named(tmp_path):
    assert_named(tmp_path, "frame", changed(good("frame"), id=records.bytes_feature([b"a", b"b"])),
                 "holds 2 values of id: replace the shard or remove the record.")


@pytest.mark.parametrize("kind", sorted(complaints.READERS))
def test_any_other_id_is_read(tmp_path, kind):
    fine = [b"x" * 64, b"-_", b"\xff\xfe", "\u4e2d".encode("utf-8")]
    path = records.write(tmp_path / "validate0000", [changed(good(kind), id=records.bytes_feature([each]))
                                                     for each in fine])
    batches = records.fetch(pipeline.evaluation_batches(complaints.reader_of(kind), [path], 4, None, 2))
    found = [name for batch in batches for name in batch["id"].tolist()]
    assert found == [each + start for each in fine for start in ([b":0", b":5"] if kind == "segment" else [b""])]


def rated(ratings):
    """A video with (start, class, score) triples."""
    starts, labels, scores = zip(*ratings)
    return changed(video(), segment_start_times=records.int_feature(starts), segment_labels=records.int_feature(labels),
                   segment_scores=records.float_feature(scores))


def starts_at(second):
    return "has a rating that starts at second %d, outside 0..%%d: replace the shard or remove the record%%s." % second


SCORE = "has a rating with the score %s, not 0 or 1: replace the shard or remove the record."
BAD_RATINGS = {
    "negative start": ([(0, 5, 1), (-5, 1, 1)], starts_at(-5)),
    "start beyond all videos": ([(300, 1, 1)], starts_at(300)),
    "start of 2^31": ([(2 ** 31, 1, 1)], starts_at(2 ** 31)),
    "start of 2^32": ([(2 ** 32, 1, 1)], starts_at(2 ** 32)),
    "start of 2^63 - 1": ([(2 ** 63 - 1, 1, 1)], starts_at(2 ** 63 - 1)),
    "score not a number": ([(0, 1, float("nan"))], SCORE % "nan"),
    "infinite score": ([(0, 1, float("inf"))], SCORE % "inf"),
    "half a score": ([(0, 1, 1), (5, 1, .5)], SCORE % "0.5"),
    "negative score": ([(0, 1, -1)], SCORE % "-1"),
    "label too high": ([(0, 5, 1), (5, 3862, 0)], LABEL_OUTSIDE),
    "label negative": ([(0, -1, 1)], LABEL_OUTSIDE),
}


@pytest.mark.parametrize("reads, name", [("eval", name) for name in sorted(BAD_RATINGS)] + [
    ("ratings", name) for name in ("start beyond all videos", "half a score", "label too high")] + [
        ("train", "start of 2^32"), ("train", "score not a number")])
def test_a_rating_that_cannot_be_is_named(tmp_path, reads, name):
    ratings, told = BAD_RATINGS[name]
    if "%d" in told:  # complaints.READERS have 12 frames at most
        told %= (299, "") if reads == "ratings" else (11, ", or raise --max_frames")
    assert read_by(tmp_path, reads, rated(ratings), "segment") == told


@pytest.mark.parametrize("reads", ["eval", "train", "ratings"])
def test_ratings_that_lack_a_score_are_named(tmp_path, reads):
    bad = changed(video(ratings=RATINGS), segment_scores=records.float_feature([1]))
    assert read_by(tmp_path, reads, bad, "segment") == (
        "has segment_start_times, segment_labels and segment_scores that do not match: replace the shard.")


def test_a_rated_record_without_labels_is_named_where_they_are_needed(tmp_path):
    reader = complaints.reader_of("segment", video_classes=True)
    unrated, unlabelled = video(labels=None, ratings=[]), video(labels=None, ratings=RATINGS)
    path = records.write(tmp_path / "validate0000", [good("segment"), unrated, unlabelled])

    def read():
        with damage.explained([path], reader.form):
            records.fetch(pipeline.training_batches(reader, [path], 4, None, 1, 1))

    assert complaints.sentence(read) == (
        "%s, record 2, has ratings but no labels of its video, which --negative_weight needs: fetch the shard of "
        "3/frame/validate again, or leave out --negative_weight." % path)
