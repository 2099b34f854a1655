"""ensemble.py: shifts combined, weights tuned, models blended, files reported."""
import csv
import json
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest

from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.submission import fusion
from src.submission import published
from src.submission import ranked_csv
from tests import golden
from tests.programs import runner

GOLDEN = os.path.join(os.path.dirname(golden.__file__), "ensemble_1")
IDS = np.array([b"v%d:%d" % (video, start) for video in range(12) for start in range(0, 40, 5)])
CLASSES = [3, 8, 12, 40]
POSITIVE = {label: np.random.RandomState(label).rand(len(IDS)) < .4 for label in CLASSES}
# Name: how much its scores know about POSITIVE.
MODELS = {"bert_mean_l2h12": .8, "bert_l2h12": .3, "gatednetvlad_h1024c16": 0}


def ensemble(mode, **flags):
    return runner.run("ensemble", mode=mode, **flags)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ranked CSVs NAME_oof.csv and NAME_test.csv of MODELS, and labels.csv."""
    folder, random = tmp_path_factory.mktemp("lists"), np.random.RandomState(0)
    for partition in "oof", "test":
        for model, knowledge in MODELS.items():
            ranked_csv.write(str(folder / ("%s_%s.csv" % (model, partition))), [
                (label, IDS[np.argsort(random.rand(len(IDS)) - knowledge * POSITIVE[label])]) for label in CLASSES])
    ranked_csv.write(str(folder / "w0.csv"), [(3, IDS)])
    for name, w0, weight in ("text", 1, "a"), ("no_w0", None, 1):
        (folder / (name + ".json")).write_text(json.dumps(
            {"w0": w0, "weights": dict(dict.fromkeys(MODELS, 1), bert_l2h12=weight)}))
    (folder / "garbage").write_bytes(b"\xff\xfe\x80 \x00\n\x90")
    (folder / "few.csv").write_text("v0:0,3,1\nv1:0,3,0\n")
    (folder / "other.csv").write_text("x:0,3,1\ny:0,3,0\n")
    ratings.write_cache(str(folder / "labels.csv"), ratings.create(
        *zip(*[(name, label, POSITIVE[label][index]) for label in CLASSES for index, name in enumerate(IDS)])))
    return str(folder)


@pytest.fixture(scope="module")
def tuned(folder, tmp_path_factory):
    """weights.json of a tuning with few points, and its standard output."""
    path = str(tmp_path_factory.mktemp("tuned") / "weights.json")
    return path, runner.output_of("ensemble", mode="tune", output_file=path, **tuning_flags(folder))


def tuning_flags(folder):
    return dict(input_files=folder + "/*_oof.csv", label_cache=folder + "/labels.csv", init_points=4, n_iter=2)


def mean_ap(path, folder):
    rated = ratings.read_cache(folder + "/labels.csv")
    return ranking_metrics.mean_average_precision(ranked_csv.iterate(path), rated, 100000)[0]


def same_lists(path, other):
    one, two = ranked_csv.read(path), ranked_csv.read(other)
    return one.keys() == two.keys() and all(one[label].tolist() == two[label].tolist() for label in one)


@pytest.fixture
def expected():
    with open(os.path.join(GOLDEN, "expected.json")) as stream:
        return json.load(stream)


def test_golden_from_shifts_to_the_blend(expected, tmp_path):
    runner.succeed("ensemble", mode="combine_shifts", input_files=GOLDEN + "/model*.csv",
                   segment_max_pred=expected["top_segments"], output_file=str(tmp_path / "tta") + "/")
    for model in "ABC":
        assert same_lists(str(tmp_path / "tta" / ("model%s_oof_sorted.csv" % model)),
                          os.path.join(GOLDEN, "sorted_single", "model%s_all3.csv" % model))
    weights = ",".join(str(expected["weights"]["model" + model]) for model in "ABC")
    runner.succeed("ensemble", mode="blend", input_files=str(tmp_path / "tta" / "*.csv"), weights=weights,
                   w0=expected["w0"], segment_max_pred=expected["top_segments"],
                   output_file=str(tmp_path / "blend.csv"))
    assert same_lists(str(tmp_path / "blend.csv"), os.path.join(GOLDEN, "blend.csv"))


def test_one_models_shifts_go_to_the_file_that_is_named(expected, tmp_path):
    runner.succeed("ensemble", mode="combine_shifts", input_files=GOLDEN + "/modelA*.csv",
                   segment_max_pred=expected["top_segments"], output_file=str(tmp_path / "A.csv"))
    assert same_lists(str(tmp_path / "A.csv"), os.path.join(GOLDEN, "sorted_single", "modelA_all3.csv"))


def test_tuned_weights_are_the_best_that_were_seen(tuned, folder):
    path, text = tuned
    with open(path) as stream:
        found = json.load(stream)
    assert set(found["weights"]) == set(MODELS)
    rows = {row["weights"]: row for row in found["comparison"]}
    assert rows["refined"]["all videos"] >= rows["Bayesian optimization"]["all videos"] >= rows["equal"]["all videos"]
    assert rows["refined"]["tuned half"] >= rows["Bayesian optimization"]["tuned half"] >= rows["equal"]["tuned half"]
    assert rows["refined"]["all videos"] == found["map"]
    single = mean_ap(folder + "/gatednetvlad_h1024c16_oof.csv", folder)
    assert found["map"] > single + .1
    lines = text.splitlines()
    assert lines[0].split("  ")[0] == "weights" and len(lines) == 5 and "held-out half" in lines[0]
    assert "%.6f" % rows["published"]["held-out half"] in lines[2]


def test_tuning_is_seeded_and_continues_its_log(tuned, folder, tmp_path):
    flags = tuning_flags(folder)
    again = str(tmp_path / "weights.json")
    runner.succeed("ensemble", mode="tune", output_file=again, **dict(flags, n_iter=1, tune_split=False))
    runner.succeed("ensemble", mode="tune", output_file=again, **flags)
    with open(again) as one, open(tuned[0]) as other:
        assert json.load(one) == json.load(other)
    runner.succeed("ensemble", mode="tune", output_file=again, log_file=str(tmp_path / "my.log"),
                   **dict(flags, tune_split=False))
    assert sorted(os.listdir(str(tmp_path))) == ["my.log", "weights.json", "weights_log.json", "weights_log_half.json"]
    with open(str(tmp_path / "my.log")) as stream:
        assert len(stream.readlines()) == 4 + 2


def test_tuned_weights_blend_oof_and_test_lists(tuned, folder, tmp_path):
    blend = str(tmp_path / "blend.csv")
    flags = dict(mode="blend", weights=tuned[0], output_file=blend)
    runner.succeed("ensemble", input_files=folder + "/*_oof.csv", **flags)
    with open(tuned[0]) as stream:
        assert mean_ap(blend, folder) == pytest.approx(json.load(stream)["map"], abs=1e-12)
    errors = runner.succeed("ensemble", input_files=folder + "/*_test.csv", **flags)
    assert "%" in errors and not same_lists(blend, folder + "/bert_mean_l2h12_test.csv")
    assert sorted(ranked_csv.read(blend)) == CLASSES


def test_published_weights_are_the_default(folder, tmp_path):
    blend = str(tmp_path / "blend.csv")
    runner.succeed("ensemble", mode="blend", input_files=folder + "/*_test.csv", output_file=blend)
    paths = sorted(folder + "/%s_test.csv" % model for model in MODELS)
    fusion.fuse_files(paths, [published.WEIGHTS[published.model_name(path)] for path in paths], published.MODELS_W0,
                      str(tmp_path / "expected.csv"))
    assert same_lists(blend, str(tmp_path / "expected.csv"))


def report(paths, folder, **flags):
    return runner.output_of("ensemble", mode="report", input_files=paths, label_cache=folder + "/labels.csv", **flags)


def rows_of(printed):
    """{file: mAP as text} of a printed report."""
    return dict(re.split(" +", line) for line in printed.split("\n\n")[0].splitlines()[1:])


def test_report_lists_each_file_with_its_map_and_its_classes(folder, tmp_path):
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n8,Car\n")
    printed = report(folder + "/*_oof.csv", folder, vocabulary_file=tmp_path / "vocabulary.csv",
                     output_file=tmp_path / "report.csv")
    mean_of = {path: mean_ap(path, folder) for path in (folder + "/%s_oof.csv" % model for model in MODELS)}
    assert {path: float(value) for path, value in rows_of(printed).items()} == {
        path: round(value, 6) for path, value in mean_of.items()}
    best = max(mean_of, key=mean_of.get)
    assert "AP of " + best in printed and "Car " in printed and "class 40 " in printed
    assert "rated segments: 96, in none of the lists: 0" in printed
    with open(str(tmp_path / "report.csv")) as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["class"], row["name"], row["ratings"], row["positives"]) for row in rows] == [
        (str(label), "Car" if label == 8 else "", "96", str(POSITIVE[label].sum())) for label in CLASSES]
    for path, mean in mean_of.items():
        assert np.mean([float(row["AP of " + path]) for row in rows]) == pytest.approx(mean, abs=1e-6)


def test_report_scales_the_cut_of_a_submission_to_its_lists(folder):
    """96 segments * 100,000 / 2,062,258 = 4.66."""
    printed = report(folder + "/*_oof.csv", folder, scaled_cut=True)
    assert printed.startswith("segments in the lists: 96, counted per class: the best 5\n")
    assert printed.partition("\n")[2] == report(folder + "/*_oof.csv", folder, segment_max_pred=5)


@pytest.fixture
def one_of_another_partition(folder, tmp_path):
    """The input files and an extra one that ranks other segments."""
    path = str(tmp_path / "other_oof.csv")
    ranked_csv.write(path, [(3, np.array([b"x:0", b"y:5"]))])
    told = ': none of the segments%s is rated; the 384 ratings are of segments such as "v0:0"'
    return folder + "/*_oof.csv," + path, path + told


def test_report_names_a_file_that_ranks_no_rated_segment(folder, one_of_another_partition):
    input_files, told = one_of_another_partition
    with runner.Run("ensemble", mode="report", input_files=input_files, label_cache=folder + "/labels.csv") as run:
        assert run.wait() == 0, run.errors
        assert told % ' such as "x:0"' in run.errors
        rows = rows_of(run.output)
    assert [value for path, value in rows.items() if "other_oof" in path] == ["-"]
    assert all(float(value) > 0 for path, value in rows.items() if "other_oof" not in path)


def test_tuning_names_a_file_that_ranks_no_rated_segment(folder, one_of_another_partition, tmp_path):
    input_files, told = one_of_another_partition
    errors = runner.succeed("ensemble", mode="tune", output_file=tmp_path / "weights.json",
                            **dict(tuning_flags(folder), input_files=input_files))
    assert told % "" in errors
    assert json.loads((tmp_path / "weights.json").read_text())["map"] > 0


def test_tuning_warns_of_rated_segments_that_no_list_has(folder, tmp_path):
    with open(folder + "/labels.csv") as stream:
        (tmp_path / "labels.csv").write_text(stream.read() + "".join("w%d:0,3,1\n" % video for video in range(24)))
    flags = dict(tuning_flags(folder), label_cache=tmp_path / "labels.csv", output_file=tmp_path / "weights.json")
    errors = runner.succeed("ensemble", mode="tune", **flags)
    assert ('WARNING: 3 lists such as %s/bert_l2h12_oof.csv: 24 of the 120 rated segments, such as "w0:0", are in no '
            "list" % folder) in errors
    assert "WARNING" not in runner.succeed("ensemble", mode="tune", **dict(flags, label_cache=folder + "/labels.csv",
                                                                           output_file=tmp_path / "other.json"))


def test_other_programs_headers_and_commas_in_paths_are_accepted(tmp_path):
    (tmp_path / "mine, old").mkdir()
    (tmp_path / "mine, old" / "one.csv").write_bytes(b"class, segments\r3,a:0 b:0\r")
    (tmp_path / "two.csv").write_bytes(b'"Class","Segments"\r\n3,b:0 a:0\r\n')
    runner.succeed("ensemble", mode="blend", input_files="%s/mine, old/one.csv,%s/two.csv" % (tmp_path, tmp_path),
                   weights="2,1", output_file=tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b"Class,Segments\n3,a:0 b:0\n"


@pytest.mark.parametrize("mode, told", [
    ("tune", "3 lists such as %s/bert_l2h12_oof.csv: none of its classes has a positive rating; these have one: 11."),
    ("report", "%s/gatednetvlad_h1024c16_oof.csv: none of its classes such as 3 has a positive rating; these")])
def test_ratings_of_other_classes_are_not_a_map_of_0(folder, tmp_path, mode, told):
    (tmp_path / "labels.csv").write_text("v0:0,11,1\nv1:0,3,0\n")
    code, errors = ensemble(mode, **dict(tuning_flags(folder), label_cache=tmp_path / "labels.csv",
                                         output_file=tmp_path / "out.json"))
    assert code == 1 and told % folder in errors.splitlines()[-1], errors
    assert os.listdir(str(tmp_path)) == ["labels.csv"]


@pytest.mark.parametrize("mode,flags,message", [
    (None, {}, "--mode is missing: give one of blend, combine_folds, combine_shifts, join, report, tune"),
    ("blend", dict(input_files=""), "--input_files is empty"),
    ("blend", dict(input_files="{}/nothing*"), "No file matches --input_files="),
    ("blend", dict(output_file=""), "--mode=blend needs --output_file"),
    ("blend", dict(weights="1,2"), "has 2 weights for the 3 files"),
    ("blend", dict(weights="1,2,x"),
     "the weight of gatednetvlad_h1024c16 in --weights=1,2,x is x: give a number of at least 0"),
    ("blend", dict(weights="1,-2,3"),
     "the weight of bert_mean_l2h12 in --weights=1,-2,3 is -2: give a number of at least 0"),
    ("blend", dict(weights="1,nan,3"), "is nan: give a number of at least 0"),
    ("blend", dict(weights="0,0,0"), "All weights in --weights=0,0,0 are 0"),
    ("blend", dict(weights="{}/text.json"), "the weight of bert_l2h12 in {}/text.json is a: give a number"),
    ("blend", dict(weights="{}/no_w0.json"), "w0 is None: give a number above 0"),
    ("blend", dict(weights="{}/text.json", output_file="{}/text.json"), "text.json would be overwritten"),
    ("blend", dict(output_file="{}"), "is a folder and cannot be written as a file"),
    ("blend", dict(input_files="{}"), "--input_files names the folder {}: give its files"),
    ("blend", dict(weights="1,1,1", w0=0), "w0 is 0.0: give a number above 0"),
    ("blend", dict(weights="{}/no.json"), "no.json does not exist"),
    ("blend", dict(input_files=GOLDEN + "/modelA*"), "are both of the model modelA: combine a model's shifts first"),
    ("blend", dict(input_files=GOLDEN + "/modelA_oof_sorted.csv"),
     "no published weight of modelA, only of gatednetvlad"),
    ("combine_shifts", dict(output_file="{}/"), "would be overwritten: give another --output_file"),
    ("combine_shifts", dict(output_file="{}/all.csv"), "is one file and --input_files are of 3 models such as "),
    ("blend", dict(output_file="{}/./bert_l2h12_oof.csv"), "bert_l2h12_oof.csv would be overwritten"),
    ("tune", dict(output_file="{}/text.json", log_file="{}/text.json"), "text.json would be overwritten"),
    ("blend", dict(output_file="{}/x.csv.gz"), "x.csv.gz would not be compressed: leave the last ending out"),
    ("tune", dict(label_cache=""), "There are no ratings to evaluate against"),
    ("tune", dict(output_file="weights"), "--output_file=weights gets JSON: give a name that ends in .json"),
    ("tune", dict(log_file="{}/labels.csv"),
     "labels.csv would be overwritten: give another --output_file or --log_file"),
    ("tune", dict(log_file="{}/text.json"), 'text.json, line 1: "{"w0": 1, "weights'),
    ("tune", dict(log_file="{}/garbage"), 'garbage, line 1: "'),
    ("tune", dict(input_files="{}/w0.csv"), "A model named w0 cannot be told from the fusion's w0: rename its file"),
    ("tune", dict(label_cache="{}/few.csv"), "Half of the rated videos have no positive rating"),
    ("tune", dict(output_file="{}/labels.csv/weights.json"), "cannot be written"),
    ("tune", dict(label_cache="{}/other.csv"), "_oof.csv: none of the segments is rated; the 2 ratings are of"),
    ("report", dict(input_files="{}/labels.csv"), "labels.csv, line 1: "),
    ("report", dict(scaled_cut=True, segment_max_pred=100000), "--scaled_cut and --segment_max_pred contradict each"),
    ("tune", dict(scaled_cut=True), "--scaled_cut is of --mode=report: leave it out, or give --segment_max_pred"),
    ("report", dict(output_file="{}/labels.csv"), "labels.csv would be overwritten"),
    ("report", dict(vocabulary_file="{}/labels.csv"), "labels.csv, line 1: there is no header with the columns Index"),
    ("report", dict(input_files="{}/w0.csv", label_cache="{}/other.csv"), (
        '{}/w0.csv: none of the segments such as "v0:0" is rated; the 2 ratings are of segments such as "x:0": rank')),
])
def test_wrong_usage_gets_a_sentence_and_leaves_nothing(mode, flags, message, folder, tmp_path):
    given = dict(tuning_flags(folder), output_file=str(tmp_path / ("out.json" if mode == "tune" else "out.csv")))
    given.update({name: value.replace("{}", folder) if isinstance(value, str) else value
                  for name, value in flags.items()})
    before = contents(folder)
    code, errors = ensemble(mode, **given)
    assert code == 1 and message.replace("{}", folder) in errors.splitlines()[-1] and "Traceback" not in errors, errors
    assert contents(folder) == before and not os.listdir(str(tmp_path))


def contents(folder):
    """{name: bytes} of a folder's files."""
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as stream:
            found[name] = stream.read()
    return found


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as stream:
        return [int(child) for child in stream.read().split()]


