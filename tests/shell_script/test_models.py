"""The scripts of the nine models: their flags, their steps on this machine, and as jobs of both clouds."""
import contextlib
import glob
import importlib
import json
import multiprocessing.connection
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading

from absl import flags
import pytest

from src import models
from tests import checkpoint_folders
from tests import records
from tests.programs import runner
from tests.shell_script.workplaces import SIZES
from tests.shell_script.workplaces import Workplace
from tests.shell_script.workplaces import write_command

with open(os.path.join(os.path.dirname(__file__), "published_flags.json")) as stream:
    PUBLISHED = json.load(stream)
SCRIPTS = list(PUBLISHED["models"])
SHIFTS = {script: flags["inference"]["shifts"] for script, flags in PUBLISHED["models"].items()}
RGB, AUDIO = 80, 16  # multiples of 8, and in all of 12: the numbers of attention heads
STEPS = ["pretrain", "finetune", "eval", "evaluate-best", "infer-oof", "infer-test"]
CONTEXT_SCRIPTS = ["context_bert", "context_nextvlad"]
CLOUDS = ["ai-platform", "vertex"]
# Flags that differ from those of the published runs, and why.
DEPARTURES = {
    "model": "the models' own names; the published ones are aliases of them",
    "num_epochs": "0 is without end, and ten million is the same in effect",
    "num_readers": "the number of shards read in parallel changes no result",
    "pooling_strategy": "the model published as first pooled the last position",
}
# The scripts' other flags: paths, the size of the holdout, which checkpoints are evaluated and kept.
OWN_FLAGS = {"train_dir", "train_data_pattern", "train_valid_data_pattern", "eval_data_pattern", "input_data_pattern",
             "output_file", "holdout_shards", "num_gpu", "max_to_keep", "export_saved_models", "run_once",
             "checkpoint_file", "checkpoint_timeout_secs", "shift"}


@pytest.fixture
def workplace(tmp_path):
    return Workplace(tmp_path)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Two videos per shard, and one shard besides the holdout, in the folders of YouTube-8M."""
    folder = tmp_path_factory.mktemp("yt8m")
    for seed, (partition, stem) in enumerate([
            ("2/frame/train", "train00"), ("2/frame/validate", "validate00"), ("2/frame/validate", "validate10"),
            ("3/frame/validate", "validate00"), ("3/frame/validate", "validate10"), ("3/frame/test", "test00")]):
        (folder / partition).mkdir(parents=True, exist_ok=True)
        ratings = [(0, 3, 1), (5, 3, 0)] if partition == "3/frame/validate" else None
        labels = None if stem == "test00" else [3, 7]
        records.write(folder / partition / (stem + ".tfrecord"), [
            records.frame_level(b"v%02d%d" % (seed, video), *records.random_frames(
                10 * seed + video, 8 + 3 * video, RGB, AUDIO), labels, ratings) for video in range(2)])
    return str(folder)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Flags that, after a script's own, make its model quick to build, train and save."""
    config = tmp_path_factory.mktemp("small") / "bert_config.json"
    config.write_text('{"intermediate_size": 64, "initializer_range": 0.02, "max_position_embeddings": 512}')
    return ["--bert_config_file=%s" % config, "--video_level_classifier_model=LogisticModel",
            "--feature_sizes=%d,%d" % (RGB, AUDIO), "--bert_hidden_layer=1", "--netvlad_hidden_size=32",
            "--nextvlad_hidden_size=32", "--nextvlad_cluster_size=8", "--mix_number=1",
            "--optimizer=GradientDescentOptimizer", "--head_units=32"] + [
                "--%s_%s" % (part, flag) for part in ("context", "segment")
                for flag in ("bert_config_file=%s" % config, "bert_hidden_layer=1")]


def printed_commands(output):
    """The output of --dry_run as (folder, [words of a command])."""
    (cd, folder), *commands = [shlex.split(line) for line in output.splitlines()]
    assert cd == "cd"
    return folder, commands


def print_flags(program, lists):
    """Prints the values of all flags of a program, a list of dicts, for the words of several runs."""
    importlib.import_module("src." + program).define_flags()
    parsed = []
    for words in lists:
        flags.FLAGS.unparse_flags()
        for name in flags.FLAGS:
            flags.FLAGS[name].unparse()
        flags.FLAGS([program] + words)
        parsed.append({name: flags.FLAGS[name].value for name in flags.FLAGS})
    print(json.dumps(parsed))


def parse(program, lists):
    """Words of several runs of a program -> for each, a dict of all flags' values, parsed by the program itself."""
    with runner.Process(print_flags, program, lists) as process:
        assert process.wait() == 0, process.errors
        return json.loads(process.output)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """{(script, step): (words of the command, values of all the program's flags)}, with the defaults."""
    words = {}
    for script in SCRIPTS:
        work = Workplace(tmp_path_factory.mktemp(script))
        folder, printed = printed_commands(work.run(script, "all", "--dry_run", **dict.fromkeys(SIZES, ""))[0])
        assert folder == runner.PROJECT and len(printed) == len(STEPS)
        words.update(((script, step), command) for step, command in zip(STEPS, printed))
    found = {}
    for program in "train", "eval", "inference":
        keys = [key for key, command in words.items() if command[:2] == [".venv/bin/python", "src/%s.py" % program]]
        found.update(zip(keys, parse(program, [words[key][2:] for key in keys])))
    return {key: (command[2:], found[key]) for key, command in words.items()}


