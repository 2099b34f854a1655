"""Which videos have a map, and which classes a map has."""
import numpy as np
import pytest

from src.evaluation import ratings
from src.exploration import maps

NO_SCORE = -1.0


def test_the_videos_with_most_positive_ratings_have_a_map(monkeypatch):
    rated = ratings.create(np.array([b"a:0", b"b:5", b"b:0", b"c:0", b"B:0", b"B:5"]), [1, 1, 1, 1, 1, 2],
                           [0, 1, 1, 1, 1, 1])
    assert maps.choose_videos(rated).tolist() == [b"B", b"a", b"b", b"c"]
    monkeypatch.setattr(maps, "MAX_VIDEOS", 2)
    assert maps.choose_videos(rated).tolist() == [b"B", b"b"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_map_has_the_rated_classes_then_those_of_the_best_scores_then_of_the_best_ranks(order):
    table = maps.Maps(np.array([b"x", b"y"]), 1)
    # Class: best rank, whether rated, best score.
    entries = {label: (100 + label, False, NO_SCORE) for label in range(12)}
    entries.update({20: (9999, True, NO_SCORE), 21: (9998, False, .25), 22: (9997, False, .75), 23: (3, False, 0.0)})
    for label in sorted(entries)[::order]:
        rank, is_rated, score = entries[label]
        cells = np.full([1, 1, 3 if label % 2 else 5], 1 + label, np.uint8)
        table.add(label, np.array([1]), np.array([rank]), cells, np.array([is_rated]), np.array([score]))
    labels, levels = table.of_video(1)
    assert labels.tolist() == [20, 22, 21, 23, 0, 1, 2, 3]
    for label, row in zip(labels.tolist(), levels[:, 0]):
        assert row.tolist() == [1 + label] * 3 + [0 if label % 2 else 1 + label] * 2
    assert len(table.of_video(0)[0]) == 0


def test_letters_tell_ranks_and_scores_apart():
    levels = maps.level_of_rank(np.array([-1, 0, 1, 9, 99, 999, 99999, 499999]))
    assert levels[0] == 0 and levels[1] == maps.LEVELS and levels[-1] == 1
    assert np.all(np.diff(levels[1:].astype(int)) < 0)
    assert maps.level_of_score(np.array([-.1, 0, .5, 1, 1.5])).tolist() == [1, 1, 31, 61, 61]
    assert maps.as_text(np.array([0, 1, 61, 0, 0], np.uint8)) == " 0y"