@pytest.fixture
def blending(tmp_path):
    """A blend of some seconds that has begun to write, and the processes that it has started."""
    ids = np.array([b"v%d:%d" % (video, start) for video in range(500) for start in range(0, 300, 5)])
    for model in "one", "two":
        ranked_csv.write(str(tmp_path / "lists" / (model + ".csv")), [(label, ids) for label in range(150)])
    with runner.Run("ensemble", mode="blend", input_files=str(tmp_path / "lists" / "*.csv"), weights="1,1",
                    output_file=str(tmp_path / "out" / "blend.csv")) as started:
        started.wait_for(lambda: len(children(started.pid)) == fusion.PROCESSES)
        yield started, children(started.pid), str(tmp_path / "out")


def running(pid):
    """Whether a process runs; a zombie does not."""
    try:
        with open("/proc/%d/stat" % pid) as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def check_ended(processes):
    deadline = time.time() + 10
    while any(map(running, processes)):
        assert time.time() < deadline
        time.sleep(.02)


def test_ctrl_c_leaves_neither_files_nor_processes(blending):
    started, processes, folder = blending
    os.kill(started.pid, signal.SIGINT)
    assert started.wait() == 130 and "interrupted." in started.errors.splitlines()
    assert "Traceback" not in started.errors and not os.listdir(folder)
    check_ended(processes)


