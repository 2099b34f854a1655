"""Candidates of videos: their file, their formula, their flags."""
import types

import numpy as np
import pytest

from src.common.errors import InputError
from src.data import forms
from src.prediction import video_csv
from src.prediction import video_prior
from src.prediction.video_prior import Setting
from tests import records

CLASSES = np.array([2, 3, 5, 7, 11, 13])  # ranked, of 20
BEST = [(7, .9), (4, .8), (3, .5), (13, .25), (2, 3e-8)]  # of the video abcd; 4 is not ranked


def write(path, *lines):
    path.write_text("".join(line + "\n" for line in lines))
    return str(path)


def line(video, pairs):
    return "%s,%s" % (video, " ".join("%d %g" % pair for pair in pairs))


def read(path, *settings):
    return video_prior.read(str(path), [Setting(*each) for each in settings or [(3, .5)]], CLASSES, 20)


def scores(prior, segments, of_model):
    """The scores of each Setting, {class: score} per segment."""
    found = video_prior.scores(prior, np.array(of_model, "f4"), video_prior.rows(prior.table, segments))
    return [[dict(zip(CLASSES.tolist(), row)) for row in of_setting] for of_setting in found]


def formula(p, pairs, count, weight):
    """The scores {class: score} of a segment, by the definition."""
    ranked = [(label, v) for label, v in sorted(pairs, key=lambda pair: -pair[1]) if label in CLASSES]
    candidates = dict(ranked[:count])
    p, clip = dict(zip(CLASSES.tolist(), p)), lambda value: min(max(value, 1e-7), 1)
    return {label: clip(p[label]) ** (1 - weight) * clip(candidates[label]) ** weight if label in candidates
            else 1e-8 * clip(p[label]) for label in p}


@pytest.mark.parametrize("count, weight", [(1, 0), (3, 0), (3, .5), (3, 1), (4, .25), (9, .3)])
def test_candidates_follow_the_formula_and_others_rank_below(tmp_path, count, weight):
    other = [(5, .4), (2, .3), (19, .2)]
    path = write(tmp_path / "videos.csv", "VideoId,LabelConfidencePairs", line("wxyz", other), line("abcd", BEST))
    random = np.random.RandomState(0)
    of_model = np.append(random.rand(3, 6), [[0, 1, 1e-9, 2e-7, .5, 1e-7]], axis=0).astype("f4")
    segments = np.array([b"abcd:0", b"wxyz:295", b"abcd:5", b"abcd:10"], object)  # as TensorFlow returns them
    found, = scores(read(path, (count, weight)), segments, of_model)
    for row, pairs, p in zip(found, [BEST, other, BEST, BEST], of_model.astype("f8")):
        assert row == pytest.approx(formula(p, pairs, count, weight), rel=1e-6)
        assert row[7].dtype == np.float32
        lowest, = np.sort(list(row.values()))[::-1][[min(count, 4 if pairs is BEST else 2) - 1]]
        assert sum(score > 2e-8 for score in row.values()) == min(count, 4 if pairs is BEST else 2) and lowest > 9e-8


def test_settings_share_one_table_and_videos_of_no_line_have_no_candidate(tmp_path):
    path = write(tmp_path / "videos.csv", line("abcd", BEST), line("abc", [(7, .5)]))
    settings = [(2, 0), (2, 1), (1, .5)]
    p = np.full([4, 6], .25, "f4")
    found = scores(read(path, *settings), [b"abcd:0", b"abcde:0", b"abc:5", b"abd:0"], p)
    for of_setting, setting in zip(found, settings):
        for row, pairs in zip(of_setting, [BEST, [], [(7, .5)], []]):
            assert row == pytest.approx(formula(p[0], pairs, *setting), rel=1e-6)
    assert [sum(score > 2e-8 for score in row.values()) for row in found[0]] == [2, 0, 1, 0]


def test_equal_predictions_keep_the_order_of_the_file(tmp_path):
    path = write(tmp_path / "videos.csv", line("abcd", [(11, .5), (3, .5), (2, .5), (13, .75)]))
    row, = scores(read(path, (3, 0)), [b"abcd:0"], np.full([1, 6], .5))[0]
    assert {label for label, score in row.items() if score > .1} == {13, 11, 3}


