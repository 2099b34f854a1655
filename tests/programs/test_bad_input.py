"""Bad input: exit code 1 after one sentence that names what is wrong and the remedy; nothing half-written."""
import collections
import json
import os
import shutil
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from tests.programs import runner
from tests.programs.conftest import MODEL
from tests.programs.conftest import make_video
from tests.programs.conftest import serialized

tf1 = tf.compat.v1

# Parts of the sentence, what is done to the case's folder first, and the flags that differ from good ones.
# {data} is the good records' folder, {bad} that of `bad_records`, {work} the case's own (model, out.csv).
Case = collections.namedtuple("Case", "parts spoil flags")


def case(*parts, spoil=None, **flags):
    return Case(parts, spoil, flags)


# What a case does to its folder first.


def write(name, content):
    def spoil(work):
        with open(os.path.join(work, name), "w") as stream:
            stream.write(content)
    return spoil


def remove(*names):
    return lambda work: [os.remove(os.path.join(work, name)) for name in names]


def make_folder(name):
    return lambda work: os.makedirs(os.path.join(work, name))


def make_file_of_folder(name):
    def spoil(work):
        shutil.rmtree(os.path.join(work, name))
        write(name, "")(work)
    return spoil


def change_flags(**values):
    def spoil(work):
        path = os.path.join(work, "model", "model_flags.json")
        with open(path) as stream:
            flags = json.load(stream)
        with open(path, "w") as stream:
            json.dump(dict(flags, **values), stream)
    return spoil


def make_weights_nan(checkpoint):
    def spoil(work):
        path = os.path.join(work, "model", checkpoint)
        reader = tf.train.load_checkpoint(path)
        with tf.Graph().as_default(), tf1.Session() as session:
            for name in reader.get_variable_to_shape_map():
                value = reader.get_tensor(name)
                tf1.get_variable(name, initializer=value * np.nan if name.endswith("weights") else value)
            session.run(tf1.global_variables_initializer())
            tf1.train.Saver().save(session, path, write_state=False)
    return spoil


def make_evil_tgz(work):
    with tarfile.open(os.path.join(work, "model.tgz"), "w:gz") as archive:
        archive.add(os.path.join(work, "out.csv"), "../evil")


PATTERN_FLAGS = {"train": "train_data_pattern", "eval": "eval_data_pattern",
                 "inference": "input_data_pattern"}
