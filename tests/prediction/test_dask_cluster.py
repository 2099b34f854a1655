"""How long a prediction waits for a Dask cluster; tests/programs/test_cluster.py runs real ones."""
import asyncio
import types

from distributed.scheduler import KilledWorker
import pytest

from src.common.errors import InputError
from src.prediction import dask_cluster


class Future(object):
    """Raises errors one after the other, then has a result."""

    def __init__(self, *errors):
        self._errors, self.retries, self.timeouts = list(errors), 0, []

    def result(self, timeout):
        self.timeouts.append(timeout)
        if self._errors:
            raise self._errors.pop(0)
        return "done"

    def retry(self):
        self.retries += 1


def cluster(workers, timeout=60):
    """A Cluster whose scheduler has a number of workers."""
    client = types.SimpleNamespace(scheduler_info=lambda: {"workers": dict.fromkeys(range(workers))})
    return dask_cluster.Cluster(client, "tcp://10.0.0.1:8786", timeout)


def lost(times):
    return [KilledWorker("task", None)] * times


def test_a_task_that_lost_its_workers_is_tried_again_up_to_a_bound():
    future = Future(*lost(dask_cluster.MOST_LOSSES - 1))
    assert cluster(1)._result(future) == "done" and future.retries == dask_cluster.MOST_LOSSES - 1
    with pytest.raises(InputError, match="^The cluster has lost 10 workers during one task, as happens when memory"):
        cluster(1)._result(Future(*lost(dask_cluster.MOST_LOSSES)))


def test_the_workers_are_looked_at_while_a_task_takes_its_time():
    future = Future(asyncio.TimeoutError(), asyncio.TimeoutError())
    assert cluster(1, timeout=0)._result(future) == "done"
    assert len(future.timeouts) == 3 and all(0 < seconds <= 5 for seconds in future.timeouts)
    with pytest.raises(InputError, match="^tcp://10.0.0.1:8786 has had no worker for 0 s: start dask-worker tcp://10"):
        cluster(0, timeout=0)._result(Future(asyncio.TimeoutError()))
