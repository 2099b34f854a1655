"""CSV of each video's classes and confidences."""
import os

import numpy as np
import pytest

from src.common.errors import InputError
from src.submission import video_csv


def test_lines_are_id_and_label_score_pairs(tmp_path):
    path = str(tmp_path / "new" / "videos.csv")
    with video_csv.writing(path) as writer:
        writer.add(np.array([b"abcd", b"ef"]), np.array([[3861, 5], [0, 12]]),
                   np.array([[.75, .1], [1, 1.234567891e-7]], "f4"))
        writer.add(np.array([b"gh:35"], object), np.array([[7]]), np.array([[.3333333333]]))
        writer.add(np.zeros(0, "S1"), np.zeros((0, 2), int), np.zeros((0, 2)))
    with open(path) as stream:
        assert stream.read() == ("VideoId,LabelConfidencePairs\nabcd,3861 0.75 5 0.1\nef,0 1 12 1.23457e-07\n"
                                 "gh:35,7 0.333333\n")


def test_a_failure_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "videos.csv"
    path.write_text("old")
    with pytest.raises(InputError):
        with video_csv.writing(str(path)) as writer:
            writer.add(np.array([b"abcd"]), np.array([[1]]), np.array([[.5]]))
            raise InputError("a shard is corrupt")
    assert path.read_text() == "old"
    assert os.listdir(str(tmp_path)) == ["videos.csv"]