ALL, LABELLED = ("train", "eval", "inference"), ("train", "eval")
# The programs that read them, their pattern, and the case; tests/data tries the readers that the programs share.
RECORDS = {
    "no file": (ALL, "{data}/none*", case(
        "No file matches --", "_data_pattern={data}/none*", "quote the glob")),
    "no pattern": (ALL, "", case("_data_pattern is empty", "give it a path or a glob")),
    "truncated": (ALL, "{bad}/truncated*", case(
        "{bad}/truncated0000.tfrecord, record 2", "is truncated or corrupt: fetch the shard")),
    "corrupt": (("train",), "{bad}/corrupt*", case(
        "{bad}/corrupt0000.tfrecord, record 1", "is truncated or corrupt: fetch the shard")),
    "no TFRecord": (("inference",), "{bad}/text*", case(
        "{bad}/text0000.tfrecord is no TFRecord but text", "fetch the shard itself, or correct the pattern")),
    "cut within a header": (("eval",), "{bad}/cut*", case(
        "{bad}/cut0000.tfrecord, record 3", "is truncated or corrupt: fetch the shard")),
    "an id beyond its record": (("train",), "{bad}/overlong*", case(
        "{bad}/overlong0000.tfrecord, record 1, is not a frame-level SequenceExample", "no protocol buffer")),
    "frames beyond their record": (("inference",), "{bad}/endless*", case(
        "{bad}/endless0000.tfrecord, record 1, is not a frame-level SequenceExample", "no protocol buffer")),
    "another kind of record": (ALL, "{bad}/garbage*", case(
        "{bad}/garbage0000.tfrecord, record 0,", "is not a frame-level SequenceExample", "check --f")),
    "wrong size": (("eval",), "{bad}/wide*", case(
        "{bad}/wide0000.tfrecord, record 1, holds rgb frames that are not 6 bytes long", "--feature_sizes")),
    "without audio": (("train",), "{bad}/silent*", case(
        "{bad}/silent0000.tfrecord, record 0,", "audio", "--feature_names")),
    "a link to itself": (("inference",), "{bad}/loop*", case(
        "{bad}/loop0000.tfrecord; Too many levels of symbolic links: remove the symbolic link that leads to itself")),
    "without records": (ALL, "{bad}/empty*", case(" hold no ")),
    "an id that no CSV could hold": (("inference",), "{bad}/id*", case(
        '{bad}/id0000.tfrecord, record 1, has the id "a,b"', "without comma", "remove the record")),
    "a video without frames": (("inference",), "{bad}/frameless*", case(
        "{bad}/frameless0000.tfrecord, record 1, holds no frames", "remove the record")),
    "without labels": (LABELLED, "{bad}/unlabelled*", case(
        "None of the 3 videos in the 1 shards such as {bad}/unlabelled0000.tfrecord has a label", "not with test",
        segment_labels=False)),
    "labels": (("train",), "{bad}/label*", case(
        "{bad}/label0000.tfrecord, record 1, has a label outside 0..3861: check --num_classes", "replace the shard",
        segment_labels=False)),
    "ratings": (("eval",), "{bad}/rating*", case(
        "{bad}/rating0000.tfrecord, record 1, has a label outside 0..3861", segment_labels=True)),
    "without ratings": (LABELLED, "{bad}/unrated*", case(
        "hold no example", "3/frame/validate", segment_labels=True)),
}
TRAIN = {
    "unknown model": case("--model=Bart is unknown", "Bert, ", "LogisticModel", model="Bart"),
    "unknown loss": case("--label_loss=L2 is unknown", "CrossEntropyLoss, ", label_loss="L2"),
    "unknown optimizer": case("--optimizer=Adam is unknown", "AdamOptimizer, ", optimizer="Adam",
                              start_new_model=True),
    "unknown custom optimizer": case("--custom_optimizer=lamb is unknown", "bert or radam",
                                     custom_optimizer="lamb", start_new_model=True),
    "unknown pooling": case("--pooling_strategy= is unknown", "attn, ", model="Bert", pooling_strategy="",
                            start_new_model=True),
    "unknown head": case("--video_level_classifier_model=Moe is unknown", "MoeModel", model="Bert",
                         bert_attention_heads=4, video_level_classifier_model="Moe", start_new_model=True),
    "heads": case("--bert_attention_heads=3 does not divide the width 8", "choose a divisor", model="Bert",
                  bert_attention_heads=3, start_new_model=True),
    "no BERT configuration": case("{work}/none.json does not exist", model="Bert", start_new_model=True,
                                  bert_config_file="{work}/none.json"),
    "linear decay without an end": case("--custom_optimizer=bert", "--max_steps", custom_optimizer="bert",
                                        max_steps=None, start_new_model=True),
    "frame-level model on video-level records": case(
        "--model=FrameLevelLogisticModel takes frame-level records", "add --frame_features",
        frame_features=False),
    "video-level model on frame-level records": case(
        "--model=LogisticModel takes video-level records", "leave out --frame_features",
        model="LogisticModel"),
    "segments of video-level records": case(
        "--segment_labels needs frame-level records", "add --frame_features", model="LogisticModel",
        frame_features=False, segment_labels=True),
    "too few sizes": case("--feature_names=rgb,audio and --feature_sizes=6", feature_sizes="6"),
    "a size that is no number": case("--feature_sizes=6,x is not", "1024,128", feature_sizes="6,x"),
    "contradiction": case("model_flags.json contradicts", "--iterations=3 given, 5 recorded",
                          "--start_new_model", iterations=3),
    "damaged model flags": case("{work}/model/model_flags.json is not valid JSON", "restore or delete",
                                spoil=write("model/model_flags.json", "{")),
    "missing checkpoint": case("{work}/model holds no checkpoint '77'",
                               "model.ckpt-2, model.ckpt-4, model.ckpt-6", checkpoint_file="77"),
    "checkpoint of another model": case(
        "{work}/model/model.ckpt-6 does not fit the model", "Check --model", feature_names="rgb",
        feature_sizes="6", spoil=change_flags(feature_names="rgb", feature_sizes="6")),
    "damaged checkpoint": case("{work}/model/model.ckpt-6 is not a readable checkpoint", "delete it",
                               spoil=write("model/model.ckpt-6.index", "text")),
    "damaged weights": case("{work}/model/model.ckpt-6 is not a readable checkpoint", "delete it",
                            spoil=write("model/model.ckpt-6.data-00000-of-00001", "text")),
    "weights of another model": case(
        "{work}/model/model.ckpt-4 holds none of the model's 2 variables such as tower/fully_connected/weights",
        "leave out --init_checkpoint", train_dir="{work}/new", num_classes=4000,
        init_checkpoint="{work}/model/model.ckpt-4"),
    "weights to begin and to continue with": case(
        "Give either --checkpoint_file", checkpoint_file="latest", init_checkpoint="{work}/model/model.ckpt-4"),
    "weights that a new model would remove": case(
        "--start_new_model would remove --init_checkpoint=latest", init_checkpoint="latest", start_new_model=True),
    "nothing to freeze": case("--freeze=encoder matches the whole name of none", "tower/encoder/.*", freeze="encoder"),
    "checkpoint that a new model would remove": case(
        "--start_new_model would remove --checkpoint_file=latest", "leave out", checkpoint_file="latest",
        start_new_model=True),
    "inference model that a new model would remove": case(
        "--start_new_model would remove --checkpoint_file={work}/model/inference_model/inference_model",
        checkpoint_file="{work}/model/inference_model/inference_model", start_new_model=True),
    "not named for the split": case(
        "{bad}/part-00001.tfrecord is not named like a YouTube-8M shard", "--holdout_shards=0",
        segment_labels=True, train_data_pattern="{bad}/part*"),
    "without a training part": case("belongs to the training part", "--holdout_shards", segment_labels=True,
                                    train_data_pattern="{data}/validate0000*", holdout_shards=1),
    "train_all without records": case("--train_valid_data_pattern is empty", train_all=True),
    "validation without records": case("--valid_checkpoint needs --valid_data_pattern", valid_checkpoint="latest"),
    "validation of a checkpoint that a new model would remove": case(
        "--start_new_model would remove --valid_checkpoint=latest", valid_checkpoint="latest", start_new_model=True,
        valid_data_pattern="{data}/validate*"),
    "folder with a character of globs": case("--train_dir={work}/m[1] holds a character of globs",
                                             train_dir="{work}/m[1]"),
    "validation without files": case("No file matches --valid_data_pattern={data}/none*",
                                     start_new_model=True, valid_data_pattern="{data}/none*"),
    "unwritable": case("{work}/out.csv/model", train_dir="{work}/out.csv/model"),
    "unquoted glob": case("unexpected argument 'more.tfrecord'", "quotes", words=["more.tfrecord"]),
    "a boolean's value": case("--segment_labels takes no separate value such as 'False'", "--nosegment_labels",
                              words=["--segment_labels", "False"]),
    "storage that programs cannot use": case(
        "--train_dir=s3://bucket/model is neither on this machine nor in a bucket", train_dir="s3://bucket/model"),
    "cluster without a chief": case(
        "TF_CONFIG has several tasks, but not both a master", tf_config=json.dumps(
            {"cluster": {"worker": ["a:1"], "ps": ["a:2"]}, "task": {"type": "worker", "index": 0}})),
    "cluster that is none": case("TF_CONFIG is not a JSON object", tf_config='{"cluster": {"worker": 5}}'),
    "TF_CONFIG": case("TF_CONFIG is not a JSON object", tf_config="{"),
}
EVAL = {
    "no model flags": case("{work}/model/model_flags.json does not exist", "train.py",
                           spoil=remove("model/model_flags.json")),
    "damaged model flags": case("{work}/model/model_flags.json is not valid JSON",
                                spoil=write("model/model_flags.json", "{")),
    "model flags of another type": case("model_flags.json: feature_names is [5], not of type str with at most 1000",
                                        "restore it", spoil=change_flags(feature_names=[5])),
    "deeply nested model flags": case("{work}/model/model_flags.json is not valid JSON (nested too deeply): restore",
                                      spoil=write("model/model_flags.json", 100000 * "[")),
    "recorded hyperparameter without end": case("--iterations=100000", "is out of range: give a number from 1 to 3000",
                                                spoil=change_flags(iterations=10 ** 50)),
    "unknown recorded model": case("--model=Bart is unknown", spoil=change_flags(model="Bart")),
    "contradiction": case("--iterations=3 given, 5 recorded", "leave these flags out", iterations=3),
    "missing checkpoint": case("{work}/model holds no checkpoint '77'",
                               "model.ckpt-2, model.ckpt-4, model.ckpt-6", checkpoint_file="77"),
    "damaged best checkpoint": case("best_checkpoint.json names no step: delete it", checkpoint_file="best",
                                    spoil=write("model/best_checkpoint.json", "{}")),
    "damaged results": case("eval/results.csv is damaged", spoil=write("model/eval/results.csv", "step\n3,4\n")),
    "no best checkpoint": case("no checkpoint 'best'", "eval.py", checkpoint_file="best",
                               spoil=remove("model/best_checkpoint.json", "model/eval/results.csv")),
    "no checkpoint in time": case("got no checkpoint within --checkpoint_timeout_secs=0", "train first",
                                  run_once=False, checkpoint_file="7", checkpoint_timeout_secs=0),
    "damaged checkpoint": case("{work}/model/model.ckpt-6 is not a readable checkpoint", "choose another one",
                               spoil=write("model/model.ckpt-6.index", "text")),
    "damaged weights": case("{work}/model/model.ckpt-6 is not a readable checkpoint", "choose another one",
                            spoil=write("model/model.ckpt-6.data-00000-of-00001", "text")),
    "checkpoint of another model": case("{work}/model/model.ckpt-6 does not fit the model",
                                        spoil=change_flags(model="Bert", bert_attention_heads=4)),
    "diverged": case("not probabilities", "evaluate an earlier one", spoil=make_weights_nan("model.ckpt-6")),
    "without holdout": case("belongs to the holdout", "--holdout_shards",
                            eval_data_pattern="{data}/validate0001*"),
    "recorded hyperparameter of another type": case("--iterations=5x is not of the type int",
                                                    spoil=change_flags(iterations="5x")),
    "storage that programs cannot use": case(
        "--eval_data_pattern=https://host/validate* is neither on this machine nor in a bucket",
        eval_data_pattern="https://host/validate*"),
    "unwritable": case("{work}/model/eval", spoil=make_file_of_folder("model/eval")),
    "unquoted glob": case("unexpected argument 'more.tfrecord'", "quotes", words=["more.tfrecord"]),
}
INFERENCE = {
    "no inference model": case("{work}/model/inference_model/inference_model does not exist", "run eval.py",
                               spoil=remove("model/inference_model/inference_model.index")),
    "no model flags": case("{work}/model/model_flags.json does not exist", "train.py",
                           spoil=remove("model/model_flags.json")),
    "damaged model flags": case("{work}/model/model_flags.json is not valid JSON",
                                spoil=write("model/model_flags.json", "{")),
    "contradiction": case("--iterations=3 given, 5 recorded", "leave these flags out", iterations=3),
    "no model": case("Give either --train_dir or --input_model_tgz", train_dir=None),
    "two models": case("Give either --train_dir or --input_model_tgz", input_model_tgz="{work}/model.tgz"),
    "missing tgz": case("{work}/model.tgz does not exist", train_dir=None, input_model_tgz="{work}/model.tgz",
                        untar_model_dir="{work}/untarred"),
    "evil tgz": case("{work}/model.tgz holds ../evil", spoil=make_evil_tgz, train_dir=None,
                     input_model_tgz="{work}/model.tgz", untar_model_dir="{work}/untarred"),
    "diverged": case("nan", "earlier checkpoint", spoil=make_weights_nan("inference_model/inference_model")),
    "truncated records, probabilities": case("{bad}/truncated0000.tfrecord, record 2", output_prob=True,
                                             shift="0,1", input_data_pattern="{bad}/truncated*"),
    "segments of a video-level model": case("--segment_labels needs a frame-level model", "LogisticModel",
                                            spoil=change_flags(model="LogisticModel", frame_features=False)),
    "model flags that do not fit each other": case(
        "{work}/model/model_flags.json: frame_features is false, which does not fit the model FrameLevelLogisticModel",
        "restore it", spoil=change_flags(frame_features=False)),
    "a name that is too long": case("cannot be written: ", "; File name too long: give a shorter name",
                                    output_file="{work}/" + 250 * "a"),
    "segments skipped of videos": case("--skip_first_segments and --skip_last_segments need --segment_labels",
                                       segment_labels=False, skip_last_segments=2),
    "all segments skipped": case("--skip_first_segments=50 and --skip_last_segments=10 leave no segment of a video of "
                                 "--max_frames=300, which has 60: lower them", skip_first_segments=50,
                                 skip_last_segments=10),
    "all videos too short": case(
        "The 1 shards such as {bad}/unrated0000.tfrecord hold no video of more than 3 segments",
        "lower them, or check --input_data_pattern", skip_first_segments=2, skip_last_segments=1,
        input_data_pattern="{bad}/unrated*"),
    "a prior of videos": case("--video_predictions needs --segment_labels", segment_labels=False,
                              video_predictions="{work}/videos.csv"),
    "a prior without predictions": case("--candidates and --prior_weight need --video_predictions",
                                        prior_weight="0.5"),
    "a negative prior": case("--prior_weight=-1 is not a comma list of different numbers from 0 to 1",
                             prior_weight="-1", video_predictions="{work}/videos.csv"),
    "no candidates": case("--candidates=0 is not a comma list of different whole numbers from 1", candidates="0",
                          video_predictions="{work}/videos.csv"),
    "malformed predictions for videos": case(
        "{work}/videos.csv, line 2: \"v02,7 2\" is not VIDEO,label score", "scores from 0 to 1",
        video_predictions="{work}/videos.csv", spoil=write("videos.csv", "VideoId,LabelConfidencePairs\nv02,7 2\n")),
    "predictions for other videos": case(
        "--video_predictions={work}/videos.csv has no video of the 2 shards such as {data}/test0000.tfrecord",
        video_predictions="{work}/videos.csv", spoil=write("videos.csv", "other,7 0.5\n")),
    "predictions for other videos, probabilities": case(
        "--video_predictions={work}/videos.csv has no video of the 2 shards", output_prob=True,
        video_predictions="{work}/videos.csv", spoil=write("videos.csv", "other,7 0.5\n")),
    "overwritten predictions for videos": case(
        "--video_predictions={work}/videos.csv would be overwritten", video_predictions="{work}/videos.csv",
        output_file="{work}/videos.csv", spoil=write("videos.csv", "v02,7 0.5\n")),
    "shifted videos": case("--shift=1 needs --segment_labels", shift="1", segment_labels=False),
    "storage that programs cannot use": case(
        "--output_file=ftp://host/out.csv is neither on this machine nor in a bucket",
        output_file="ftp://host/out.csv"),
    "no output": case("--output_file is empty", output_file=""),
    "unwritable": case("{work}/out.csv/new.csv cannot be written", output_file="{work}/out.csv/new.csv"),
    "unwritable probabilities": case("{work}/out.csv/new.csv cannot be written", output_prob=True,
                                     output_file="{work}/out.csv/new.csv"),
    "output is a folder": case("{work}/new is a folder", output_file="{work}/new",
                               spoil=make_folder("new")),
    "no class list": case("{work}/none.csv does not exist", segment_label_ids_file="{work}/none.csv"),
    "names without a column": case("--vocabulary_file does not apply to ranked segments", "add --output_prob",
                                   vocabulary_file="{work}/out.csv"),
    "malformed class list": case("{work}/labels.csv, line 3", "cat",
                                 segment_label_ids_file="{work}/labels.csv",
                                 spoil=write("labels.csv", "Index\n3\ncat\n")),
    "class out of range": case("--segment_label_ids_file lists class 3862", "0..3861",
                               segment_label_ids_file="{work}/labels.csv",
                               spoil=write("labels.csv", "Index\n3862\n")),
    "unquoted glob": case("unexpected argument 'more.tfrecord'", "quotes", words=["more.tfrecord"]),
}
INFERENCE.update({"shift " + shift: case(
    "--shift=%s is not a comma list of different whole numbers" % shift, "-2,-1,0,1", shift=shift)
    for shift in ("", "1000000000", "1_0", "\u0663", "one", "1.5", "1,1", "1,", "1 2")})