def test_no_segments_have_no_scores(tmp_path):
    prior = read(write(tmp_path / "videos.csv", line("abcd", BEST)))
    assert scores(prior, np.zeros(0, object), np.zeros([0, 6])) == [[]]


def test_what_inference_writes_is_read_in_blocks_with_and_without_names(tmp_path, monkeypatch):
    random = np.random.RandomState(1)
    ids = ["v%d" % number for number in random.permutation(300)]
    labels = np.array([random.permutation(20)[:8] for _ in ids])
    predicted = -np.sort(-random.rand(300, 8).astype("f4"), axis=1)
    tables = []
    for names, block_bytes in (None, 1 << 20), ({7: 'a "b", c'}, 1000):
        monkeypatch.setattr(video_prior, "BLOCK_BYTES", block_bytes)
        path = str(tmp_path / "videos.csv")
        with video_csv.writing(path, names is not None) as stream:
            stream.write(video_csv.lines(np.array(ids, "S"), labels, predicted, names))
        tables.append(read(path, (2, 0), (4, 0)))
    assert tables[0].digest == tables[1].digest
    table = tables[0].table
    assert table.videos.tolist() == sorted(name.encode() for name in ids)
    for row in range(300):
        number = ids.index(table.videos[row].decode())
        kept = [column for column in range(8) if labels[number, column] in CLASSES][:4]
        span = slice(table.begins[row], table.begins[row] + table.counts[row])
        assert CLASSES[table.columns[span]].tolist() == labels[number, kept].tolist()
        np.testing.assert_allclose(table.scores[span], predicted[number, kept], rtol=1e-5)


def test_another_file_has_another_digest(tmp_path):
    digests = [read(write(tmp_path / "videos.csv", line(video, [(7, score)]))).digest
               for video, score in (("abcd", .5), ("abcd", .25), ("abce", .5), ("abcd", .5))]
    assert digests[0] == digests[3] and len(set(digests)) == 3


@pytest.mark.parametrize("bad", [
    "abce", "abce,", "abce,7", "abce,7 0.5 ", "abce,7 0.5 3", "abce,7 nan", "abce,7 1.5", "abce,7 -0.5", "abce,-7 0.5",
    "abce,20 0.5", "abce,7 0.5 7 0.25", "abce:5,7 0.5", "ab ce,7 0.5", ",7 0.5", "abce,7 0.5,Car", "abce,7  0.5",
    "abce,7 1e999", "abce,7 0_5", "Class,Segments", "x" * 65 + ",7 0.5", "abce,7 \u0661", "abce,9999999999 0.5"])
def test_a_malformed_line_is_named(tmp_path, bad):
    path = write(tmp_path / "videos.csv", "VideoId,LabelConfidencePairs", line("abcd", BEST), "", bad, "wxyz,7 0.5")
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).startswith("%s, line 4: " % path)
    assert str(error.value).endswith(
        " is not VIDEO,label score label score, with different labels from 0 to 19 and scores from 0 to 1: give what "
        "inference.py writes without --segment_labels.")


def test_a_repeated_video_and_an_empty_file_are_refused(tmp_path):
    path = write(tmp_path / "videos.csv", line("abcd", BEST), "", line("abc", BEST), line("abcd", BEST))
    with pytest.raises(InputError, match='videos.csv, line 4: the video "abcd" was in line 1: give each video once.'):
        read(path)
    with pytest.raises(InputError, match="videos.csv holds no video: give what inference.py writes without"):
        read(write(tmp_path / "videos.csv", "VideoId,LabelConfidencePairs"))
    with pytest.raises(InputError, match="none.csv does not exist: check the path."):
        read(tmp_path / "none.csv")


# Recall.


@pytest.fixture
def rated(tmp_path):
    """A shard whose positive ratings are of 7 (rank 0), twice 3 (rank 1), 13 (rank 2), 5 (none) and 19 (not ranked)."""
    frames = records.random_frames(0, 30)
    return [records.write(tmp_path / "validate0000", [
        records.frame_level(b"abcd", *frames, ratings=[
            (0, 7, 1), (0, 3, 1), (5, 3, 1), (10, 3, 0), (5, 13, 1), (5, 5, 1), (5, 19, 1), (5, 2, 0)]),
        records.frame_level(b"wxyz", *frames, ratings=[(0, 7, 1), (0, 11, 1), (5, 11, 0)])])]


