"""What a look at a shard finds; tests/programs/test_check_data.py asks the program."""
import numpy as np

from src.data import survey
from tests import records


def test_whole_records_of_youtube_8m_have_no_fault(tmp_path):
    video = records.video_level(b"wxyz", np.ones(1024), np.ones(128), [5])
    path = records.write(tmp_path / "validate0000.tfrecord", [
        records.frame_level(b"abcd", *records.random_frames(0, 12), labels=[5, 7, 5],
                            ratings=[(0, 7, 1), (5, 9, 0), (0, 7, 0), (15, 7, 1)]), video])
    shard = survey.read_shard(path, survey.FRAME_LEVEL)
    assert (shard.damage, shard.faults, shard.ids.tolist()) == (None, [], [b"abcd", b"wxyz"])
    assert shard.counts == dict(videos=2, frames=12, segments=3, ratings=3, positive_ratings=1, replaced_ratings=1,
                                ratings_after_the_video=1)
    assert (shard.labels, shard.rated, shard.lengths) == ({5: 2, 7: 1}, {7: 2, 9: 1}, {12: 1})
