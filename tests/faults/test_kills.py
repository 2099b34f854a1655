"""Programs killed at chosen moments leave nothing half-written, and the next run comes to the end.

kill.py does the same at random moments.
"""
import glob
import os
import shutil
import time

import pytest

from tests.faults.scenarios import SCENARIOS
from tests.programs import runner


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory):
    """Function that returns the Scenario of a name; makes each only once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = SCENARIOS[name](tmp_path_factory.mktemp(name))
        return made[name]
    return get


def kill_when(run, happens):
    """Kills a run as soon as something has happened."""
    deadline = time.time() + runner.TIMEOUT
    while not happens():
        assert run.is_running and time.time() < deadline, run.errors
        time.sleep(.001)
    run.kill()


def exists(work, pattern):
    return lambda: glob.glob(os.path.join(work, pattern))


def written(work, name, word, times):
    """Function that returns whether a file holds a word at least `times` times."""
    path = os.path.join(work, name)
    return lambda: os.path.exists(path) and open(path).read().count(word) >= times


MOMENTS = {
    "train-inside a checkpoint": ("train", lambda work: exists(work, "model/model.ckpt-*tempstate*")),
    "train-before the index": ("train", lambda work: exists(work, "model/model.ckpt-2.data-00000-of-00001")),
    "train-inside an export": ("train", lambda work: exists(work, "model/export/.step_2.*.tmp")),
    "train-inside the last export": ("train", lambda work: exists(work, "model/export/.step_3.*.tmp")),
    "train-after an export": ("train", lambda work: exists(work, "model/export/step_2")),
    "eval-inside the inference model": ("eval", lambda work: exists(work, "model/.inference_model.*.tmp/*")),
    "eval-between evaluations": ("eval", lambda work: written(work, "model/eval/results.csv", "True", 2)),
    "inference-inside the CSV": ("inference", lambda work: exists(work, ".out.csv.*.tmp")),
    "extract-between films": ("extract", lambda work: exists(work, "features/v1.npz")),
    "extract-inside features": ("extract", lambda work: exists(work, "features/.v*.npz.*.tmp")),
    "tune-between points": ("tune", lambda work: written(work, "weights_log.json", "target", 4)),
    "tune-within the optimization": ("tune", lambda work: written(work, "weights_log.json", "target", 8)),
}


@pytest.mark.parametrize("moment", sorted(MOMENTS))
def test_a_kill_loses_nothing(scenarios, moment):
    name, happens = MOMENTS[moment]
    if name not in SCENARIOS:
        pytest.skip("ffmpeg is not installed")
    scenario = scenarios(name)
    work = scenario.new_work(moment.replace(" ", "_"))
    with scenario.start(work) as run:
        kill_when(run, happens(work))
    scenario.check_killed(work)
    scenario.finish(work)
    shutil.rmtree(work)  # checkpoints of 50 MB
