"""Segment ids are joined, and equal ids are found exactly, even if fingerprints collide."""
import numpy as np
import pytest

from src.data import segment_ids


def random_ids(count, length):
    letters = np.random.RandomState(5).randint(97, 123, (count, length)).astype(np.uint8)
    return np.char.add(letters.view("S%d" % length).reshape(-1), b":5")


@pytest.mark.parametrize("length", [1, 4, 6, 7, 20])
def test_fingerprints_depend_on_the_ids_alone(length):
    ids = random_ids(500, length)
    values = segment_ids.fingerprints(ids)
    assert len(np.unique(values)) == len(np.unique(ids))
    np.testing.assert_array_equal(values, segment_ids.fingerprints(ids.astype("S40")))
    np.testing.assert_array_equal(values[::3], segment_ids.fingerprints(ids[::3]))


@pytest.mark.parametrize("collide", [False, True])
def test_locate_and_first_repeat(monkeypatch, collide):
    if collide:
        monkeypatch.setattr(segment_ids, "fingerprints", lambda ids: np.zeros(len(ids), np.int64))
    ids = np.array([b"d:0", b"abcdefghij:295", b"b:0", b"a:0", b"c:0"])
    wanted = np.array([b"c:0", b"e:0", b"b:0", b"abcdefghij:290", b"d:0"])
    places, which = segment_ids.locate(ids, wanted)
    assert places.tolist() == [0, 2, 4]
    assert which.tolist() == [4, 2, 0]
    for nothing in (segment_ids.locate(ids, wanted[:0]), segment_ids.locate(ids[:0], wanted)):
        assert [len(part) for part in nothing] == [0, 0]
    assert segment_ids.first_repeat(ids) is None
    assert segment_ids.first_repeat(ids[:0]) is None
    assert segment_ids.first_repeat(ids[[4, 1, 2, 1, 4]]) == b"abcdefghij:295"


def test_segment_ids_join_video_and_start():
    joined = segment_ids.join([b"abcd", b"a:", b"-_"], [0, 295, 5])
    assert joined.tolist() == [b"abcd:0", b"a::295", b"-_:5"]


@pytest.mark.parametrize("videos", [[], [b"abcd"], [b"a", b"-_", b"abcd", 64 * b"x"]])
def test_video_and_start_are_split_again(videos):
    starts = [1205, 0, 5, 9999999][:len(videos)]
    found = segment_ids.split(segment_ids.join(np.array(videos, "S64"), starts))
    assert (found[0].tolist(), found[1].tolist()) == (videos, starts)


@pytest.mark.parametrize("video, valid", [
    (b"abcd", True), (b"x", True), (b"x" * 64, True), (b"-_~.", True), ("\u4e2d".encode(), True), (b"", False),
    (b"x" * 65, False), (b"a b", False), (b"a,b", False), (b"a:b", False), (b"a\0b", False), (b"a\x7fb", False)])
def test_videos_have_ids_that_csvs_can_hold(video, valid):
    assert bool(segment_ids.VIDEO.fullmatch(video)) == valid
    assert bool(segment_ids.FORM.fullmatch(video + b":35")) == valid


@pytest.mark.parametrize("segment", [b"abcd", b"abcd:", b":5", b"abcd:-5", b"abcd:5 ", b"ab:cd:5", b"abcd:11",
                                     b"abcd:299"])
def test_segments_have_a_video_and_a_start_at_every_fifth_second(segment):
    assert not segment_ids.FORM.fullmatch(segment)
