"""checkpoints.py: which steps of a model's training and evaluation are done, and which checkpoints may be removed."""
import os
import shlex
import shutil
import types

import pytest

from src import checkpoints as program
from src.common import files
from src.trained import checkpoints
from tests import checkpoint_folders
from tests.programs import runner

ENDS = dict(pretrain_max_steps=4, finetune_max_steps=8, holdout_shards=1)
ALL = ["pretrain", "finetune", "eval", "evaluate-best"]


def done(folder, **flags):
    values = dict(ENDS, train_dir=folder, num_folds=None, fold=None)
    return program.steps_done(types.SimpleNamespace(**dict(values, **flags)))


@pytest.mark.parametrize("steps, evaluated, best, expected", [
    ([], [], None, []),
    ([1, 2, 3], [], None, []),
    ([2, 4], [], None, ["pretrain"]),
    ([4, 6], [], None, ["pretrain"]),
    ([4, 6, 8], [], None, ["pretrain", "finetune"]),
    ([4, 6, 8], [6], 6, ["pretrain", "finetune", "evaluate-best"]),
    ([4, 6, 8], [6, 8], 6, ["pretrain", "finetune", "eval"]),
    ([4, 6, 8], [6, 8], 8, ALL),
    ([4, 6, 8], [8, 6], 6, ALL),
    ([4, 6, 8], [8, 6], None, ALL),  # of equal ones the first; eval.py was killed before best_checkpoint.json
    ([4, 6], [6], 6, ["pretrain", "evaluate-best"]),
    ([9], [9], 9, ALL)])
def test_names_the_steps_that_are_done(tmp_path, steps, evaluated, best, expected):
    folder = str(tmp_path / "model")
    checkpoint_folders.make(folder, steps, evaluated, best)
    assert done(folder) == expected


@pytest.fixture
def finished(tmp_path):
    """Folder of a model with all steps done and checkpoints of the steps 1..8; 6 is the best."""
    folder = str(tmp_path / "model")
    checkpoint_folders.make(folder, range(1, 9), [5, 7, 8, 6], best=6, size=1 << 20)
    assert done(folder) == ALL
    return folder


def test_an_evaluation_on_another_holdout_does_not_count(finished):
    assert done(finished, holdout_shards=300) == ["pretrain", "finetune", "evaluate-best"]


def test_a_checkpoint_that_was_saved_again_is_not_evaluated(finished):
    with open(checkpoints.path(finished, 7) + ".index", "wb") as stream:
        stream.write(b"other")
    assert done(finished) == ["pretrain", "finetune", "evaluate-best"]


def test_an_evaluation_of_videos_does_not_count(finished):
    results = os.path.join(finished, "eval", "results.csv")
    with open(results) as stream:
        rows = stream.read()
    with open(results, "w") as stream:
        stream.write(rows.replace(",True,", ",False,"))
    assert "eval" not in done(finished)


def test_what_train_and_eval_leave_counts(evaluated):
    """There are checkpoints 2, 4 and 6. Pre-training ends at 4, and only 6 is evaluated."""
    flags = dict(ENDS, finetune_max_steps=6)
    assert runner.output_of("checkpoints", mode="done", train_dir=evaluated, **flags).splitlines() == ALL
    flags["pretrain_max_steps"] = 2
    assert runner.output_of("checkpoints", mode="done", train_dir=evaluated, **flags).splitlines() == [
        "pretrain", "finetune", "evaluate-best"]


def test_prints_the_latest_checkpoint(finished, tmp_path):
    assert runner.output_of("checkpoints", mode="latest", train_dir=finished) == "8\n"
    (tmp_path / "empty").mkdir()
    assert runner.output_of("checkpoints", mode="latest", train_dir=tmp_path / "empty") == ""


def test_prune_keeps_the_best_the_last_of_the_pretraining_and_the_newest(finished):
    flags = dict(ENDS, mode="prune", train_dir=finished)
    assert "removing 5 checkpoints frees 0.01 GB; model.ckpt-4 model.ckpt-6 model.ckpt-8 stay in %s" % finished in (
        runner.succeed("checkpoints", **flags))
    assert checkpoints.steps(finished) == [4, 6, 8]
    assert len([name for name in os.listdir(finished) if "model.ckpt" in name]) == 9
    assert sorted(os.listdir(os.path.join(finished, "export"))) == ["step_4", "step_6", "step_8"]
    assert done(finished) == ALL
    assert "nothing to prune in %s" % finished in runner.succeed("checkpoints", **flags)