def published(script, step):
    """{flag: value} of a step as it was published."""
    of_model = PUBLISHED["models"][script]
    if step in ("pretrain", "finetune"):
        return dict(of_model["model"], **PUBLISHED["features"], **PUBLISHED["schedule"], **PUBLISHED[step])
    flags = dict(of_model["eval" if step.startswith("eval") else "inference"])
    flags.pop("shifts", None)
    return flags


def test_there_is_a_script_for_each_model_of_the_table():
    with open(os.path.join(runner.PROJECT, "README.md")) as stream:
        rows = re.findall(r"^\| (\S.*?) \| (?:Gated|Bert|Mix).*?\| (-?\d)\.\.(\d) \|", stream.read(), re.MULTILINE)
    names = []
    for script in SCRIPTS:
        with open(os.path.join(runner.PROJECT, "shell_script", script + ".sh")) as stream:
            usage = re.search(r"^# (.*)\. Usage: shell_script/%s.sh" % script, stream.read(), re.MULTILINE)
            names.append(usage.group(1))
    assert rows == [(name, str(SHIFTS[script][0]), str(SHIFTS[script][-1])) for name, script in zip(names, SCRIPTS)]
    own = {name for name in os.listdir(os.path.join(runner.PROJECT, "shell_script"))
           if re.match("(bert|context|gated|mix)", name)}
    assert own == {script + ".sh" for script in SCRIPTS + ["bert_mean_l2h12_plus"] + CONTEXT_SCRIPTS}


def test_all_steps_of_all_scripts_have_the_published_flags(commands):
    compared, differing = 0, {}
    for key, (_, values) in commands.items():
        for flag, value in published(*key).items():
            compared += 1
            if values[flag] != value:
                differing[key + (flag,)] = value, values[flag]
    assert compared == 484
    assert {flag for _, _, flag in differing} <= set(DEPARTURES)
    for (script, _, flag), (theirs, ours) in differing.items():
        assert (theirs, ours) == {
            "num_epochs": (10000000, 0), "num_readers": (10, 8), "pooling_strategy": ("first", "last"),
            "model": (theirs, models.canonical(theirs))}[flag]
        assert flag != "pooling_strategy" or script == "bert_first_l2h12"


def test_no_step_has_a_flag_that_was_not_published(commands):
    for key, (words, values) in commands.items():
        given = {re.match("--(?:no(?=export_|run_))?([a-z0-9_]+)", word).group(1) for word in words}
        assert given - set(published(*key)) <= OWN_FLAGS, key
        if "shift" in given:
            assert values["shift"] == ",".join(map(str, SHIFTS[key[0]]))
        assert values.get("num_gpu", 1) == 1 and values["holdout_shards"] == 300
        assert values.get("max_to_keep", 0) == (3 if key[1] == "pretrain" else 0)
        assert values.get("export_saved_models", True) == (key[1] != "finetune")


def test_fine_tuned_checkpoints_are_evaluated_the_best_one_again(commands):
    for script in SCRIPTS:
        (_, every), (_, best) = commands[script, "eval"], commands[script, "evaluate-best"]
        assert 200000 < int(every["checkpoint_file"]) <= 200200 and not every["run_once"]
        assert best["checkpoint_file"] == "best" and best["run_once"]


def test_averages_are_evaluated_as_the_checkpoints_are(workplace):
    (every,), (means,) = (printed_commands(workplace.run("bert_mean_l2h12", step, "--dry_run")[0])[1]
                          for step in ("eval", "average"))
    assert set(every) - set(means) == {"--norun_once", "--checkpoint_timeout_secs=0"}
    assert set(means) - set(every) == {"--averages=2,3,5,10"}
    job = workplace.submit("bert_mean_l2h12", "average", "vertex", DATA_DIR="/d", MODELS_DIR="/m")
    assert job["module"] == "src.eval" and "--averages=2,3,5,10" in job["args"]


# bert_mean_l2h12_plus.sh: its other steps, and its flags beside those of bert_mean_l2h12.sh.
PLUS_STEPS = STEPS[:3] + ["average"] + STEPS[3:4] + ["video-model", "infer-video-oof", "infer-video-test"] + STEPS[4:]
PLUS_FLAGS = {
    "finetune": {"--negative_weight=0.5", "--custom_optimizer=bert", "--weight_decay=0.02",
                 "--learning_rate_schedule=linear", "--schedule_start_step=200000", "--warmup_steps=5000"},
    "infer-oof": {"--skip_first_segments=6", "--skip_last_segments=2", "--candidates=20", "--prior_weight=0.3",
                  "--video_predictions={}/predictions/videos/bert_mean_l2h12_plus_oof.csv"},
    "infer-test": {"--skip_first_segments=6", "--skip_last_segments=2", "--candidates=20", "--prior_weight=0.3",
                   "--video_predictions={}/predictions/videos/bert_mean_l2h12_plus_test.csv"}}


