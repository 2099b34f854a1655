"""The workers of a Dask cluster: which of them can work, and what keeps the others from it."""
import asyncio
import concurrent.futures
import contextlib
import importlib
import logging
import operator
import re
import time

from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from src.common import runtime
from src.common.errors import InputError
from src.prediction import dask_tasks

log = logging.getLogger("yt8m")

LOOK_SECONDS = 2.0  # between looks at the workers
SILENT_SECONDS = 15.0  # without a heartbeat until a worker counts as stopped; heartbeats come every 0.5 to 5 s
MOST_LOSSES = 10  # workers that a cluster, or one task, may lose until the prediction stops
_PATIENCE_SECONDS = 5.0  # until a line says what keeps a worker from its work
_GAP_SECONDS = 60.0  # between looks, beyond which nothing counts as seen over that time
_SAY_SECONDS = 30.0  # between two such lines
_START_SECONDS = 300.0  # for worker processes of this machine to start
_AGAIN_SECONDS = 15.0  # for Dask to start such a process again once it has ended
_CALL_SECONDS = 10.0  # a call to the scheduler
_CHECK_SECONDS = 30.0  # for the checks of workers to end once a task has failed
GONE = (asyncio.CancelledError, concurrent.futures.CancelledError, CommClosedError, OSError)  # the scheduler is
_REASON = re.compile(r"^\w*(?:Error|Exception): .+", re.MULTILINE)


@contextlib.contextmanager
def answering(address):
    """Context that turns the errors of a scheduler that is gone into an InputError."""
    try:
        yield
    except GONE:
        raise InputError("The scheduler at %s is gone: start it and its workers again, and run again." % address)


