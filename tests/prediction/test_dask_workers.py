"""What is done about workers of a Dask cluster that cannot work; tests/programs/test_cluster.py runs real ones."""
import asyncio
import contextlib
import threading
import types

from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker
import pytest

from src.common.errors import InputError
from src.prediction import dask_scheduler
from src.prediction import dask_workers
from tests.programs import dask_processes

ADDRESS, A, B = "tcp://10.0.0.1:8786", "tcp://10.0.0.2:1", "tcp://10.0.0.3:1"
TIMEOUT = 60
NO_GPU = "libcublas.so.10.0: cannot open shared object file: No such file or directory"


class Client(object):
    """Has workers that the tests change, and the time, which only they advance."""

    def __init__(self):
        self.told, self.checks, self.removed = {}, {}, []
        self.now, self.status, self.answers = 0.0, "running", True
        self.scheduler = types.SimpleNamespace(identity=None, unregister="unregister")
        self.loop = types.SimpleNamespace(asyncio_loop=None)

    def sync(self, function, address=None, safe=None, callback_timeout=None):
        assert 0 < callback_timeout <= 30
        if function == "unregister":
            self.removed.append(address)
            return self.told.pop(address)
        if not self.answers:
            raise asyncio.TimeoutError()
        return {"workers": self.told}

    def submit(self, function, *args, workers, pure, priority):
        return self.checks.setdefault(workers[0], types.SimpleNamespace(status="pending"))

    def add(self, address, status="finished", executing=1, ready=0, memory=100 * 10 ** 6, error=None):
        """Adds a worker, or changes it."""
        self.told[address] = {"last_seen": self.now, "memory_limit": 5 * 10 ** 8, "metrics": {
            "executing": executing, "ready": ready, "memory": memory}}
        self.checks.setdefault(address, types.SimpleNamespace())
        self.checks[address].status, self.checks[address].exception = status, lambda: error

    def beat(self, *addresses):
        for address in set(addresses) & set(self.told):
            self.told[address]["last_seen"] = self.now


@pytest.fixture
def client(monkeypatch, caplog):
    client = Client()

    def sleep(seconds):
        client.now += seconds
        client.beat(*client.told)

    monkeypatch.setattr(dask_workers.time, "time", lambda: client.now)
    monkeypatch.setattr(dask_workers.time, "sleep", sleep)
    monkeypatch.setattr(dask_workers.Workers, "tell", lambda self, function, *args: None)
    monkeypatch.setattr(dask_workers.log, "propagate", True)
    caplog.set_level("INFO", "yt8m")
    client.now = 1000.0
    return client


def watch(client, num_alive=None):
    return dask_workers.Workers(client, ADDRESS, TIMEOUT, ("version", "shard", "checkpoint"), num_alive)


def look(workers, client, seconds, *beating):
    """Looks at the workers every two seconds."""
    for _ in range(0, seconds, 2):
        client.now += 2
        client.beat(*beating)
        workers.look()


def paused(client, address):
    client.add(address, executing=0, ready=1, memory=430 * 10 ** 6)


PAUSED = "is paused, as it holds 430 MB of its memory limit of 500 MB"


def test_no_worker_is_waited_for_up_to_the_timeout(client):
    workers = watch(client)
    look(workers, client, TIMEOUT)
    with pytest.raises(InputError, match="^%s has had no worker for 60 s: start dask-worker %s, or raise" % (
            ADDRESS, ADDRESS)):
        look(workers, client, 2)


@pytest.mark.parametrize("trouble, problem, remedy", [
    (paused, PAUSED, "give dask-worker a larger --memory-limit (0: none)"),
    (lambda client, address: None, "does not answer", "start other workers")], ids=["paused", "stopped"])
def test_workers_none_of_which_works_are_named_then_end_the_prediction(client, caplog, trouble, problem, remedy):
    client.add(A)
    workers = watch(client)
    look(workers, client, 100, A)
    trouble(client, A)
    beating = [A] if trouble is paused else []
    look(workers, client, 40, *beating)
    assert "the worker %s %s: %s" % (A, problem, remedy) in caplog.messages
    with pytest.raises(InputError) as raised:
        look(workers, client, TIMEOUT, *beating)
    assert str(raised.value) == ("No worker of %s has worked for 60 s: %s %s. To go on, %s, or raise --cluster_timeout_"
                                 "secs." % (ADDRESS, A, problem, remedy))
    assert 1 <= len(caplog.messages) <= 4 and not client.removed


