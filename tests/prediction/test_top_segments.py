"""The best segments of each class are those of sorting all scores, in bounded memory."""
import tracemalloc

import numpy as np
import pytest

from src.common.errors import InputError
from src.prediction import top_segments
from src.prediction.top_segments import TopSegments
from src.prediction.top_segments import top_columns


def names(count, first=0):
    return np.array([b"v%d:%d" % divmod(5 * number, 300) for number in range(first, first + count)])


def sorted_reference(scores, max_segments, top_k):
    """Per class a list of segment numbers, best first, by sorting everything."""
    ranked = [[] for _ in range(scores.shape[1])]
    for number, row in enumerate(scores.tolist()):
        for column in sorted(range(len(row)), key=lambda column: (-row[column], column))[:top_k]:
            ranked[column].append((-row[column], number))
    return [[number for _, number in sorted(entries)[:max_segments]] for entries in ranked]


def ranked_lists(top):
    return [ids.tolist() for ids in top.ranked()]


@pytest.mark.parametrize("top_k", [None, 1, 3, 7, 50])
@pytest.mark.parametrize("max_segments", [1, 5, 40, 1000])
@pytest.mark.parametrize("levels", [2, 10, None])  # number of different scores: few make many ties
def test_equals_sorting_everything(monkeypatch, top_k, max_segments, levels):
    monkeypatch.setattr(top_segments, "BLOCK_SCORES", 60)  # several blocks per batch
    random = np.random.RandomState(7)
    scores = random.rand(400, 7).astype("f4")
    scores[:, 2] = np.linspace(0, 1, 400)  # every segment is better than all before
    if levels:
        scores = np.floor(scores * levels) / np.float32(levels)
    ids, top = names(400), TopSegments(7, max_segments)
    for part in np.split(np.arange(400), [1, 1, 30, 150, 399]):
        top.add(ids[part], scores[part], top_k)
    expected = sorted_reference(scores, max_segments, top_k)
    assert ranked_lists(top) == [ids[numbers].tolist() for numbers in expected]


def test_segments_may_be_added_after_the_lists_were_taken():
    top, scores = TopSegments(2, 3), np.random.RandomState(1).rand(20, 2).astype("f4")
    top.add(names(12), scores[:12])
    first = ranked_lists(top)
    assert ranked_lists(top) == first
    top.add(names(8, 12), scores[12:])
    assert ranked_lists(top) == [names(20)[numbers].tolist() for numbers in sorted_reference(scores, 3, None)]


def test_equal_scores_rank_in_the_order_met_and_minus_zero_is_zero():
    top = TopSegments(1, 3)
    top.add(np.array([b"a:0", b"b:0"]), np.array([[0.0], [-0.0]], "f4"))
    top.add(np.array([b"longer:295", b"c:0", b"d:5"]), np.array([[0.5], [-0.0], [0.5]], "f4"))
    assert ranked_lists(top) == [[b"longer:295", b"d:5", b"a:0"]]


def test_ids_as_tensorflow_returns_them():
    top = TopSegments(1, 5)
    top.add(np.array([b"a:0", b"abcd:295"], object), np.array([[.1], [.2]], "f4"))
    assert ranked_lists(top) == [[b"abcd:295", b"a:0"]]


def test_no_segments_give_an_empty_list_per_class():
    assert ranked_lists(TopSegments(3, 10)) == [[], [], []]


@pytest.mark.parametrize("bad", [np.nan, -0.25])
def test_what_is_no_probability_stops_and_adds_nothing(bad):
    top, scores = TopSegments(2, 5), np.full((3, 2), .5, "f4")
    top.add(names(3), scores)
    scores[1, 1] = bad
    with pytest.raises(InputError, match="predicts %s, which is not a probability.*earlier checkpoint" % bad):
        top.add(names(3, 3), scores)
    assert ranked_lists(top) == [names(3).tolist()] * 2
    with pytest.raises(InputError, match="not a probability"):
        top_columns(scores, 1)


def test_ids_and_scores_must_fit():
    with pytest.raises(ValueError, match="2 segments and 3 classes do not fit"):
        TopSegments(3, 5).add(names(2), np.zeros((3, 3), "f4"))


def test_memory_stays_within_the_bound():
    random, classes, max_segments = np.random.RandomState(3), 50, 2000
    tracemalloc.start()
    top, segments = TopSegments(classes, max_segments), 0
    assert top.memory_bound == 8 * classes * 1.25 * max_segments
    for _ in range(20):  # 16 times max_segments, half of that in one call
        for size in (100, 1500):
            top.add(names(size, segments), random.rand(size, classes).astype("f4"))
            segments += size
    assert all(len(ids) == max_segments for ids in top.ranked())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    working = 40 * top_segments.BLOCK_SCORES
    one_batch = 2 * 4 * 1500 * classes  # as random numbers, and as float32
    ids = 2 * 16 * segments  # concatenated at the end, and the objects of `names`
    assert top.memory_bound < peak < top.memory_bound + working + one_batch + ids


def test_top_columns_are_best_first_with_ties_to_the_lower():
    scores = np.array([[.1, .5, .3, .5, .3], [.2, .2, .2, .2, .2], [0, 0, 0, .1, .9]], "f4")
    np.testing.assert_array_equal(top_columns(scores, 3), [[1, 3, 2], [0, 1, 2], [4, 3, 0]])
    np.testing.assert_array_equal(top_columns(scores, 9)[0], [1, 3, 2, 4, 0])
    scores = np.floor(np.random.RandomState(2).rand(200, 30) * 12).astype("f4")
    np.testing.assert_array_equal(top_columns(scores, 5), np.argsort(-scores, axis=1, kind="stable")[:, :5])


@pytest.mark.parametrize("levels", [3, None])
@pytest.mark.parametrize("max_segments", [1, 30, 1000])
def test_merged_parts_rank_as_the_whole(max_segments, levels):
    random = np.random.RandomState(3)
    scores = (random.randint(levels, size=(200, 7)) if levels else random.rand(200, 7)).astype("f4")
    ids = np.array([b"v%d:0" % number for number in range(200)])
    whole, parts = top_segments.TopSegments(7, max_segments), []
    for begin, end in (0, 50), (50, 51), (51, 51), (51, 200):
        whole.add(ids[begin:end], scores[begin:end], 5)
        part = top_segments.TopSegments(7, max_segments)
        part.add(ids[begin:end], scores[begin:end], 5)
        parts.append(list(part.rankings(3)))
    merged = [top_segments.merged([top_segments.merged(block[:2], max_segments)] + list(block[2:]), max_segments)
              for block in zip(*parts)]
    assert ranked_lists(whole) == [top_segments.row(block, column).tolist()
                                   for block in merged for column in range(len(block.ends))]