def plus_commands(workplace, script):
    """{step: words} of all steps of a script, with the published sizes."""
    output, errors = workplace.run(script, "all", "--dry_run", **dict.fromkeys(SIZES, ""))
    return dict(zip([line.split(": ")[1] for line in errors.splitlines()], printed_commands(output)[1]))


def test_the_plus_script_is_the_published_model_with_other_flags(workplace):
    home = os.path.dirname(workplace.bucket)
    published_, plus = (plus_commands(workplace, script) for script in ("bert_mean_l2h12", "bert_mean_l2h12_plus"))
    assert list(published_) == STEPS and list(plus) == PLUS_STEPS
    for step in STEPS:
        same = {re.sub("(/bert_mean_l2h12)(?=$|_oof|_test)", r"\1_plus", word) for word in published_[step]}
        assert same | {flag.format(home) for flag in PLUS_FLAGS.get(step, ())} == set(plus[step]), step
    assert set(plus["average"]) == set(plus["eval"]) - {"--norun_once", "--checkpoint_timeout_secs=0"} | {
        "--averages=2,3,5,10"}


def test_the_plus_script_predicts_videos_with_the_pretrained_model(local, finished, data_dir, workplace):
    script, model = "bert_mean_l2h12_plus", os.path.join(workplace.bucket, "models", "bert_mean_l2h12_plus")
    shutil.copytree(os.path.join(finished.bucket, "models", "bert_mean_l2h12"), model)
    for step in "video-model", "infer-video-oof", "infer-video-test":
        workplace.run(script, step, root=str(local), DATA_DIR=data_dir, MODELS_DIR="models",
                      PREDICTIONS_DIR="predictions")
    assert os.path.exists(os.path.join(model, "pretrained_2", "model.ckpt-2.index"))
    for partition, videos in ("oof", ["v030", "v031"]), ("test", ["v050", "v051"]):
        with open(os.path.join(workplace.bucket, "predictions", "videos", "%s_%s.csv" % (script, partition))) as stream:
            rows = [line.split(",") for line in stream.read().splitlines()[1:]]
        assert sorted(video for video, _ in rows) == videos
        assert {len(pairs.split(" ")) for _, pairs in rows} == {100}  # 50 classes and their scores
    _, errors = workplace.run(script, "all", "--dry_run", root=str(local), DATA_DIR=data_dir, MODELS_DIR="models",
                              PREDICTIONS_DIR="predictions")
    assert [line for line in errors.splitlines() if "video" in line] == [
        "%s: %s is done already: skipped" % (script, step) for step in PLUS_STEPS[5:8]]


def test_the_plus_script_tells_a_job_where_the_rated_classes_are(workplace):
    job = workplace.submit("bert_mean_l2h12_plus", "finetune", "vertex", DATA_DIR="/data", MODELS_DIR="/models")
    assert "--segment_label_ids_file=%s/segment_label_ids.csv" % workplace.bucket in job["args"]
    job = workplace.submit("bert_mean_l2h12_plus", "infer-video-test", "vertex", DATA_DIR="/data", MODELS_DIR="/models")
    assert job["module"] == "src.inference" and "--train_dir=/models/bert_mean_l2h12_plus/pretrained_2" in job["args"]
    job = workplace.submit("bert_mean_l2h12_plus", "video-model", "vertex", DATA_DIR="/data", MODELS_DIR="/models")
    assert job["module"] == "src.average_checkpoints"


# The fine-tuning of the context scripts, as the 7th-placed system's.
CONTEXT_FLAGS = {
    "--negative_weight=0.5", "--custom_optimizer=bert", "--weight_decay=0.02", "--base_learning_rate=0.0002",
    "--rate_factor=tower/segment/.*=0.5", "--learning_rate_schedule=linear", "--schedule_start_step=0",
    "--warmup_steps=3000", "--max_steps=12000", "--batch_size=128", "--segment_labels"}


@pytest.mark.parametrize("script, encoder", list(zip(CONTEXT_SCRIPTS, ["bert_mean_l2h12", "nextvlad"])))
def test_a_context_script_fine_tunes_with_the_encoder_that_it_pretrained(script, encoder, workplace):
    home = os.path.dirname(workplace.bucket)
    commands = plus_commands(workplace, script)
    assert list(commands) == STEPS
    values, tuned = parse("train", [commands[step][2:] for step in ("pretrain", "finetune")])
    pretrained = os.path.join(home, "models", encoder)
    assert values["train_dir"] == pretrained and values["max_steps"] == 200000
    assert tuned["init_context"] == tuned["init_segment"] == os.path.join(pretrained, "model.ckpt-200000")
    assert tuned["train_dir"] == os.path.join(home, "models", script) and tuned["model"] == "ContextSegment"
    assert CONTEXT_FLAGS <= set(commands["finetune"])
    assert not CONTEXT_FLAGS & set(commands["pretrain"]) - {"--batch_size=128"}
    # The encoders are the pre-trained model.
    for part in "context", "segment":
        assert tuned[part + "_encoder"] == values["model"]
        prefixed = [name for name in tuned if name.startswith(part + "_") and name[len(part) + 1:] in values]
        assert len(prefixed) > 10 and all(tuned[name] == values[name[len(part) + 1:]] for name in prefixed)
    assert "--checkpoint_file=1" in commands["eval"]


