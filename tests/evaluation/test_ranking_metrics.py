"""Mean average precision of ranked lists, equal to the original evaluation."""
import json
import os

import numpy as np
import pytest

from src.common.errors import InputError
from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.submission import ranked_csv

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "golden")
RATINGS = ratings.create(np.array([b"a:0", b"a:5", b"b:0", b"b:5", b"c:0", b"c:5"]), [7, 7, 7, 7, 9, 8],
                         [1, 0, 1, 1, 1, 0])


@pytest.mark.parametrize("name", ["ensemble_1", "ensemble_2"])
def test_equal_to_the_original(name):
    folder = os.path.join(GOLDEN, name)
    with open(os.path.join(folder, "expected.json")) as stream:
        expected = json.load(stream)
    ids, labels, scores = zip(*expected["labels"])
    rated = ratings.create(np.array(ids, "S"), labels, scores)
    mean, precisions = ranking_metrics.mean_average_precision(
        ranked_csv.iterate(os.path.join(folder, "blend.csv")), rated, 100000)
    assert mean == pytest.approx(expected["map"], abs=1e-9)
    assert [precisions[label] for label in sorted(precisions)] == pytest.approx(expected["aps"], abs=1e-9)


def mean_average_precision(ranked, top_n=100):
    rows = [(label, np.array(ids.split(), "S")) for label, ids in ranked.items()]
    return ranking_metrics.mean_average_precision(rows, RATINGS, top_n)


def test_unrated_segments_do_not_count():
    # Rated segments of class 7, in ranked order: present, absent, present. Another present one is not found.
    mean, precisions = mean_average_precision({7: b"x:0 a:0 x:5 a:5 c:0 b:5 x:10", 9: b"c:0", 8: b"c:5", 3: b"a:0"})
    assert precisions == {7: pytest.approx((1 + 2 / 3.0) / 3), 9: 1.0}
    assert mean == pytest.approx(((1 + 2 / 3.0) / 3 + 1) / 2)


def test_classes_without_a_list_or_a_hit_count_as_zero():
    assert mean_average_precision({9: b"c:0"}) == (0.5, {7: 0.0, 9: 1.0})
    assert mean_average_precision({7: b"", 9: b"x:0 c:5"}) == (0.0, {7: 0.0, 9: 0.0})


def test_only_the_first_top_n_count():
    assert mean_average_precision({7: b"x:0 x:5 a:0", 9: b"c:0"}, top_n=2) == (0.5, {7: 0.0, 9: 1.0})
    assert mean_average_precision({7: b"x:0 x:5 a:0", 9: b"c:0"}, top_n=3)[1][7] == pytest.approx(1 / 3.0)


@pytest.mark.parametrize("ids, named", [(b"x:0 y:5", ' such as "x:0"'), (b"b'a':0", ' such as "b\'a\':0"'), (b"", "")])
def test_lists_without_a_rated_segment_are_refused(ids, named):
    with pytest.raises(ranking_metrics.NothingRated) as error:
        mean_average_precision({7: ids, 3: ids})
    assert str(error.value) == ("The ranking: none of the segments%s is rated; the 6 ratings are of segments such as "
                                "\"a:0\": rank the shards that were rated." % named)
    assert mean_average_precision({7: ids, 3: b"a:0"}) == (0.0, {7: 0.0, 9: 0.0})  # rated for another class


def test_lists_of_other_classes_than_the_rated_ones_are_refused():
    with pytest.raises(ranking_metrics.NothingRated) as error:
        mean_average_precision({12: b"a:0 b:0", 3: b"a:0", 8: b"c:5"})  # 8 has no positive rating
    assert str(error.value) == ("The ranking: none of its classes such as 12 has a positive rating; these have one: "
                                "7, 9. Rank these, and check that the classes' numbers are those of the ratings.")


@pytest.mark.parametrize("ranked, told", [
    (range(0, 40), []),
    (range(4, 40), ["INFO The lists: classes with a positive rating and no list, which count as 0: 0, 1, 2, 3"]),
    (range(5, 40), ["WARNING WARNING: The lists: 5 of the 40 classes with a positive rating have no list and count as "
                    "0: 0, 1, 2, 3, 4. Rank them, too: see --segment_label_ids_file of inference.py."]),
    (range(39, 40), ["WARNING WARNING: The lists: 39 of the 40 classes with a positive rating have no list and count "
                     "as 0: %s and 19 others. Rank them, too: see --segment_label_ids_file of inference.py."
                     % ", ".join(map(str, range(20)))])])
def test_classes_without_a_list_are_named_and_warned_of_above_a_tenth(caplog, ranked, told):
    caplog.set_level("INFO", "yt8m")
    # 40 has no positive rating, 41 no rating.
    rated = ratings.create([b"a:0"] * 41, range(41), [1] * 40 + [0])
    unranked = ranking_metrics.Unranked(rated)
    rows = [(label, np.array([b"a:0"])) for label in ranked] + [(41, np.array([b"a:0"]))]
    ranking_metrics.mean_average_precision(rows, rated, 10, "", unranked)
    unranked.warn("The lists")
    assert ["%s %s" % (record.levelname, record.getMessage()) for record in caplog.records] == told


def test_without_a_positive_rating_there_is_no_map():
    absent = ratings.create(np.array([b"a:0"]), [7], [0])
    with pytest.raises(InputError, match="None of the 1 segment ratings is positive"):
        ranking_metrics.mean_average_precision([], absent, 10)
