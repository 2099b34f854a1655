"""The objective of the tuning equals the mAP of the fused lists."""
import numpy as np
import pytest

from src.common.errors import InputError
from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.submission import fusion
from src.submission import objective
from src.submission import ranked_csv

IDS = np.array([b"%s:%d" % (video, start) for video in (b"a0", b"b1", b"c2", b"d3", b"longervideo")
                for start in range(0, 60, 5)])
CLASSES = [3, 8, 12, 40]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Files of four lists of 0 to 60 segments of most classes."""
    random, folder = np.random.RandomState(7), tmp_path_factory.mktemp("lists")
    names = [str(folder / ("%d.csv" % number)) for number in range(4)]
    for name in names:
        ranked_csv.write(name, [(label, random.permutation(IDS)[:random.choice([0, 15, 40, 60])])
                                for label in CLASSES if label == 3 or random.rand() < 0.9])
    return names


def some_ratings(seed, num=150):
    """Ratings of segments and classes; some of these are in no list."""
    random = np.random.RandomState(seed)
    ids = np.concatenate([IDS, [b"e4:0", b"unseenvideo:5"]])
    return ratings.create(random.choice(ids, num), random.choice(CLASSES + [41, 50], num), random.randint(0, 2, num))


def rebuilt(paths, w0, weights, rated, top_n):
    """The objective's expected values, from the fused lists."""
    lists = [ranked_csv.read(path) for path in paths]
    fused = [(label, fusion.fuse([one.get(label, np.empty(0, "S1")) for one in lists], weights, w0, top_n))
             for label in CLASSES]
    return ranking_metrics.mean_average_precision(fused, rated, top_n)


def check(value_of, expected, w0, weights):
    mean, precisions = expected
    assert value_of(w0, weights) == pytest.approx(mean, abs=1e-12)
    assert value_of.average_precisions(w0, weights) == pytest.approx(precisions, abs=1e-12)


@pytest.mark.parametrize("top_n", [1, 2, 5, 12, 20, 30, 45, 55, 59, 60, 100])
def test_equals_the_map_of_the_fused_lists(paths, top_n):
    rated, random = some_ratings(top_n), np.random.RandomState(top_n)
    value_of = objective.read(paths, rated, top_n)
    assert value_of.num_lists == 4
    for _ in range(12):
        w0 = random.choice([0.01, 1.0, 6.0, 1e6, random.uniform(0, 10)])
        weights = random.choice([0.0, 0.0, 1.0, 2.0, random.uniform(0, 200)], 4)
        weights[random.randint(4)] = 1.0
        check(value_of, rebuilt(paths, w0, weights, rated, top_n), w0, weights)


@pytest.mark.parametrize("top_n", [3, 5, 6, 8])
def test_ties_go_to_the_segment_met_first_at_the_cut_too(tmp_path, top_n):
    names = [str(tmp_path / name) for name in ("1.csv", "2.csv")]
    for name, ids in zip(names, (IDS[:5], IDS[5:10])):  # every rank's two scores are equal
        ranked_csv.write(name, [(3, ids)])
    for seed in range(5):
        rated = ratings.create(IDS[:12], [3] * 12, np.r_[1, np.random.RandomState(seed).randint(0, 2, 11)])
        value_of = objective.read(names, rated, top_n)
        for weights in ([1.0, 1.0], [0.0, 1.0], [1.0, 0.0]):
            check(value_of, rebuilt(names, 2.0, weights, rated, top_n), 2.0, weights)


@pytest.mark.parametrize("top_n", [20, 100])
def test_halves_split_the_rated_segments_by_video(paths, top_n):
    rated = some_ratings(1, 400)
    first, second = objective.read(paths, rated, top_n).halves(seed=5)
    videos = np.array([name.partition(b":")[0] for name in rated.segment_ids.tolist()])
    shuffled = np.random.RandomState(0).permutation(len(videos))
    again, _ = objective.read(paths, ratings.Ratings(*(column[shuffled] for column in rated)), top_n).halves(seed=5)
    w0, weights = 3.0, [1.0, 2.0, 0.0, 4.0]
    assert again.average_precisions(w0, weights) == first.average_precisions(w0, weights)
    names, listed = np.unique(videos), np.isin(rated.segment_ids, IDS)
    possible = []
    for number in range(1 << len(names)):  # exactly one choice of videos explains both halves
        chosen = np.isin(videos, names[[bool(number >> bit & 1) for bit in range(len(names))]])
        if (rated.scores[chosen].any() and rated.scores[~chosen].any()
                and (chosen & listed).any() and (~chosen & listed).any()):
            maps = [rebuilt(paths, w0, weights, ratings.Ratings(*(column[part] for column in rated)), top_n)[1]
                    for part in (chosen, ~chosen)]
            if (maps[0] == pytest.approx(first.average_precisions(w0, weights), abs=1e-12)
                    and maps[1] == pytest.approx(second.average_precisions(w0, weights), abs=1e-12)):
                possible.append(np.unique(videos[chosen]).size)
    assert possible == [len(names) // 2]


@pytest.mark.parametrize("top_n", [20, 100])
def test_without_any_weight_nothing_is_ranked(paths, top_n):
    assert objective.read(paths, some_ratings(1), top_n)(1.0, [0.0] * 4) == 0


def test_other_seeds_draw_other_halves(paths):
    whole = objective.read(paths, some_ratings(1, 400), 100)
    assert len({whole.halves(seed)[0](3.0, [1.0] * 4) for seed in range(8)}) > 2


def test_a_half_without_a_positive_is_refused(paths):
    rated = ratings.create(np.array([b"a0:0", b"b1:0"]), [3, 3], [1, 0])
    with pytest.raises(InputError, match="Half of the rated videos have no positive rating"):
        objective.read(paths, rated, 100).halves(0)


def test_bad_numbers_and_ratings_are_refused(paths):
    value_of = objective.read(paths, some_ratings(0), 100)
    with pytest.raises(InputError, match="There are 3 weights for 4 lists"):
        value_of(1.0, [1.0] * 3)
    with pytest.raises(InputError, match="Weight 2 is -1"):
        value_of(1.0, [1.0, -1.0, 1.0, 1.0])
    with pytest.raises(InputError, match="w0 is 0"):
        value_of(0, [1.0] * 4)
    with pytest.raises(InputError, match="None of the 1 segment ratings is positive"):
        objective.read(paths, ratings.create(IDS[:1], [3], [0]), 100)


def test_a_segment_that_occurs_twice_in_a_list_is_named(tmp_path):
    path = str(tmp_path / "list.csv")
    ranked_csv.write(path, [(3, [b"a0:0", b"b1:5", b"a0:0"])])
    with pytest.raises(InputError, match='list.csv, line 2: segment "a0:0" occurs twice'):
        objective.read([path], ratings.create(IDS[:1], [3], [1]), 100)
