"""Features of own videos, as files."""
import os

import numpy as np

from src.data import own_videos


def test_what_is_written_can_be_read_whatever_its_range(tmp_path):
    path = str(tmp_path / "new" / "a.npz")
    own_videos.write(path, {"rgb": np.array([[-45, 1, 16.5]], "f4"), "audio": np.array([[.5, -.25]], "f4")})
    with np.load(path) as found:
        assert {name: values.tolist() for name, values in found.items()} == {
            "rgb": [[-16, 1, 16]], "audio": [[.5, -.25]]}
    features = own_videos.read(path, [("rgb", 3), ("audio", 2)])
    assert features.lists["rgb"].tolist() == [[0, 191, 255]] and features.clipped == .4
    assert os.listdir(str(tmp_path / "new")) == ["a.npz"]