CASES = {(program, name): one for program, cases in zip(ALL, (TRAIN, EVAL, INFERENCE))
         for name, one in cases.items()}
for name, (programs, pattern, one) in RECORDS.items():
    for program in programs:
        flags = dict(one.flags, holdout_shards=0, **{PATTERN_FLAGS[program]: pattern})
        CASES[program, name] = one._replace(flags=flags)


@pytest.fixture(scope="module")
def bad_records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    videos = [make_video(seed, 12) for seed in range(3)]
    good = [serialized(video, ratings=True) for video in videos]

    def second(replaced):
        return [good[0], replaced, good[2]]

    context, lists = (part.SerializeToString() for part in (
        tf.train.SequenceExample(context=tf.train.SequenceExample.FromString(good[1]).context),
        tf.train.SequenceExample.FromString(good[1]).feature_lists))
    endless = context + b"\x12\xba\xdf\xe7\xbb\x8c\x01" + lists  # a length of 37,706,395,578 bytes
    wide = records.frame_level(b"v", np.zeros([12, 7], "u1"), np.zeros([12, 2], "u1"), [1], [(0, 1, 1)])
    for name, content in {
            "truncated0000": good, "corrupt0000": good, "part-00001": good, "empty0000": [],
            "overlong0000": second(good[1].replace(b"\n\x03v01", b"\n\x7fv01")),
            "endless0000": second(endless), "garbage0000": [b"no protocol buffer"],
            "unrated0000": [serialized(video) for video in videos],
            "wide0000": second(wide), "cut0000": good,
            "id0000": second(serialized(videos[1]._replace(id=b"a,b"))),
            "frameless0000": second(serialized(videos[1]._replace(frames=videos[1].frames[:0]))),
            "unlabelled0000": [serialized(video, labels=False) for video in videos],
            "silent0000": [records.frame_level(b"v", np.zeros([12, 6], "u1"), None, [1], [(0, 1, 1)])],
            "label0000": second(serialized(videos[1]._replace(labels=[3, 3862]))),
            "rating0000": second(serialized(videos[1]._replace(ratings=[(0, -1, 1)]), ratings=True))}.items():
        records.write(folder / (name + ".tfrecord"), content)
    (folder / "text0000.tfrecord").write_text("This is text and not a TFRecord.")
    (folder / "loop0000.tfrecord").symlink_to("loop0000.tfrecord")
    starts = np.cumsum([0] + [len(record) + 16 for record in good])
    whole = (folder / "truncated0000.tfrecord").read_bytes()
    (folder / "truncated0000.tfrecord").write_bytes(whole[:starts[2] + 40])
    (folder / "cut0000.tfrecord").write_bytes(whole + b"\1\0\0")
    (folder / "corrupt0000.tfrecord").write_bytes(whole[:starts[1] + 40] + b"?" + whole[starts[1] + 41:])
    return str(folder)