def test_a_killed_process_ends_the_blend_with_a_sentence(blending):
    started, processes, folder = blending
    os.kill(processes[0], signal.SIGKILL)
    assert started.wait() == 1 and "was killed, as happens when memory runs out" in started.errors
    assert "Traceback" not in started.errors and not os.listdir(folder)
    check_ended(processes)


def test_a_killed_blend_leaves_no_processes(blending):
    started, processes, _ = blending
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait() != 0
    check_ended(processes)


def test_what_a_killed_run_left_is_no_model(folder, tmp_path):
    for name in "bert_l2h12.csv", ".bert_l2h12.csv.77.tmp":
        shutil.copy(folder + "/bert_l2h12_oof.csv", str(tmp_path / name))
    assert list(rows_of(report(str(tmp_path / "*"), folder))) == [str(tmp_path / "bert_l2h12.csv")]


def test_weights_of_other_models_are_refused(tuned, folder, tmp_path):
    flags = dict(input_files=folder + "/bert*_test.csv", output_file=str(tmp_path / "o"))
    code, errors = ensemble("blend", weights=tuned[0], **flags)
    assert code == 1 and "but the files are of bert_l2h12, bert_mean_l2h12: give the same models" in errors
    (tmp_path / "other.json").write_text("[1, 2]")
    code, errors = ensemble("blend", weights=str(tmp_path / "other.json"), **flags)
    assert code == 1 and "other.json holds no weights: give the file that --mode=tune wrote" in errors


