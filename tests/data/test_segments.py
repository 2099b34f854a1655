"""Segments at a shift are those of the video rolled along time."""
import os

import numpy as np
import pytest

from src.common.errors import InputError
from src.data import passes
from src.data import pipeline
from src.data import readers
from src.data import segments
from tests import records

SHIFTS = [-2, -1, 0, 1, 7]


def rolled_segments(video_id, frames, max_frames, shift):
    """(id, 5 dequantized frames, num_frames) of each segment, one at a time."""
    num_frames = min(len(frames), max_frames)
    padded = np.zeros((max_frames, frames.shape[1]))
    padded[:num_frames] = frames[:num_frames] * (4 / 255) + 4 / 512 - 2
    rolled = np.concatenate([np.roll(padded, shift, axis=0), np.zeros((4, frames.shape[1]))])
    for start in range(0, num_frames, 5):
        yield b"%s:%d" % (video_id, start), rolled[start:start + 5], min(5, num_frames - start)


@pytest.mark.parametrize("max_frames, lengths", [(300, [300, 297, 5, 3, 1]), (12, [12, 11, 6, 5, 3, 1, 30])])
def test_segments_equal_those_of_the_rolled_video_at_every_shift(tmp_path, max_frames, lengths):
    videos = [np.concatenate(records.random_frames(length, length, 24, 8), axis=1) for length in lengths]
    path = records.write(tmp_path / "test0000", [
        records.frame_level(b"v%d" % number, video[:, :24], video[:, 24:])
        for number, video in enumerate(videos)])
    reader = readers.create("rgb,audio", "24,8", frame_features=True, max_frames=max_frames)
    found = {}
    for batch in records.fetch(
            pipeline.segment_batches(reader, passes.Pass([path], reader.form), SHIFTS, 2 * max_frames // 5, 2),
            lambda batch: dict(batch, input=reader.model_input_raw(batch))):
        for segment in zip(batch["id"], batch["input"], batch["num_frames"]):
            key = batch["shift"], segment[0]
            assert key not in found
            found[key] = segment
    expected = {(index, segment[0]): segment for index, shift in enumerate(SHIFTS)
                for number, video in enumerate(videos)
                for segment in rolled_segments(b"v%d" % number, video, max_frames, shift)}
    assert set(found) == set(expected)
    for key, (_, frames, num_frames) in expected.items():
        np.testing.assert_allclose(found[key][1], frames, atol=1e-6, err_msg=str(key))
        assert found[key][2] == num_frames, key


def seen_around(frames, max_frames, shift, margin, positions):
    """{start: dequantized frames with margins} of the segments of the rolled video, and its frames at positions."""
    num_frames = min(len(frames), max_frames)
    padded = np.zeros((max_frames, frames.shape[1]))
    padded[:num_frames] = frames[:num_frames] * (4 / 255) + 4 / 512 - 2
    rolled = np.roll(padded, shift, axis=0)
    with_zeros = np.pad(rolled, [(margin, margin + 4), (0, 0)], "constant")
    return {start: with_zeros[start:start + 5 + 2 * margin] for start in range(0, num_frames, 5)}, rolled[positions]


@pytest.mark.parametrize("margin", [0, 3, 9])
@pytest.mark.parametrize("max_frames, lengths", [(300, [300, 297, 5, 1]), (12, [12, 11, 6, 3, 30])])
def test_margins_and_context_are_those_of_the_rolled_video(tmp_path, max_frames, lengths, margin):
    videos = [np.concatenate(records.random_frames(length, length, 24, 8), axis=1) for length in lengths]
    path = records.write(tmp_path / "test0000", [
        records.frame_level(b"v%d" % number, video[:, :24], video[:, 24:]) for number, video in enumerate(videos)])
    reader = readers.create("rgb,audio", "24,8", frame_features=True, max_frames=max_frames)
    view = segments.View(margin, lambda num_frames, seed=None: (num_frames[:, np.newaxis] - 1) * [0, 1, 1, 1] // [
        1, 3, 2, 1])
    contexts, found = set(), set()
    for batch in records.fetch(pipeline.segment_batches(  # of two videos
            reader, passes.Pass([path], reader.form), SHIFTS, 2 * max_frames // 5, 2, view=view),
            lambda batch: dict(batch, input=reader.model_input_raw(batch), around=reader.context_raw(batch))):
        assert len(batch["around"]) <= 2  # once per video
        for name, frames, row in zip(batch["id"], batch["input"], batch["video"]):
            number, start = (int(each) for each in name[1:].split(b":"))
            last = min(lengths[number], max_frames) - 1
            expected, around = seen_around(videos[number], max_frames, SHIFTS[batch["shift"]], margin,
                                           [0, last // 3, last // 2, last])
            np.testing.assert_allclose(frames, expected[start], atol=1e-6)
            np.testing.assert_allclose(batch["around"][row], around, atol=1e-6)
            found.add((batch["shift"], name))
            contexts.add((batch["shift"], number))
    assert len(found) == len(SHIFTS) * sum(-(-min(length, max_frames) // 5) for length in lengths)
    assert len(contexts) == len(SHIFTS) * len(lengths)


@pytest.mark.parametrize("skip", [(2, 0), (0, 1), (1, 2), (0, 59), (6, 2)])
def test_the_first_and_last_segments_of_each_video_can_be_left_out(tmp_path, skip):
    lengths = [300, 296, 12, 3, 41, 40]
    path = records.write(tmp_path / "test0000", [records.frame_level(b"v%d" % number, *records.random_frames(
        number, length, 24, 8)) for number, length in enumerate(lengths)])
    reader = readers.create("rgb,audio", "24,8", frame_features=True)
    found, num_bytes = {0: [], 1: []}, 0
    for batch in records.fetch(pipeline.segment_batches(  # of one video
            reader, passes.Pass([path], reader.form), [-1, 3], 60, 2, segments.Skipped(*skip))):
        assert batch["frames"].shape == (len(batch["id"]), 5, 32)
        found[batch["shift"]] += batch["id"].tolist()
        num_bytes += batch["bytes"].sum()
    starts = [list(range(0, length, 5)) for length in lengths]
    expected = [b"v%d:%d" % (number, start) for number, of_video in enumerate(starts)
                for start in of_video[skip[0]:len(of_video) - skip[1]]]
    assert found == {0: expected, 1: expected}
    assert num_bytes == pytest.approx(2 * os.path.getsize(path))  # also of videos without a segment


def test_the_projects_label_ids_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    classes = segments.read_label_ids("segment_label_ids.csv")
    assert len(classes) == 1000 and classes == sorted(set(classes))
    assert classes[0] >= 0 and classes[-1] < records.NUM_CLASSES


@pytest.mark.parametrize("content", [
    "Index\n7\n3\n100\n", "7\r\n100\r\n\r\n3", "\ufeff7\n100\n3\n", "\ufeffIndex\r\n7\r\n3\r\n100"])
def test_label_ids_are_read_with_and_without_a_header_in_ascending_order(tmp_path, content):
    path = tmp_path / "classes.csv"
    path.write_bytes(content.encode())
    assert segments.read_label_ids(str(path)) == [3, 7, 100]


def test_without_a_file_all_classes_of_ones_own_are_ranked(tmp_path):
    assert segments.rated_classes("", 6) == list(range(6))
    assert segments.rated_classes("", 3862) == segments.read_label_ids("segment_label_ids.csv")
    path = tmp_path / "classes.csv"
    path.write_text("5\n2\n")
    assert segments.rated_classes(str(path), 6) == [2, 5]
    with pytest.raises(InputError, match="--segment_label_ids_file lists class 5, but the model knows 0..4 only"):
        segments.rated_classes(str(path), 5)


@pytest.mark.parametrize("content, told", [
    ("Index\n7\nseven\n8\n", '%s, line 3: "seven" is no class: give one whole number per line.'),
    ("Index\n7,Car\n", '%s, line 2: "7,Car" is no class: give one whole number per line.'),
    ("Class\n7\n", '%s, line 1: "Class" is no class: give one whole number per line.'),
    ("Index\nIndex\n7\n", '%s, line 2: "Index" is no class: give one whole number per line.'),
    ("7\n" + 5000 * "8", '%s, line 2: "' + 60 * "8" + '..." is no class: give one whole number per line.'),
    ("Index\n-7\n", '%s, line 2: "-7" is no class: give one whole number per line.'),
    ("Index\n7\n8\n7\n", "%s must list at least one class, each once."),
    ("Index\n", "%s must list at least one class, each once.")])
def test_malformed_label_ids_are_explained(tmp_path, content, told):
    path = tmp_path / "classes.csv"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        segments.read_label_ids(str(path))
    assert str(error.value) == told % path


def test_missing_label_ids_are_named():
    with pytest.raises(InputError, match="/none/classes.csv does not exist"):
        segments.read_label_ids("/none/classes.csv")