def contents(folder):
    """{path: bytes, or None of a folder} of all below a folder but TensorBoard's files, which may grow."""
    found = {}
    for where, folders, names in os.walk(folder):
        found.update((os.path.join(where, name), None) for name in folders)
        for name in names:
            if not name.startswith("events.out.tfevents"):
                with open(os.path.join(where, name), "rb") as stream:
                    found[os.path.join(where, name)] = stream.read()
    return found


def good_flags(program, data):
    return {
        "train": dict(MODEL, train_dir="{work}/model", train_data_pattern=data.train, batch_size=4,
                      max_steps=20, num_epochs=1),
        "eval": dict(train_dir="{work}/model", eval_data_pattern=data.rated, segment_labels=True,
                     run_once=True, holdout_shards=1),
        "inference": dict(train_dir="{work}/model", input_data_pattern=data.test, segment_labels=True,
                          segment_label_ids_file=data.label_ids, output_file="{work}/out.csv")}[program]


@pytest.mark.parametrize("program, name", sorted(CASES))
def test_one_sentence_and_nothing_written(program, name, data, bad_records, evaluated, tmp_path):
    def fill(value):
        for name, folder in (("{work}", work), ("{bad}", bad_records), ("{data}", data.folder)):
            value = value.replace(name, folder) if isinstance(value, str) else value
        return value

    one, work = CASES[program, name], str(tmp_path)
    shutil.copytree(evaluated, os.path.join(work, "model"))
    write("out.csv", "of an earlier run")(work)
    if one.spoil:
        one.spoil(work)
    before = contents(work)
    flags = {flag: fill(value) for flag, value in dict(good_flags(program, data), **one.flags).items()}
    code, errors = runner.run(program, *flags.pop("words", ()), **flags)
    sentences = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert code == 1 and len(sentences) == 1 and "Traceback" not in errors, errors
    assert errors.splitlines()[-1] == sentences[0] and sentences[0].endswith("."), errors
    for part in one.parts:
        assert fill(part) in sentences[0]
    after = contents(work)
    assert sorted(after) == sorted(before)
    assert after == before
