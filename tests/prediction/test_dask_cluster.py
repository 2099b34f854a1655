"""How a prediction deals with tasks of a Dask cluster that fail; tests/programs/test_cluster.py runs real ones."""
import types

import distributed
from distributed.scheduler import KilledWorker
import numpy as np
import pytest

from src.common import sessions
from src.common.errors import InputError
from src.prediction import dask_cluster
from src.prediction import dask_tasks
from src.prediction import dask_workers
from src.prediction import predictions
from src.prediction import video_prior


class Future(object):
    """Raises errors one after the other, then has a result."""

    def __init__(self, *errors):
        self.errors, self.retries, self.status = list(errors), 0, "error"

    def retry(self):
        self.retries += 1


class Workers(object):
    """Watches workers that have no problem."""

    def result(self, future):
        if future.errors:
            raise future.errors.pop(0)
        return "done"

    def explain(self, error):
        if isinstance(error, AttributeError):
            raise InputError("The worker tcp://10.0.0.2:1 has other code.")


def result(future):
    """The result of a task on a Cluster."""
    client = types.SimpleNamespace(gather=lambda future, asynchronous: future)
    cluster = dask_cluster.Cluster(client, "tcp://10.0.0.1:8786", 60)
    cluster._workers = Workers()
    return cluster._result(future)


def lost(times):
    return [KilledWorker.__new__(KilledWorker)] * times


def test_a_task_that_lost_its_workers_is_tried_again_up_to_a_bound():
    future = Future(*lost(dask_workers.MOST_LOSSES - 1))
    assert result(future) == "done" and future.retries == dask_workers.MOST_LOSSES - 1
    with pytest.raises(InputError, match="^The cluster has lost 10 workers during one task, as happens when memory"):
        result(Future(*lost(dask_workers.MOST_LOSSES)))


def test_a_failed_task_is_explained_by_its_worker():
    with pytest.raises(InputError, match="^The worker tcp://10.0.0.2:1 has other code.$"):
        result(Future(AttributeError("score")))
    with pytest.raises(InputError, match="^shard 3 is damaged$"):
        result(Future(InputError("shard 3 is damaged")))
    with pytest.raises(KeyError):  # of this project itself
        result(Future(KeyError(7)))


def test_only_a_scheduler_that_is_gone_is_said_to_be_gone():
    future = Future(OSError("a worker's disk is full"))
    with pytest.raises(OSError, match="disk"):
        result(future)
    future = Future(OSError("the connection is closed"))
    future.status = "cancelled"
    with pytest.raises(InputError, match="^The scheduler at tcp://10.0.0.1:8786 is gone: start it and its workers"):
        result(future)


def test_a_worker_that_reads_other_predictions_for_videos_is_named(tmp_path, monkeypatch):
    path = tmp_path / "videos.csv"
    path.write_text("abcd,7 0.5\n")
    prior = video_prior.read(str(path), [video_prior.Setting(20, 0)], np.array([7]), 10)._replace(table=None)
    job = predictions.Job(["test0000"], "model", {"num_classes": 10}, predictions.Reading(300, 512, 1), [0],
                          np.array([7]), output=predictions.Output(True, 20, 100, None), options=sessions.PLAIN,
                          prior=prior)
    monkeypatch.setattr(dask_tasks, "check", lambda version, paths: None)
    monkeypatch.setattr(distributed, "get_worker", lambda: types.SimpleNamespace(address="tcp://10.0.0.2:1"))
    path.write_text("abcd,7 0.25\n")
    with pytest.raises(InputError) as error:
        dask_tasks.score("key", job, dask_tasks.VERSION, [], 1000)
    assert str(error.value) == ("The worker tcp://10.0.0.2:1 reads other predictions in %s than this process: give it "
                                "the same file at the same path, and do not change it." % path)