@pytest.mark.parametrize("trouble", [paused, lambda client, address: None], ids=["paused", "stopped"])
def test_a_worker_that_does_not_work_loses_its_tasks_to_others(client, caplog, trouble):
    client.add(A), client.add(B)
    workers = watch(client)
    look(workers, client, 100, A, B)
    trouble(client, A)
    beating = [A, B] if trouble is paused else [B]
    look(workers, client, 50, *beating)
    assert workers.num_ready() == 2 and not client.removed
    look(workers, client, 30, *beating)
    assert client.removed == [A] and workers.num_ready() == 1
    assert "others repeat its tasks" in caplog.messages[-1] and A in caplog.messages[-1]


def test_a_worker_that_resumes_keeps_its_tasks(client):
    client.add(A), client.add(B)
    workers = watch(client)
    for _ in range(4):
        paused(client, A)
        look(workers, client, 40, A, B)
        client.add(A)
        look(workers, client, 4, A, B)
    assert not client.removed


def test_what_happens_while_nobody_looks_counts_from_the_next_look(client):
    client.add(A), client.add(B)
    workers = watch(client)
    look(workers, client, 10, A, B)
    client.now += 10 * TIMEOUT
    paused(client, A), paused(client, B)
    look(workers, client, TIMEOUT - 4, A, B)
    assert not client.removed
    with pytest.raises(InputError, match="^No worker of"):
        look(workers, client, 10, A, B)


def test_a_worker_that_loads_its_code_is_no_problem_and_one_that_is_idle_neither(client):
    client.add(A, status="pending"), client.add(B, executing=0)
    workers = watch(client)
    look(workers, client, 5 * TIMEOUT, A, B)
    assert workers.num_ready() == 1 and not client.removed


def test_the_first_worker_that_is_ready_is_waited_for(client, caplog):
    client.add(A, status="pending")
    workers, beat = watch(client), client.beat

    def ready_after_20_s(*addresses):
        beat(*addresses)
        if client.now > 1020:
            client.checks[A].status = "finished"

    client.beat = ready_after_20_s
    workers.wait()
    assert 1020 < client.now < 1022
    assert caplog.messages == ["waiting for a worker of %s to load the code: it has 1" % ADDRESS]


@pytest.mark.parametrize("error, told", [
    (ModuleNotFoundError("No module named 'src'"), "cannot load the code (ModuleNotFoundError: No module named 'src'): "
     "start dask-worker with PYTHONPATH=. in a copy of this project"),
    (ImportError("Traceback (most recent call last):\n  File \"x.py\", line 1\nImportError: %s\n\n\nFailed" % NO_GPU),
     "cannot load the code (ImportError: %s): start" % NO_GPU),
    (AttributeError("module has no attribute 'check'"), "cannot load the code (AttributeError: module has no attr")],
    ids=["no code", "no CUDA", "other code"])
def test_a_worker_that_cannot_load_the_code_is_named(client, error, told):
    client.add(A), client.add(B, status="error", error=error)
    with pytest.raises(InputError) as raised:
        watch(client).look()
    assert str(raised.value).startswith("The worker %s %s" % (B, told)) and "\n" not in str(raised.value)


def test_a_worker_that_is_killed_and_started_again_at_its_address_is_checked_again(client):
    client.add(A, status="error", error=KilledWorker.__new__(KilledWorker))
    workers, submit = watch(client), client.submit

    def again(*args, **kwargs):
        client.add(A)
        return submit(*args, **kwargs)

    client.submit = again
    client.checks[A].status, client.checks[A].exception = "error", lambda: KilledWorker.__new__(KilledWorker)
    workers._workers[A] = dask_workers._Worker(client.checks[A])
    assert workers.num_ready() == 1


def test_the_sentence_of_a_workers_check_is_kept(client):
    client.add(A, status="error", error=InputError("The worker %s runs another version of the code." % A))
    with pytest.raises(InputError, match="^The worker %s runs another version of the code.$" % A):
        watch(client).look()