class _Worker(object):
    """What is known of a worker.

    Attributes:
      check: future of `dask_tasks.check` on it.
      problem: what keeps it from its work, or None.
      since: time at which the problem began.
    """

    def __init__(self, check):
        self.check, self.problem, self.since = check, None, time.time()
        self._beat, self._heard = None, None  # its last heartbeat, in the scheduler's time and in this process's

    @property
    def is_ready(self):
        """Whether it has loaded the code, and can read the files."""
        return self.check.status == "finished"

    def update(self, told):
        """Takes what the scheduler tells of it."""
        now = time.time()
        if told["last_seen"] != self._beat:
            self._beat, self._heard = told["last_seen"], now
        metrics, limit = told.get("metrics", {}), told.get("memory_limit")
        if now - self._heard > SILENT_SECONDS:
            self.problem = "does not answer"
        elif told.get("status") == "paused" or limit and metrics.get("ready") and not metrics.get("executing"):
            # It has tasks, but runs none; today's Dask takes them away from it.
            self.problem = "is paused, as it holds %d MB of its memory limit of %d MB" % (
                metrics["memory"] // 10 ** 6, limit // 10 ** 6)
        else:
            self.problem, self.since = None, now


class Workers(object):
    """Watches the workers of a cluster.

    A worker that joins gets a task which loads the code there and checks it. One that is silent or paused for `timeout`
    seconds loses its tasks to the others.

    Args:
      client: distributed.Client.
      address: the scheduler's address.
      timeout: seconds that the prediction goes on without a worker that works.
      check: arguments of `dask_tasks.check`.
      num_alive: function that returns how many of the worker processes run, or None if others start them.
    """

    def __init__(self, client, address, timeout, check, num_alive=None):
        self._client, self._address, self._timeout, self._check = client, address, timeout, check
        self._workers, self._said = {}, {}  # {address: _Worker}; {subject of a line: its time}
        self._lost = 0  # workers that ended before they were ready, since one was
        self._num_alive = num_alive
        # Times: of the start, the last look, and the last sign of the scheduler, a worker that works, a worker process.
        self._begun = self._looked = self._heard = self._worked = self._alive = time.time()

    def wait(self):
        """Waits until a worker is ready."""
        start = time.time()
        while not self.num_ready():
            self._say("ready", start, "waiting for a worker of %s to load the code: it has %d", self._address,
                      len(self._workers))
            time.sleep(.2)

    def num_ready(self):
        """Looks at the workers, and returns how many are ready."""
        self.look()
        return sum(worker.is_ready for worker in self._workers.values())

    def result(self, coroutine):
        """Runs a coroutine of the client, and returns its result; looks at the workers while it waits."""
        waiting = asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)
        while True:
            try:
                return waiting.result(LOOK_SECONDS)
            except asyncio.TimeoutError:
                if waiting.done():
                    raise
                self.look()

    def look(self):
        """Asks the scheduler for its workers, and deals with those that cannot work.

        Raises:
          InputError: the scheduler is gone, a worker has other code or lacks the files, or none has worked in time.
        """
        now = time.time()
        if now - self._looked > _GAP_SECONDS:  # this process was busy with something else
            self._heard = self._worked = self._alive = now
            for worker in self._workers.values():
                worker.since = now
        self._looked, told = now, self._told()
        if told is None:
            return
        for address in set(self._workers) - set(told):
            self._lost += not self._workers.pop(address).is_ready
            self._say("lost", 0, "the worker %s is gone: the cluster has %d", address, len(told))
        for address, of_worker in told.items():
            if address not in self._workers:
                self._workers[address] = _Worker(self._checked(address))
            self._workers[address].update(of_worker)
        self._check_all()
        self._deal_with_troubled()

    def explain(self, error):
        """Raises the InputError of a worker that cannot run this project's tasks, once one of its tasks has failed."""
        deadline = time.time() + _CHECK_SECONDS
        self.look()
        while time.time() < deadline and not all(worker.is_ready for worker in self._workers.values()):
            time.sleep(.2)
            self.look()
        if isinstance(error, ImportError):
            raise _lacks_code("A worker", error)
        if isinstance(error, OSError):
            raise InputError("A worker cannot go on (%s): make room on its disk, or start it elsewhere." % error)

    def _told(self):
        """{address: what the scheduler tells of a worker}; None if it does not answer at the moment."""
        with answering(self._address):
            if self._client.status != "running":
                raise CommClosedError(self._client.status)
            try:
                told = self._client.sync(self._client.scheduler.identity, callback_timeout=_CALL_SECONDS)
            except asyncio.TimeoutError:
                if time.time() - self._heard > self._timeout:
                    raise InputError("The scheduler at %s has not answered for %d s: start it and its workers again, "
                                     "and run again." % (self._address, self._timeout))
                self._say("scheduler", self._heard, "the scheduler at %s does not answer", self._address)
                return None
        self._heard = time.time()
        return told["workers"]

    def _checked(self, address):
        """The future of the check of a worker: as a task, so that the worker's heartbeat goes on while it loads."""
        options = dict(workers=[address], pure=False, priority=10)
        module = self._client.submit(importlib.import_module, dask_tasks.__name__, **options)
        return self._client.submit(operator.methodcaller("check", *self._check), module, **options)

    def _check_all(self):
        for address, worker in self._workers.items():
            if worker.check.status == "error":
                with answering(self._address):
                    error = worker.check.exception()
                if isinstance(error, KilledWorker):  # it was started again at the same address
                    self._lost += 1
                    worker.check = self._checked(address)
                    continue
                raise error if isinstance(error, InputError) else _lacks_code("The worker %s" % address, error)
        if any(worker.is_ready for worker in self._workers.values()):
            self._lost = 0
        if self._lost >= MOST_LOSSES:
            raise InputError("The cluster has lost %d workers while they loaded the code, as happens when memory runs "
                             "out: give the workers more memory, and read what they say." % self._lost)

    def _look_at_processes(self, now):
        """Gives the worker processes of this machine the time to start."""
        if self._num_alive():
            self._alive = now
            if not self._workers and now - self._begun < _START_SECONDS:
                self._worked = now
        elif now - self._alive > _AGAIN_SECONDS:
            raise InputError("All worker processes of this machine have ended: read what they said above; give a "
                             "smaller --num_gpu if the machine's memory is too small for them.")

    def _deal_with_troubled(self):
        now = time.time()
        if self._num_alive:
            self._look_at_processes(now)
        troubled = {address: worker for address, worker in self._workers.items() if worker.problem}
        if len(troubled) < len(self._workers):
            self._worked = now
        for address, worker in sorted(troubled.items()):
            self._say(address, worker.since, "the worker %s %s: %s", address, worker.problem, _remedy(worker.problem))
            if now - worker.since > self._timeout and len(troubled) < len(self._workers):
                self._give_up(address)
        if now - self._worked > self._timeout:
            raise InputError(self._none_works(troubled))

    def _give_up(self, address):
        """Removes a worker from the cluster, so that others repeat its tasks."""
        log.info("the worker %s %s: others repeat its tasks", address, self._workers.pop(address).problem)
        with answering(self._address), contextlib.suppress(asyncio.TimeoutError):
            self._client.sync(self._client.scheduler.unregister, address=address, safe=True,
                              callback_timeout=_CALL_SECONDS)
        self.tell(dask_tasks.forget, address)

    def tell(self, function, *args):
        """Runs a function on each worker; does not wait long for those that do not answer."""
        loop, deadline = self._client.loop.asyncio_loop, time.time() + _CALL_SECONDS
        told = [asyncio.run_coroutine_threadsafe(self._client.run(
            function, *args, workers=[address], asynchronous=True), loop) for address in self._told() or ()]
        for each in told:
            with contextlib.suppress(Exception):  # whoever cannot be told is gone, or does not answer
                each.result(max(0, deadline - time.time()))

    def _none_works(self, troubled):
        if not troubled and self._num_alive:
            return "The worker processes of this machine do not start: give a smaller --num_gpu, if it is too small " \
                "for them, or raise --cluster_timeout_secs."
        if not troubled:
            return "%s has had no worker for %d s: start dask-worker %s, or raise --cluster_timeout_secs." % (
                self._address, self._timeout, self._address)
        first = ", ".join("%s %s" % (address, worker.problem) for address, worker in sorted(troubled.items())[:3])
        return "No worker of %s has worked for %d s: %s. To go on, %s, or raise --cluster_timeout_secs." % (
            self._address, self._timeout, first, _remedy(first))

    def _say(self, subject, since, line, *args):
        """Logs a line about a subject whose state has lasted since a time, unless one was logged shortly before."""
        now = time.time()
        if now - since >= _PATIENCE_SECONDS and now - self._said.get(subject, 0) >= _SAY_SECONDS:
            self._said[subject] = now
            log.info(line, *args)


def _remedy(problem):
    return "give dask-worker a larger --memory-limit (0: none)" if "paused" in problem else "start other workers"


def _lacks_code(who, error):
    """The InputError about a worker that cannot load this project's code."""
    found = _REASON.findall(str(error))  # TensorFlow's message may hold a whole traceback
    reason = found[-1] if found else "%s: %s" % (type(error).__name__, str(error).split("\n")[0])
    return InputError("%s cannot load the code (%.300s): start dask-worker with PYTHONPATH=. in a copy of this "
                      "project, with its %s installed." % (who, reason, runtime.REQUIREMENTS))