# Folds.


@pytest.fixture(scope="module")
def folds(folder, tmp_path_factory):
    """Lists of two folds of two models: a fold's holdout has half of the videos, and both rank the whole test."""
    target, random = tmp_path_factory.mktemp("folds"), np.random.RandomState(3)
    for model in "bert_mean_l2h12", "bert_l2h12":
        for fold in 0, 1:
            of_fold = IDS[[int(one[1:].partition(b":")[0]) % 2 == fold for one in IDS]]
            for partition, ids in ("oof", of_fold), ("test", IDS):
                for shift in "", "_shift-1":
                    name = "%s_fold%d_%s%s.csv" % (model, fold, partition, shift)
                    ranked_csv.write(str(target / name), [(label, random.permutation(ids)) for label in CLASSES])
    return str(target)


def test_out_of_fold_lists_become_one_that_weights_are_tuned_on(folds, folder, tmp_path):
    combined, joined = str(tmp_path / "combined") + "/", str(tmp_path / "joined") + "/"
    runner.succeed("ensemble", mode="combine_shifts", input_files=folds + "/*_oof*.csv", output_file=combined)
    runner.succeed("ensemble", mode="join", input_files=combined + "*.csv", output_file=joined)
    assert sorted(os.listdir(joined)) == ["bert_l2h12_oof.csv", "bert_mean_l2h12_oof.csv"]
    lists = [ranked_csv.read(combined + "bert_l2h12_fold%d_oof.csv" % fold) for fold in (0, 1)]
    for label, ids in ranked_csv.read(joined + "bert_l2h12_oof.csv").items():
        assert ids.tolist() == [one for pair in zip(*(one[label].tolist() for one in lists)) for one in pair]
        assert sorted(ids) == sorted(IDS)
    weights = str(tmp_path / "weights.json")
    runner.succeed("ensemble", mode="tune", output_file=weights, **dict(
        tuning_flags(folder), input_files=joined + "*.csv"))
    with open(weights) as stream:
        assert set(json.load(stream)["weights"]) == {"bert_l2h12", "bert_mean_l2h12"}