def test_the_context_script_of_bert_pretrains_as_the_published_model(workplace):
    for environment in {}, {"FOLD": "3", "HOLDOUT_SHARDS": ""}:
        ours, published_ = (workplace.run(script, "pretrain", "--dry_run", **environment)[0]
                            for script in ("context_bert", "bert_mean_l2h12"))
        assert ours == published_


def test_a_job_of_a_context_script_reads_the_encoder_and_the_files_of_the_bucket(workplace):
    job = workplace.submit("context_bert", "finetune", "vertex", DATA_DIR="/data", MODELS_DIR="/models")
    assert {"--init_context=/models/bert_mean_l2h12/model.ckpt-2", "--segment_label_ids_file=%s/segment_label_ids.csv"
            % workplace.bucket} | {"--%s_bert_config_file=%s/bert_config.json" % (part, workplace.bucket)
                                   for part in ("context", "segment")} <= set(job["args"])


def test_all_of_a_context_script_on_this_machine(local, finished, data_dir, workplace):
    errors = workplace.run("context_bert", "finetune", root=str(local), code=1, MODELS_DIR="models")[1]
    assert "models/bert_mean_l2h12 holds no checkpoint to fine-tune: run the step pretrain first" in errors
    shutil.copytree(os.path.join(finished.bucket, "models", "bert_mean_l2h12"),
                    os.path.join(workplace.bucket, "models", "bert_mean_l2h12"))
    sizes = dict(script="context_bert", FINETUNE_MAX_STEPS="2")
    programs, _, errors = run_all(local, workplace, data_dir, **sizes)
    assert programs == "train eval inference inference".split()
    assert "pretrain is done already: skipped" in errors
    assert "variables begin as in %s/models/bert_mean_l2h12/model.ckpt-2" % workplace.bucket in errors
    check_outputs(workplace.bucket, "context_bert", ["oof", "test"], shifts=SHIFTS["bert_mean_l2h12"])
    assert run_all(local, workplace, data_dir, **sizes)[0] == []
    workplace.run("context_bert", "prune", root=str(local), MODELS_DIR="models", FINETUNE_MAX_STEPS="2")
    assert run_all(local, workplace, data_dir, **sizes)[0] == []
    # A fine-tuning that has begun goes on without the encoder's folder.
    shutil.rmtree(os.path.join(workplace.bucket, "models", "bert_mean_l2h12"))
    sizes["FINETUNE_MAX_STEPS"] = "4"
    assert steps_left(local, workplace, data_dir, **sizes)[:2] == ["finetune", "eval"]
    workplace.run("context_bert", "finetune", root=str(local), DATA_DIR=data_dir, MODELS_DIR="models",
                  FINETUNE_MAX_STEPS="4")
    assert os.path.exists(os.path.join(workplace.bucket, "models", "context_bert", "model.ckpt-4.index"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_both_clouds_get_the_same_program_and_flags_as_this_machine(script, workplace):
    paths = dict(DATA_DIR="/data", MODELS_DIR="/models", PREDICTIONS_DIR="/predictions")
    commands = printed_commands(workplace.run(script, "all", "--dry_run", **paths)[0])[1]
    for step, command in zip(STEPS, commands):
        jobs = [workplace.submit(script, step, cloud, **paths) for cloud in CLOUDS]
        assert jobs[0]["args"] == jobs[1]["args"] and jobs[0]["module"] == jobs[1]["module"]
        assert jobs[0]["module"].replace(".", "/") + ".py" == command[1]
        to_bucket = {"--bert_config_file=" + workplace.bucket + "/bert_config.json",
                     "--segment_label_ids_file=" + workplace.bucket + "/segment_label_ids.csv"}
        assert [word for word in jobs[0]["args"] if word not in to_bucket] == command[2:]
        assert {path.split("=")[1] for path in to_bucket} == set(glob.glob(workplace.bucket + "/*"))


OTHER_KINDS = ["gatednetvlad_h1024c16", "bertcross_attn_l2h8", "mixnextvlad_iter60"]  # `finished` is a Bert
JOBS = ["finetune", "eval", "infer-test"]  # the others run the same programs


@pytest.mark.parametrize("script", OTHER_KINDS)
def test_steps_run_as_cloud_jobs(script, workplace, data_dir, small):
    for number, step in enumerate(JOBS):
        job = workplace.submit(script, step, CLOUDS[(SCRIPTS.index(script) + number) % 2], DATA_DIR=data_dir,
                               PRETRAIN_MAX_STEPS="1", FINETUNE_MAX_STEPS="2")
        extra = small if job["module"] == "src.train" else small[:1]
        runner.succeed(job["module"].split(".")[1], *(job["args"] + extra))
    check_outputs(workplace.bucket, script, ["test"])


def check_outputs(folder, script, partitions, shifts=None):
    """Checks the predictions at all shifts: the 8 + 11 frames of a shard are 2 + 3 segments in 1,000 classes."""
    for partition in partitions:
        for shift in shifts or SHIFTS[script]:
            suffix = "_shift%d" % shift if shift else ""
            with open(os.path.join(folder, "predictions", "%s_%s%s.csv" % (script, partition, suffix))) as stream:
                rows = stream.read().splitlines()[1:]
            assert len(rows) == 1000 and {len(row.split(" ")) for row in rows} == {5}


def test_a_job_needs_nothing_but_the_package_and_the_bucket(workplace, data_dir, small, tmp_path):
    """The service gets only src/: neither the project's folder nor anything beside the package."""
    shutil.copytree(os.path.join(runner.PROJECT, "src"), str(tmp_path / "site" / "src"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    job = workplace.submit("bert_first_l2h12", "pretrain", "vertex", DATA_DIR=data_dir)
    # The head makes the model small; the BERT configuration is the bucket's.
    subprocess.run([sys.executable, "-m", job["module"]] + job["args"] + small[1:], cwd=str(tmp_path / "site"),
                   check=True, stderr=subprocess.PIPE)
    with open(os.path.join(workplace.bucket, "models", "bert_first_l2h12", "model_flags.json")) as stream:
        assert json.load(stream)["bert_config_file"] == workplace.bucket + "/bert_config.json"


def test_extra_machines_train(workplace):
    extra = dict(WORKERS="3", PARAMETER_SERVERS="2")
    machines = workplace.submit("bert_l2h12", "finetune", "ai-platform", **extra)["machines"]
    assert (machines["worker_count"], machines["parameter_server_count"]) == ("3", "2")
    pools = workplace.submit("bert_l2h12", "finetune", "vertex", **extra)["machines"]
    assert [pool["replica-count"] for pool in pools] == ["1", "3", "2"]
    assert [("accelerator-type" in pool) for pool in pools] == [True, True, False]
    assert len(workplace.submit("bert_l2h12", "eval", "vertex", **extra)["machines"]) == 1
    errors = workplace.run("bert_l2h12", "finetune", "--on=vertex", code=1, WORKERS="3")[1]
    assert "WORKERS=3 and PARAMETER_SERVERS=0: set both or neither" in errors


def test_extra_machines_rank(workplace, finished, data_dir, small):
    """The first machine has no GPU and runs the scheduler; the others end when it ends."""
    script, bucket = "bert_mean_l2h12", finished.bucket
    with open(os.path.join(bucket, "predictions", script + "_test_shift-2.csv"), "rb") as stream:
        expected = stream.read()
    job = workplace.submit(script, "infer-test", "vertex", WORKERS="2", DATA_DIR=data_dir,
                           MODELS_DIR=os.path.join(bucket, "models"))
    assert [(pool["replica-count"], "accelerator-type" in pool) for pool in job["machines"]] == [
        ("1", False), ("2", True)]
    chief, *workers = runner.free_addresses(3)
    with contextlib.ExitStack() as stack:
        runs = []
        for kind, index in ("chief", 0), ("worker", 0), ("worker", 1):
            tf_config = {"cluster": {"chief": [chief], "worker": workers}, "task": {"type": kind, "index": index}}
            runs.append(stack.enter_context(runner.Run("inference", *(job["args"] + small[:1]),
                                                       tf_config=json.dumps(tf_config))))
        assert [run.wait() for run in runs] == [0, 0, 0], [run.errors for run in runs]
        assert all("the chief is done" in run.errors for run in runs[1:])
    with open(os.path.join(workplace.bucket, "predictions", script + "_test_shift-2.csv"), "rb") as stream:
        assert stream.read() == expected


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_link_to_a_script_does_what_the_script_does(script, tmp_path):
    own = os.path.join(runner.PROJECT, "shell_script")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / (script + ".sh")).symlink_to(os.path.join(own, script + ".sh"))
    (bin_folder / "mine").symlink_to(script + ".sh")
    (tmp_path / "folder").symlink_to(own)
    environment = dict(os.environ, PATH="%s:%s" % (bin_folder, os.environ["PATH"]), HOME=str(tmp_path))
    expected, *others = (
        subprocess.check_output(command + ["pretrain", "--dry_run"], cwd=str(tmp_path), env=environment)
        for command in ([os.path.join(own, script + ".sh")], [script + ".sh"], ["mine"], ["bash", "mine"],
                        ["bash", "bin/mine"], ["folder/%s.sh" % script]))
    assert b"models/%s " % script.encode() in expected and others == 5 * [expected]


def test_gs_bucket(workplace):
    output = workplace.run("bert_l2h12", "pretrain", "--on=vertex", "--dry_run", BUCKET="gs://mine/")[0]
    commands = printed_commands(output)[1]
    assert commands[0] == "gcloud storage cp bert_config.json segment_label_ids.csv gs://mine/".split()
    assert "|--train_dir=gs://mine/models/bert_l2h12|" in commands[1][-1]
    assert "|--train_data_pattern=gs://youtube8m-ml/2/frame/train/train*.tfrecord|" in commands[1][-1]
    assert not os.listdir(workplace.jobs)


@pytest.fixture(scope="module")
def local(tmp_path_factory, small):
    """A checkout whose .venv trains small models, and logs the programs that it runs in processes of `runner`."""
    def serve():
        for connection in iter(listener.accept, None):
            with connection:
                words = connection.recv()
                if not words:
                    return
                program = re.match(r"src/(\w+)\.py$", words[0]).group(1)
                with runner.Run(program, *words[1:]) as run:
                    connection.send((run.wait(), run.output, run.errors))

    root = tmp_path_factory.mktemp("local") / "check out"
    (root / ".venv" / "bin").mkdir(parents=True)
    shutil.copytree(os.path.join(runner.PROJECT, "shell_script"), str(root / "shell_script"))
    for name in "src", "segment_label_ids.csv":
        os.symlink(os.path.join(runner.PROJECT, name), str(root / name))
    write_command(str(root / "shell_script" / "setup.sh"), ":")
    with multiprocessing.connection.Listener() as listener:
        write_command(str(root / ".venv" / "bin" / "python"), """echo "$1" >> '%s'
case $1 in *train.py) set -- "$@" %s ;; esac
exec '%s' -E -S -c '%s' "$@" """ % (
            root / "ran", " ".join(map(shlex.quote, small)), sys.executable, ASK.format(listener.address)))
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield root
        finally:
            with multiprocessing.connection.Client(listener.address) as connection:
                connection.send([])
            thread.join()


ASK = """
import multiprocessing.connection, sys
connection = multiprocessing.connection.Client("{}")
connection.send(sys.argv[1:])
code, output, errors = connection.recv()
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(code)"""


def run_all(local, workplace, data_dir, *arguments, script="bert_mean_l2h12", **environment):
    """Runs all steps locally -> the programs that ran, except checkpoints.py, standard output and standard error."""
    (local / "ran").write_text("")
    # Relative paths start at the caller's folder, the bucket.
    output, errors = workplace.run(script, "all", *arguments, root=str(local), DATA_DIR=data_dir, MODELS_DIR="models",
                                   PREDICTIONS_DIR="predictions", **environment)
    programs = [os.path.basename(line)[:-3] for line in (local / "ran").read_text().splitlines()]
    return [program for program in programs if program != "checkpoints"], output, errors


def steps_left(*arguments, **options):
    """The steps that `run_all` would run."""
    return re.findall(r"^\w+: ([a-z-]+)$", run_all(*arguments, "--dry_run", **options)[2], re.MULTILINE)


@pytest.fixture(scope="module")
def finished(local, tmp_path_factory, data_dir):
    """A Workplace in which all steps of a Bert have run."""
    workplace = Workplace(tmp_path_factory.mktemp("finished"))
    # The checkpoint that was evaluated last is the only one, so it is the best.
    assert run_all(local, workplace, data_dir)[0] == "train train eval inference inference".split()
    check_outputs(workplace.bucket, "bert_mean_l2h12", ["oof", "test"])
    return workplace


def test_all_on_this_machine_skips_what_is_done(local, finished, data_dir):
    def programs_run():
        return run_all(local, finished, data_dir)[0]

    programs, _, errors = run_all(local, finished, data_dir, "--on", "local")
    assert programs == [] and errors.count("is done already: skipped") == len(STEPS)
    other_rows = os.path.join(finished.bucket, "models", "bert_mean_l2h12", "eval", "results.csv")
    with open(other_rows) as stream:
        rows = stream.read()
    with open(other_rows, "w") as stream:
        stream.write(rows.replace(",True,1,", ",True,300,"))  # of another holdout
    assert steps_left(local, finished, data_dir) == ["eval"]
    with open(other_rows, "w") as stream:
        stream.write(rows)
    # The inference model is of another checkpoint than the best.
    checkpoint_folders.write_inference_model(os.path.join(finished.bucket, "models", "bert_mean_l2h12"), 2)
    assert programs_run() == "eval inference inference".split()
    assert programs_run() == []
    os.remove(os.path.join(finished.bucket, "predictions", "bert_mean_l2h12_test_shift-2.csv"))
    assert programs_run() == ["inference"]
    for path in glob.glob(os.path.join(finished.bucket, "models", "bert_mean_l2h12", "model.ckpt-4.*")):
        os.remove(path)
    assert steps_left(local, finished, data_dir)[:2] == ["finetune", "eval"]


def test_all_with_averages_skips_what_is_done(local, finished, data_dir, workplace):
    script = local / "shell_script" / "with_averages.sh"
    text = (local / "shell_script" / "bert_mean_l2h12.sh").read_text()
    script.write_text(text.replace("\nshifts=-2,-1,0,1", "\naverage=yes\nshifts=0"))
    script.chmod(0o755)
    shutil.copytree(os.path.join(finished.bucket, "models", "bert_mean_l2h12"),
                    os.path.join(workplace.bucket, "models", "with_averages"))

    def programs_run():
        return run_all(local, workplace, data_dir, script="with_averages", FINETUNE_MAX_STEPS="6")[0]

    # The best of all may be the one that was evaluated last already.
    assert programs_run() in ["train eval eval eval inference inference".split(),
                              "train eval eval inference inference".split()]
    best_2 = os.path.join(workplace.bucket, "models", "with_averages", "averages", "best_2")
    assert os.path.exists(os.path.join(best_2, "eval", "results.csv"))
    assert programs_run() == []
    workplace.run("with_averages", "prune", root=str(local), MODELS_DIR="models", FINETUNE_MAX_STEPS="6")
    assert programs_run() == []
    shutil.rmtree(os.path.join(best_2, "eval"))
    assert steps_left(local, workplace, data_dir, script="with_averages", FINETUNE_MAX_STEPS="6")[0] == "average"


@pytest.fixture
def many_checkpoints(workplace):
    """Folder of a model with checkpoints of ten steps; four of them are pre-training's, and 7 is the best."""
    folder = os.path.join(workplace.bucket, "models", "bert_mean_l2h12")
    checkpoint_folders.make(folder, range(1, 11), evaluated=[10, 7], best=7, size=1 << 20)
    return folder


def checkpoint_steps(folder):
    """Steps of the checkpoints and of the SavedModels; a checkpoint's step occurs once per file."""
    return (sorted(int(re.search(r"-(\d+)\.", name).group(1)) for name in os.listdir(folder) if "model.ckpt" in name),
            sorted(int(name[5:]) for name in os.listdir(os.path.join(folder, "export"))))


def test_prune_keeps_the_best_the_last_of_the_pretraining_and_the_newest(local, workplace, many_checkpoints):
    arguments = dict(root=str(local), MODELS_DIR=os.path.dirname(many_checkpoints), PRETRAIN_MAX_STEPS="4")
    printed, errors = workplace.run("bert_mean_l2h12", "prune", "--dry_run", **arguments)
    assert "removing 7 checkpoints frees 0.02 GB; model.ckpt-4 model.ckpt-7 model.ckpt-10 stay" in errors
    assert printed.startswith("rm -rf ") and len(checkpoint_steps(many_checkpoints)[0]) == 30
    assert workplace.run("bert_mean_l2h12", "prune", **arguments)[1].split(" ", 1)[1] == errors.split(" ", 1)[1]
    assert checkpoint_steps(many_checkpoints) == ([4] * 3 + [7] * 3 + [10] * 3, [4, 7, 10])
    assert "nothing to prune" in workplace.run("bert_mean_l2h12", "prune", **arguments)[1]


def test_a_dry_run_skips_what_is_done_if_it_has_an_environment_to_ask(local, workplace, many_checkpoints):
    def steps_printed():
        output = workplace.run("bert_mean_l2h12", "all", "--dry_run", root=str(local), FINETUNE_MAX_STEPS="10",
                               MODELS_DIR=os.path.dirname(many_checkpoints))[0]
        return len(printed_commands(output)[1])

    assert steps_printed() == len(STEPS) - 3  # not all checkpoints of the fine-tuning were evaluated
    os.rename(str(local / ".venv"), str(local / "venv"))
    try:
        assert steps_printed() == len(STEPS)
    finally:
        os.rename(str(local / "venv"), str(local / ".venv"))


def test_a_damaged_file_stops_all_before_any_step(local, workplace, many_checkpoints):
    with open(os.path.join(many_checkpoints, "eval", "results.csv"), "w") as stream:
        stream.write("step\n")
    output, errors = workplace.run("bert_mean_l2h12", "all", code=1, root=str(local), FINETUNE_MAX_STEPS="10",
                                   MODELS_DIR=os.path.dirname(many_checkpoints))
    assert "results.csv is damaged: move it away" in errors and errors.count("\n") == 1 and not output


def test_prune_without_the_best_as_inference_model_removes_nothing(local, workplace, many_checkpoints):
    shutil.rmtree(os.path.join(many_checkpoints, "inference_model"))
    errors = workplace.run("bert_mean_l2h12", "prune", code=1, root=str(local),
                           MODELS_DIR=os.path.dirname(many_checkpoints))[1]
    assert "run the step evaluate-best first" in errors and len(checkpoint_steps(many_checkpoints)[0]) == 30


@pytest.mark.parametrize("arguments,message", [
    ([], "give a step: pretrain finetune eval average evaluate-best infer-oof infer-test, all or prune"),
    (["train"], "train is not one"),
    (["eval", "pretrain"], "two steps, eval and pretrain: give one, or all"),
    (["eval", "--on=mars"], "--on=mars is unknown: choose local, ai-platform or vertex"),
    (["eval", "--on"], "--on= is unknown"),
    (["eval", "--fast"], "unknown option --fast"),
    (["all", "--on=vertex"], "all runs locally"),
    (["prune", "--on=vertex"], "prune works on folders of this machine: leave out --on=vertex"),
    (["prune"], "models/bert_mean_l2h12 is not one: check MODELS_DIR"),
    (["finetune"], "models/bert_mean_l2h12 holds no checkpoint to fine-tune: run the step pretrain first"),
])
def test_wrong_usage_gets_a_sentence(arguments, message, workplace):
    output, errors = workplace.run("bert_mean_l2h12", *arguments, code=1)
    assert message in errors and errors.startswith("bert_mean_l2h12: ") and errors.count("\n") == 1 and not output
    assert not os.listdir(workplace.jobs) and not os.listdir(workplace.bucket)


@pytest.mark.parametrize("name", ["PRETRAIN_MAX_STEPS", "HOLDOUT_SHARDS", "FOLD", "NUM_FOLDS", "NUM_GPU", "WORKERS"])
@pytest.mark.parametrize("value", ["abc", "08", "1x", "-1"])
def test_numbers_are_checked(name, value, workplace):
    errors = workplace.run("bert_mean_l2h12", "eval", "--dry_run", code=1, **{name: value})[1]
    assert errors == "bert_mean_l2h12: %s=%s is not a whole number\n" % (name, value)


@pytest.mark.parametrize("folds, message", [
    (dict(FOLD="5"), "FOLD=5 is not one of the 5 folds: give 0 to 4, or set NUM_FOLDS"),
    (dict(FOLD="3", NUM_FOLDS="3"), "FOLD=3 is not one of the 3 folds: give 0 to 2, or set NUM_FOLDS"),
    (dict(FOLD="0", NUM_FOLDS="1"), "NUM_FOLDS=1 makes no split: give 2 or more"),
    (dict(NUM_FOLDS="5"), "NUM_FOLDS=5 needs FOLD, the fold to hold out"),
    (dict(FOLD="2", HOLDOUT_SHARDS="300"), "HOLDOUT_SHARDS=300 and FOLD=2 both say what is held out: unset one")])
def test_folds_that_are_none_get_a_sentence(folds, message, workplace):
    errors = workplace.run("bert_mean_l2h12", "eval", "--dry_run", code=1, **dict(dict(HOLDOUT_SHARDS=""), **folds))[1]
    assert errors == "bert_mean_l2h12: %s\n" % message


def test_a_fold_is_a_model_of_its_own(commands, workplace):
    """All steps split by it; the folder and the CSVs have its name, which combine_folds and join group by."""
    output, _ = workplace.run("bert_mean_l2h12", "all", "--dry_run", **dict(dict.fromkeys(SIZES, ""), FOLD="2"))
    home = os.path.dirname(workplace.bucket)
    for step, (_, program, *words) in zip(STEPS, printed_commands(output)[1]):
        plain = [re.sub("=[^=]*/(models|predictions|yt8m)/", "=%s/\\1/" % home, word)
                 for word in commands["bert_mean_l2h12", step][0]]
        assert {re.sub("bert_mean_l2h12_fold2", "bert_mean_l2h12", word) for word in words} == (
            set(plain) - {"--holdout_shards=300"} | {"--num_folds=5", "--fold=2"})
        paths = [word for word in words if re.match("--(train_dir|output_file)=", word)]
        assert paths and all(re.search("/bert_mean_l2h12_fold2($|_oof.csv|_test.csv)", path) for path in paths)


@pytest.mark.parametrize("name", ["DATA_DIR", "MODELS_DIR", "PREDICTIONS_DIR"])
def test_a_job_gets_no_folder_of_this_machine(name, workplace):
    arguments = "bert_mean_l2h12", "pretrain", "--on=vertex", "--dry_run"
    errors = workplace.run(*arguments, code=1, BUCKET="gs://mine", **{name: "/here"})[1]
    assert "%s=/here is a folder of this machine, which a job does not see" % name in errors
    for path in "gs://other", "/gcs/other":
        workplace.run(*arguments, BUCKET="gs://mine", **{name: path})


def test_jobs_have_as_many_gpus_as_they_use(workplace):
    four = workplace.submit("bert_l2h12", "finetune", "vertex", NUM_GPU="4")
    assert four["machines"][0]["accelerator-count"] == "4" and "--num_gpu=4" in four["args"]
    four = workplace.submit("bert_l2h12", "finetune", "ai-platform", NUM_GPU="4")
    assert four["machines"] == {"master_machine_type": "complex_model_m_p100"}
    assert workplace.submit("bert_l2h12", "eval", "vertex", NUM_GPU="4")["machines"][0]["accelerator-count"] == "1"
    errors = workplace.run("bert_l2h12", "pretrain", "--on=ai-platform", "--dry_run", code=1, NUM_GPU="2")[1]
    assert "NUM_GPU=2: AI Platform's machines have 1 or 4 GPUs of this kind" in errors


def test_a_cloud_job_needs_a_bucket(workplace):
    errors = workplace.run("bert_mean_l2h12", "eval", "--on=vertex", code=1, BUCKET="")[1]
    assert "export BUCKET=gs://your-bucket" in errors
