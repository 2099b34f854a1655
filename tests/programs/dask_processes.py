"""A Dask cluster whose processes, like the programs', are forked from one that has imported TensorFlow."""
import asyncio
import logging
import os
import random
import shutil
import signal
import tempfile
import time

import distributed
import tensorflow as tf

from src.prediction import dask_tasks
from tests.programs import runner


class Cluster(object):
    """A scheduler and workers on this machine, for a `with` block."""

    def __init__(self, num_workers=0):
        self._folder, self._num_workers, self.workers = tempfile.mkdtemp(), num_workers, []
        self.address = None

    def __enter__(self):
        path = os.path.join(self._folder, "address")
        self.scheduler = runner.start(_quietly, _schedule, path)
        runner.wait_until(lambda: os.path.exists(path))
        with open(path) as stream:
            self.address = stream.read()
        for _ in range(self._num_workers):
            self.add_worker()
        return self

    def __exit__(self, *unused):
        for process in self.workers + [self.scheduler]:
            kill(process)
        shutil.rmtree(self._folder)

    def add_worker(self, version=None, hidden=None, core=None, memory_limit=0):
        """Starts a worker in a folder other than the programs'.

        Args:
          version: version of its code, if it differs.
          hidden: end of the name of a file that it cannot find.
          core: the only core that it runs on.
          memory_limit: bytes, at 80 % of which it pauses; 0: none.
        """
        folder = os.path.join(self._folder, str(len(self.workers)))
        self.workers.append(runner.start(_quietly, _work, self.address, folder, version, hidden, core,
                                         memory_limit))
        return self.workers[-1]


def kill(process):
    """Kills a process and waits for its end."""
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()


def _quietly(function, *args):
    logging.getLogger("distributed").setLevel(logging.ERROR)
    function(*args)


def _schedule(path):
    async def serve():
        async with distributed.Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
            with open(path + ".new", "w") as stream:
                stream.write(scheduler.address)
            os.rename(path + ".new", path)
            await scheduler.finished()

    asyncio.new_event_loop().run_until_complete(serve())


def _work(address, folder, version, hidden, core, memory_limit):
    if core is not None:
        os.sched_setaffinity(0, [core])
    if version:
        dask_tasks.VERSION = version
    if hidden:
        opened = tf.io.gfile.GFile
        tf.io.gfile.GFile = lambda path, mode: opened(path + "?" if path.endswith(hidden) else path, mode)
    os.chdir("/")

    async def serve():
        async with distributed.Worker(address, host="127.0.0.1", nthreads=1, dashboard=False,
                                      memory_limit=memory_limit, local_directory=folder) as worker:
            await worker.finished()

    asyncio.new_event_loop().run_until_complete(serve())


def kill_after(seconds, cluster, scheduler=False):
    """Kills the scheduler, or kills a random worker and starts another one."""
    time.sleep(seconds)
    if scheduler:
        kill(cluster.scheduler)
        return
    kill(_random_worker(cluster))
    cluster.add_worker()


def stop_after(seconds, cluster):
    """Stops a random worker, which keeps its connections but does not answer, and starts another one."""
    time.sleep(seconds)
    os.kill(_random_worker(cluster).pid, signal.SIGSTOP)
    cluster.add_worker()


def _random_worker(cluster):
    return random.choice([process for process in cluster.workers if process.is_alive()])