def test_a_worker_that_is_lost_while_it_loads_is_no_reason_to_stop(client, caplog):
    client.add(A, status="pending"), client.add(B)
    workers = watch(client)
    workers.look()
    del client.told[A]
    assert workers.num_ready() == 1
    assert caplog.messages == ["the worker %s is gone: the cluster has 1" % A]


@pytest.mark.parametrize("there", [True, False], ids=["beside another", "alone"])
def test_workers_that_are_lost_again_and_again_while_they_load(client, there):
    workers = watch(client)
    if there:
        client.add(B)
    for number in range(dask_workers.MOST_LOSSES):
        client.add("tcp://10.0.0.4:%d" % number, status="pending")
        workers.look()
        del client.told["tcp://10.0.0.4:%d" % number]
        if there or number < dask_workers.MOST_LOSSES - 1:
            workers.look()
    if not there:
        with pytest.raises(InputError, match="^The cluster has lost 10 workers while they loaded the code, as"):
            workers.look()


def test_processes_of_this_machine_have_time_to_start_but_not_without_end(client):
    running = [2]
    workers = watch(client, lambda: running[0])
    look(workers, client, 3 * TIMEOUT)
    running[0] = 0
    look(workers, client, 10)
    with pytest.raises(InputError, match="^All worker processes of this machine have ended: "):
        look(workers, client, 10)
    workers = watch(client, lambda: 2)
    with pytest.raises(InputError, match="^The worker processes of this machine do not start: "):
        look(workers, client, 400)


def test_a_scheduler_that_does_not_answer_and_one_that_is_gone(client, caplog):
    client.add(A)
    workers = watch(client)
    workers.look()
    client.answers = False
    look(workers, client, TIMEOUT)
    assert caplog.messages[0] == "the scheduler at %s does not answer" % ADDRESS and len(caplog.messages) <= 2
    with pytest.raises(InputError, match="^The scheduler at %s has not answered for 60 s: start it" % ADDRESS):
        look(workers, client, 2)
    client.status = "connecting"
    with pytest.raises(InputError, match="^The scheduler at %s is gone: start it and its workers again" % ADDRESS):
        workers.look()


def test_a_scheduler_that_is_killed_while_a_result_is_waited_for():
    with dask_processes.Cluster() as cluster:
        client = dask_scheduler.client(cluster.address, TIMEOUT)
        with contextlib.closing(client), pytest.raises(InputError, match="^The scheduler at .* is gone: "):
            workers, future = dask_workers.Workers(client, cluster.address, TIMEOUT, ()), client.submit(sum, [1])
            threading.Timer(.2, dask_processes.kill, [cluster.scheduler]).start()
            with dask_workers.answering(cluster.address):
                workers.result(client.gather(future, asynchronous=True))


@pytest.mark.parametrize("error, told", [
    (ImportError("No module named 'src'"), "A worker cannot load the code"),
    (OSError(28, "No space left on device"), "A worker cannot go on .*No space left on device"),
    (KeyError(3), None)], ids=["import", "disk", "bug"])
def test_a_failed_task_is_explained(client, error, told):
    client.add(A)
    workers = watch(client)
    if told:
        with pytest.raises(InputError, match=told):
            workers.explain(error)
    else:
        assert workers.explain(error) is None


def test_a_failed_task_is_explained_by_a_check_that_ends_later(client):
    client.add(A, status="pending")
    workers, beat = watch(client), client.beat

    def fails(*addresses):
        beat(*addresses)
        client.add(A, status="error", error=ModuleNotFoundError("No module named 'src'"))

    client.beat = fails
    with pytest.raises(InputError, match="^The worker %s cannot load the code" % A):
        workers.explain(ModuleNotFoundError("No module named 'src'"))


def test_a_result_is_waited_for_beyond_a_look(monkeypatch):
    monkeypatch.setattr(dask_workers, "LOOK_SECONDS", .01)
    looks = []

    async def slow():
        while len(looks) < 3:
            await asyncio.sleep(.001)
        return "done"

    async def fails():
        raise CommClosedError("x")

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        client = types.SimpleNamespace(loop=types.SimpleNamespace(asyncio_loop=loop))
        workers = dask_workers.Workers(client, ADDRESS, TIMEOUT, ())
        workers.look = lambda: looks.append(1)
        assert workers.result(slow()) == "done" and len(looks) == 3
        with pytest.raises(CommClosedError):
            workers.result(fails())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