def test_a_dry_run_prints_the_command_that_prune_replaces(finished):
    os.rename(finished, finished + " 2")
    finished += " 2"
    before = sorted(files.below([finished]))
    command = shlex.split(runner.output_of("checkpoints", mode="prune", train_dir=finished, dry_run=True, **ENDS))
    assert command[:2] == ["rm", "-rf"] and sorted(files.below([finished])) == before
    runner.succeed("checkpoints", mode="prune", train_dir=finished, **ENDS)
    assert sorted(set(before) - set(files.below([finished]))) == sorted(
        path for path in command[2:] if "model.ckpt" in path)
    assert not any(os.path.exists(path) for path in command[2:])


def test_prune_removes_what_a_killed_removal_left(finished):
    for step in 1, 2, 3, 5, 7:
        os.remove(checkpoints.path(finished, step) + ".index")
    runner.succeed("checkpoints", mode="prune", train_dir=finished, **ENDS)
    assert len([name for name in os.listdir(finished) if "model.ckpt" in name]) == 9


def test_runs_as_a_file(finished):
    assert "removing 5 checkpoints" in runner.succeed("checkpoints", mode="prune", train_dir=finished, **ENDS)


def test_help_explains_the_modes():
    with runner.Run("checkpoints", help=True) as run:
        run.wait()
        assert all(mode + ": " in run.output for mode in ("latest", "done", "prune")) and not run.errors


@pytest.mark.parametrize("mode", ["done", "latest", "prune"])
def test_a_folder_that_is_not_there_gets_a_sentence(tmp_path, mode):
    code, errors = runner.run("checkpoints", mode=mode, train_dir=tmp_path / "none")
    assert code == 1 and errors == (
        "error: --train_dir=%s does not exist: give the folder that train.py wrote.\n" % (tmp_path / "none"))


def test_a_missing_mode_gets_a_sentence(tmp_path):
    code, errors = runner.run("checkpoints", train_dir=tmp_path)
    assert code == 1 and errors == "error: --mode is missing: choose latest, done or prune.\n"


@pytest.mark.parametrize("mode", ["done", "prune"])
@pytest.mark.parametrize("name, content, sentence", [
    ("eval/results.csv", "step\n3\n", "results.csv is damaged: move it away to start a new one."),
    ("best_checkpoint.json", "{}", "best_checkpoint.json names no step: delete it and run eval.py again."),
    ("best_checkpoint.json", "{", "best_checkpoint.json is not valid JSON")])
def test_damaged_files_get_a_sentence_and_nothing_is_removed(finished, mode, name, content, sentence):
    with open(os.path.join(finished, name), "w") as stream:
        stream.write(content)
    code, errors = runner.run("checkpoints", mode=mode, train_dir=finished, **ENDS)
    assert code == 1 and sentence in errors and errors.startswith("error: ") and errors.count("\n") == 1
    assert checkpoints.steps(finished) == list(range(1, 9))


def test_an_inference_model_that_is_newer_than_the_results_is_not_the_best(finished):
    checkpoint_folders.write_inference_model(finished, 8)  # eval.py was killed before it wrote the results again
    assert done(finished) == ["pretrain", "finetune", "eval"]
    shutil.rmtree(os.path.join(finished, "inference_model"))
    assert done(finished) == ["pretrain", "finetune", "eval"]


@pytest.mark.parametrize("evaluated, best", [([6, 8], 6), ([6, 8], None), ([], None)])
def test_prune_without_an_inference_model_of_the_best_removes_nothing(tmp_path, evaluated, best):
    folder = str(tmp_path / "model")
    checkpoint_folders.make(folder, [2, 4, 6, 8], evaluated, best)
    code, errors = runner.run("checkpoints", mode="prune", train_dir=folder, **ENDS)
    assert code == 1 and checkpoints.steps(folder) == [2, 4, 6, 8] and errors == (
        "error: The best checkpoint in %s is not known, or not evaluated last: run the step evaluate-best first, or "
        "eval.py --run_once --checkpoint_file=best.\n" % folder)
