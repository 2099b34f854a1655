"""What a look at a shard finds; tests/programs/test_check_data.py asks the program."""
import numpy as np

from src.data import survey
from tests import records


def test_whole_records_of_youtube_8m_have_no_fault(tmp_path):
    path = records.write(tmp_path / "validate0000.tfrecord", [
        records.frame_level(b"abcd", *records.random_frames(0, 12), labels=[5, 7, 5],
                            ratings=[(0, 7, 1), (5, 9, 0), (0, 7, 0), (15, 7, 1)])])
    video = records.write(tmp_path / "train0000.tfrecord", [
        records.video_level(b"wxyz", np.ones(1024), np.ones(128), [5])])
    of_frames, of_video = survey.read_shards([path, video])
    assert (of_frames.damage, of_frames.faults, of_frames.ids.tolist()) == (None, [], [b"abcd"])
    assert of_frames.counts == dict(videos=1, frames=12, segments=3, ratings=3, positive_ratings=1, replaced_ratings=1,
                                    ratings_after_the_video=1)
    assert (of_frames.labels, of_frames.rated, of_frames.lengths) == ({5: 1, 7: 1}, {7: 2, 9: 1}, {12: 1})
    # The segments 0 and 1 of three; second 15 is after the last.
    assert (of_frames.from_start, of_frames.from_end) == ({0: 1, 1: 1}, {2: 1, 1: 1})
    assert (of_video.damage, of_video.faults, of_video.ids.tolist()) == (None, [], [b"wxyz"])
    assert (of_video.counts["videos"], of_video.labels, of_video.lengths) == (1, {5: 1}, {})