def test_a_csv_gets_all_files_joined_in_their_order(folds, tmp_path):
    out, paths = str(tmp_path / "out.csv"), [folds + "/bert_l2h12_fold%d_oof.csv" % fold for fold in (1, 0)]
    runner.succeed("ensemble", mode="join", input_files=",".join(paths), output_file=out)
    for label, ids in ranked_csv.read(out).items():
        assert [ids[0], ids[1]] == [ranked_csv.read(path)[label][0] for path in paths]
    code, errors = ensemble("join", input_files=folds + "/bert_*_fold0_oof.csv", output_file=out)
    assert code == 1 and "bert_l2h12_fold0_oof.csv, line 2 and " in errors and "both rank the segment" in errors


def test_test_lists_of_folds_and_shifts_are_fused_with_equal_weights(folds, tmp_path):
    runner.succeed("ensemble", mode="combine_folds", input_files=folds + "/*_test*.csv", segment_max_pred=50,
                   output_file=str(tmp_path) + "/")
    assert sorted(os.listdir(str(tmp_path))) == ["bert_l2h12_test.csv", "bert_mean_l2h12_test.csv"]
    lists = [ranked_csv.read("%s/bert_l2h12_fold%d_test%s.csv" % (folds, fold, shift))
             for fold in (0, 1) for shift in ("", "_shift-1")]
    for label, ids in ranked_csv.read(str(tmp_path / "bert_l2h12_test.csv")).items():
        scores = {}
        for one in lists:
            for rank, segment in enumerate(one[label].tolist()):
                scores[segment] = scores.get(segment, 0) + published.TTA_W0 / (rank + published.TTA_W0)
        assert ids.tolist() == sorted(scores, key=scores.get, reverse=True)[:50]


def test_ratings_are_those_of_the_split(data, tmp_path):
    """validate0000 is fold 0 and validate0001 fold 1."""
    ranked_csv.write(str(tmp_path / "ranked.csv"), [(label, [b"v00:0"]) for label in range(3862)])
    found = {}
    for name, split in dict(fold0=dict(num_folds=2, fold=0), fold1=dict(num_folds=2, fold=1), first=dict(
            holdout_shards=1), all=dict(holdout_shards=0)).items():
        cache = str(tmp_path / (name + "_labels.csv"))
        runner.run("ensemble", mode="report", input_files=str(tmp_path / "ranked.csv"), label_cache=cache,
                   eval_data_pattern=data.rated, **split)
        with open(cache) as stream:
            found[name] = sorted(stream)
    assert found["first"] == found["fold0"] and sorted(found["fold0"] + found["fold1"]) == found["all"]
    assert found["fold0"] != found["fold1"]