def test_recall_counts_the_positive_ratings_of_ranked_classes(tmp_path, rated, caplog):
    caplog.set_level("INFO", "yt8m")
    path = write(tmp_path / "videos.csv", line("abcd", BEST))  # wxyz has no candidates
    video_prior.log_recall(read(path, (2, 0), (2, 1), (1, 0), (3, 0)), CLASSES, rated, forms.NUM_CLASSES)
    told = "candidates: the best %d rated classes of each video hold %.1f%% of 7 positive ratings"
    assert [record.getMessage() for record in caplog.records if "positive ratings" in record.getMessage()] == [
        told % (1, 100 / 7), told % (2, 300 / 7), told % (3, 400 / 7)]


def test_shards_without_ratings_have_no_recall(tmp_path, caplog):
    caplog.set_level("INFO", "yt8m")
    path = write(tmp_path / "videos.csv", line("abcd", BEST))
    shard = records.write(tmp_path / "validate0000", [records.random_record(1)])
    video_prior.log_recall(read(path), CLASSES, [shard], forms.NUM_CLASSES)
    assert "videos.csv: 1 videos with 3.0 candidates on average" in caplog.text
    assert "positive ratings" not in caplog.text


# Flags.


def flags(**changes):
    return types.SimpleNamespace(**dict(dict(video_predictions="videos.csv", segment_labels=True, candidates="20",
                                             prior_weight="0", output_file="out.csv"), **changes))


def test_each_number_of_candidates_goes_with_each_weight():
    assert video_prior.parse(flags()) == [(20, 0)]
    assert video_prior.parse(flags(candidates="20, 5", prior_weight=".5,1,0.125")) == [
        (20, .5), (20, 1), (20, .125), (5, .5), (5, 1), (5, .125)]
    assert video_prior.parse(flags(video_predictions="")) == []


def test_outputs_of_several_settings_are_told_apart():
    one, several = [Setting(20, .5)], [Setting(20, 0), Setting(50, .5)]
    assert video_prior.outputs(flags(), [0], one) == ["out.csv"]
    assert video_prior.outputs(flags(), [-2, 0], []) == ["out_shift-2.csv", "out.csv"]
    assert video_prior.outputs(flags(output_file="a/out.csv"), [-2, 0], several) == [
        "a/out_candidates20_prior0_shift-2.csv", "a/out_candidates50_prior0.5_shift-2.csv",
        "a/out_candidates20_prior0.csv", "a/out_candidates50_prior0.5.csv"]
    with pytest.raises(InputError, match="--video_predictions=./out.csv would be overwritten: give another"):
        video_prior.outputs(flags(video_predictions="./out.csv"), [0], one)


CANDIDATES = "is not a comma list of different whole numbers from 1"
WEIGHTS = "is not a comma list of different numbers"


@pytest.mark.parametrize("changes, told", [
    (dict(segment_labels=False), "--video_predictions needs --segment_labels"),
    (dict(video_predictions="", candidates="50"), "--candidates and --prior_weight need --video_predictions"),
    (dict(video_predictions="", prior_weight="0.5"), "--candidates and --prior_weight need --video_predictions")] + [
        (dict(candidates=text), "--candidates=%s %s" % (text, CANDIDATES))
        for text in ("", "0", "20,", "20,20", "20,020", "-1", "2.5", "x", "1_0", "\u0663", "100000")] + [
            (dict(prior_weight=text), "--prior_weight=%s %s" % (text, WEIGHTS))
            for text in ("", "1.5", "-0.5", "0.5,.5", "0,0.0", "nan", "1e-2", "x", "0.5,", "0.1234567", "\u0660.5")])
def test_other_numbers_get_a_sentence(changes, told):
    with pytest.raises(InputError) as error:
        video_prior.parse(flags(**changes))
    assert str(error.value).startswith(told) and str(error.value).endswith(".")
