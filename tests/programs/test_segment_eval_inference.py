"""segment_eval_inference.py from the command line and on records."""
import csv
import os
import subprocess
import sys
import types

import pytest
import tensorflow as tf

from src import segment_eval_inference
from src.common.errors import InputError
from tests.programs import runner

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AS_FILE = [os.path.join(PROJECT, "src", "segment_eval_inference.py")]
RANKED = "Class,Segments\n7,x:0 abcd:5 abcd:35\n9,abcd:0\n"  # average precisions 1/2 and 0 with RATINGS
RATINGS = "abcd:35,7,1\nabcd:5,7,0\nabcd:35,9,1\n"
FIRST_LINE = "mAP@100000: 0.250000 over 2 classes\n"
PRINTED = FIRST_LINE + """
best classes  class  ratings  positives        AP
Nike, Inc.        7        2          1  0.500000
class 9           9        1          1  0.000000

classes rated: 2, left out for lack of a positive rating: 0
rated segments: 2, in none of the lists: 0
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ranked.csv").write_text(RANKED)
    (tmp_path / "ratings.csv").write_text(RATINGS)
    (tmp_path / "vocabulary.csv").write_text('Index,Name\n7,"Nike, Inc."\n')
    return tmp_path


def run(program, folder, *flags):
    """-> exit code, standard output, standard error; runs in the folder."""
    environment = dict(os.environ, PYTHONPATH=PROJECT if program[0] == "-m" else "")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore"] + program + list(flags), cwd=str(folder), env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    output, errors = process.communicate()
    return process.returncode, output, errors


@pytest.mark.parametrize("program", [AS_FILE, ["-m", "src.segment_eval_inference"]])
def test_prints_the_map(folder, program):
    code, output, errors = run(program, folder, "--submission_file=ranked.csv", "--label_cache=ratings.csv")
    assert (code, output) == (0, PRINTED), errors


def test_a_malformed_line_ends_with_one_sentence(folder):
    (folder / "ranked.csv").write_text(RANKED + "12;a:0\n")
    with runner.Run("segment_eval_inference", cwd=folder, submission_file="ranked.csv",
                    label_cache="ratings.csv") as started:
        assert (started.wait(), started.output) == (1, "")
        errors = started.errors
    assert errors.splitlines()[-1] == ('error: ranked.csv, line 4: "12;a:0" has no comma: give a class, a comma and '
                                       'its segments, separated by blanks.')


def arguments(folder, **changes):
    values = dict(submission_file=str(folder / "ranked.csv"), eval_data_pattern="", label_cache="", top_n=100000,
                  holdout_shards=300, num_folds=None, fold=None, num_classes=3862, vocabulary_file="",
                  output_file="")
    return types.SimpleNamespace(**dict(values, **changes))


def write_shard(path, video, ratings):
    """A record with ratings, rows of (start, label, score)."""
    starts, labels, scores = zip(*ratings)
    context = {"id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[video])),
               "segment_start_times": tf.train.Feature(int64_list=tf.train.Int64List(value=starts)),
               "segment_labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels)),
               "segment_scores": tf.train.Feature(float_list=tf.train.FloatList(value=scores))}
    record = tf.train.SequenceExample(context=tf.train.Features(feature=context))
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record.SerializeToString())


def test_reads_the_holdouts_records_once_and_caches_them(folder, capsys):
    write_shard(folder / "validate00.tfrecord", b"abcd", [(35, 7, 1), (5, 7, 0), (35, 9, 1)])
    write_shard(folder / "validateZZ.tfrecord", b"abcd", [(0, 9, 1)])  # the last of all shards
    cache = folder / "cache.csv"
    args = arguments(folder, eval_data_pattern=str(folder / "validate*.tfrecord"), label_cache=str(cache))
    segment_eval_inference.main(args)
    assert capsys.readouterr().out.startswith(FIRST_LINE)
    assert cache.read_text() == RATINGS
    args.eval_data_pattern = "gone*"
    args.top_n = 2
    segment_eval_inference.main(args)
    assert capsys.readouterr().out.startswith("mAP@2: 0.000000 over 2 classes\n")


def test_the_figures_of_each_class_go_to_a_file(folder):
    (folder / "ratings.csv").write_text(RATINGS + "abcd:5,30,0\n")
    segment_eval_inference.main(arguments(
        folder, label_cache=str(folder / "ratings.csv"), vocabulary_file=str(folder / "vocabulary.csv"),
        output_file=str(folder / "classes.csv")))
    with open(str(folder / "classes.csv")) as stream:
        assert list(csv.reader(stream)) == [
            ["class", "name", "ratings", "positives", "AP"], ["7", "Nike, Inc.", "2", "1", "0.500000"],
            ["9", "", "1", "1", "0.000000"], ["30", "", "1", "0", ""]]


def test_of_many_classes_the_best_and_the_worst_are_printed(folder, capsys):
    starts = {label: range(0, 5 * label, 5) for label in range(1, 13)}
    (folder / "ranked.csv").write_text("".join("%d,x:0 %s x:5\n" % (label, " ".join(map("abcd:%d".__mod__, of_class)))
                                               for label, of_class in starts.items()))
    (folder / "ratings.csv").write_text("".join("abcd:%d,%d,%d\n" % (start, label, start == of_class[-1])
                                                for label, of_class in starts.items() for start in of_class))
    segment_eval_inference.main(arguments(folder, label_cache=str(folder / "ratings.csv")))
    _, best, worst, _ = capsys.readouterr().out.split("\n\n")  # class n's only positive segment has rank n
    for printed, heading, labels in (best, "best classes", range(1, 6)), (worst, "worst classes", range(8, 13)):
        assert printed.splitlines()[0].startswith(heading)
        assert [line.split()[1:] for line in printed.splitlines()[1:]] == [
            [str(label), str(label), str(label), "1", "%.6f" % (1 / label)] for label in labels]


@pytest.mark.parametrize("missing,warned", [(10, False), (11, True)])
def test_rated_segments_that_no_list_has_are_warned_of(folder, capsys, caplog, missing, warned):
    (folder / "ranked.csv").write_text("8,%s\n7,x:5\n" % " ".join("a:%d" % (5 * number) for number in range(90)))
    (folder / "ratings.csv").write_text("".join("a:%d,7,1\n" % (5 * number) for number in range(90))
                                        + "".join("other:%d,7,0\n" % (5 * number) for number in range(missing)))
    segment_eval_inference.main(arguments(folder, label_cache=str(folder / "ratings.csv")))
    assert capsys.readouterr().out.endswith(
        "rated segments: %d, in none of the lists: %d\n" % (90 + missing, missing))
    told = 'WARNING: %s/ranked.csv: 11 of the 101 rated segments, such as "other:0", are in no list' % folder
    assert [record.getMessage()[:len(told)] for record in caplog.records] == [told] * warned


def test_a_ranking_of_another_partition_is_named(folder, capsys):
    (folder / "ranked.csv").write_text("7,b'abcd':5\n")
    with pytest.raises(InputError) as error:
        segment_eval_inference.main(arguments(folder, label_cache=str(folder / "ratings.csv")))
    assert str(error.value).startswith("""%s/ranked.csv: none of the segments such as "b'abcd':5" is rated;""" % folder)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("changes, sentence", [
    (dict(submission_file=""), "--submission_file= does not exist"),
    (dict(submission_file="absent.csv"), "--submission_file=absent.csv does not exist"),
    (dict(), "give --eval_data_pattern, or the --label_cache of an earlier run"),
    (dict(label_cache="absent.csv"), "give --eval_data_pattern"),
    (dict(vocabulary_file="absent.csv"), "absent.csv does not exist: check the path."),
    (dict(eval_data_pattern="/nowhere/validate*"), "No file matches --eval_data_pattern=/nowhere/validate")])
def test_bad_input(folder, capsys, changes, sentence):
    with pytest.raises(InputError) as error:
        segment_eval_inference.main(arguments(folder, **changes))
    assert sentence in str(error.value)
    assert capsys.readouterr().out == ""
    assert sorted(os.listdir(str(folder))) == ["ranked.csv", "ratings.csv", "vocabulary.csv"]


def test_no_cache_is_made_from_half_of_the_ratings(folder):
    path = folder / "validate00.tfrecord"
    write_shard(path, b"abcd", [(35, 7, 1)])
    path.write_bytes(path.read_bytes() + b"\1\0\0")  # a second record's first bytes
    args = arguments(folder, eval_data_pattern=str(folder / "validate*.tfrecord"),
                     label_cache=str(folder / "cache.csv"))
    with pytest.raises(InputError, match="validate00.tfrecord, record 1 .* is truncated or corrupt"):
        segment_eval_inference.main(args)
    assert not (folder / "cache.csv").exists()
