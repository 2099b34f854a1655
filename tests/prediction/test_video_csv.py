"""CSV of each video's classes and confidences."""
import csv
import os
import re

import numpy as np
import pytest

from src.common import text
from src.common.errors import InputError
from src.prediction import video_csv


def test_lines_are_id_and_label_score_pairs(tmp_path):
    path = str(tmp_path / "new" / "videos.csv")
    with video_csv.writing(path) as stream:
        stream.write(video_csv.lines(np.array([b"abcd", b"ef"]), np.array([[3861, 5], [0, 12]]),
                                     np.array([[.75, .1], [1, 1.234567891e-7]], "f4")))
        stream.write(video_csv.lines(np.array([b"gh:35"], object), np.array([[7]]), np.array([[.3333333333]])))
        stream.write(video_csv.lines(np.zeros(0, "S1"), np.zeros((0, 2), int), np.zeros((0, 2))))
    with open(path) as stream:
        assert stream.read() == ("VideoId,LabelConfidencePairs\nabcd,3861 0.75 5 0.1\nef,0 1 12 1.23457e-07\n"
                                 "gh:35,7 0.333333\n")


def test_names_are_in_an_extra_column(tmp_path):
    path = str(tmp_path / "segments.csv")
    with video_csv.writing(path, named=True) as stream:
        stream.write(video_csv.lines(np.array([b"ab:0", b"ab:5"]), np.array([[3, 5], [9, 3]]),
                                     np.array([[.75, .5], [.5, .25]]), {3: 'The "Cat", big', 5: "Dog"}))
    with open(path, newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["VideoId", "LabelConfidencePairs", "Names"], ["ab:0", "3 0.75 5 0.5", 'The "Cat", big;Dog'],
            ["ab:5", "9 0.5 3 0.25", 'class 9;The "Cat", big']]
    starts, labels, scores = video_csv.read_video(path, b"ab")
    assert starts.tolist() == [0, 5] and labels.tolist() == [3, 5, 9]
    np.testing.assert_allclose(scores, [[.75, .5, 0], [.25, 0, .5]])


def test_a_failure_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "videos.csv"
    path.write_text("old")
    with pytest.raises(InputError):
        with video_csv.writing(str(path)) as stream:
            stream.write(video_csv.lines(np.array([b"abcd"]), np.array([[1]]), np.array([[.5]])))
            raise InputError("a shard is corrupt")
    assert path.read_text() == "old"
    assert os.listdir(str(tmp_path)) == ["videos.csv"]


def test_one_videos_segments_are_read_back(tmp_path):
    path = str(tmp_path / "segments.csv")
    with video_csv.writing(path) as stream:
        stream.write(video_csv.lines(np.array([b"ab:10", b"abc:0", b"ab:5"]), np.array([[7, 3], [9, 8], [3, 5]]),
                                     np.array([[.5, .25], [.9, .8], [.75, .125]])))
    starts, labels, scores = video_csv.read_video(path, b"ab")
    assert starts.tolist() == [5, 10] and labels.tolist() == [3, 5, 7]
    assert scores.tolist() == [[.75, .125, 0], [.25, 0, .5]]
    with pytest.raises(InputError, match="has no segment of the video xy"):
        video_csv.read_video(path, b"xy")


@pytest.mark.parametrize("line", ["ab:15,3 .5 7", "ab:15,3 high", "ab:15", "ab:late,3 .5", "ab:15,3 nan", "ab:15,3 inf",
                                  "ab:15,3 17.0", "ab:15,3 -.1", "ab:15,-3 .5", "ab:15,65536 .5", "ab:15,3.5 .5",
                                  "ab:11,3 .5", "xy:11,3 .5", "xy,3 .5", "\x7fELF\x02", "ab,3 .5",
                                  "ab:15,%s .5" % (30 * "3")])
def test_a_malformed_line_is_named(line, tmp_path):
    (tmp_path / "segments.csv").write_text("VideoId,LabelConfidencePairs\nxy:0,oops\nab:5,3 .5\n%s\n" % line)
    with pytest.raises(InputError, match=re.escape('line 4: %s is not VIDEO:START' % text.quoted(line.encode()))):
        video_csv.read_video(str(tmp_path / "segments.csv"), b"ab")


def test_a_line_of_all_classes_is_read_back(tmp_path):
    path = str(tmp_path / "segments.csv")
    with video_csv.writing(path) as stream:
        stream.write(video_csv.lines(np.array([b"ab:10"]), np.arange(3862)[np.newaxis],
                                     np.full([1, 3862], 1.234567e-05)))
    assert os.path.getsize(path) > 64000
    assert video_csv.read_video(path, b"ab")[1].tolist() == list(range(3862))
