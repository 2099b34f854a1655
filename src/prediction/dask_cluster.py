"""Predictions on a Dask cluster (https://distributed.dask.org); they equal those of one process byte for byte.

Tasks score groups of shards, and their results stay on the workers. The workers merge rankings in the order of the
shards, one block of classes at a time. This process fetches them class by class. If a worker is lost, others repeat its
tasks.
"""
import asyncio
import collections
import contextlib
import logging
import typing
import uuid

import distributed
from distributed.scheduler import KilledWorker

from src.common import files
from src.common import runtime
from src.common import tf_config
from src.common.errors import InputError
from src.data import passes
from src.data import pipeline
from src.prediction import dask_scheduler
from src.prediction import dask_tasks
from src.prediction import dask_workers
from src.prediction import predictions
from src.trained import model_flags

log = logging.getLogger("yt8m")

MAX_TASKS = 500  # scoring tasks; each costs the scheduler some milliseconds per shift and block of classes
BLOCK_BYTES = 1 << 27  # most bytes of the keys of a block of classes
FAN_IN = 4  # rankings merged at a time
SEGMENTS = 400000  # fetched per request: several classes up to this many segments, or one larger class
WAITING = 8  # requests that the workers prepare in advance


class Part(typing.NamedTuple):
    """Shards that a task scores."""
    first: int  # position of the first of them among all shards
    paths: list
    num_bytes: int


@contextlib.contextmanager
def connected(address, timeout, num_alive=None):
    """Context of a `Cluster` at the scheduler's address.

    Args:
      address: tcp://HOST:PORT or tls://HOST:PORT.
      timeout: seconds to wait for it, and for a worker that works.
      num_alive: function that returns how many of its worker processes run, or None if others start them.

    Raises:
      InputError: no scheduler answers.
    """
    client = dask_scheduler.client(address, timeout)
    try:
        yield Cluster(client, address, timeout, num_alive)
    finally:
        with contextlib.suppress(asyncio.TimeoutError, *dask_workers.GONE):
            client.close()


@contextlib.contextmanager
def of_gpus(num_gpu, timeout):
    """Context of a `Cluster` on this machine: one worker process per GPU, which sees no other GPU.

    Raises:
      InputError: the workers have no folder for their files, or Dask's configuration requires encryption.
    """
    with dask_scheduler.own_workers():
        here = dask_scheduler.own("127.0.0.1", 0, num_gpu)
        try:
            with connected(here.scheduler_address, timeout, dask_scheduler.num_alive) as cluster:
                yield cluster
        finally:
            dask_scheduler.close(here)


@contextlib.contextmanager
def of_job(config, timeout):
    """Context of a `Cluster` whose scheduler is this process, the chief of TF_CONFIG. Its workers end with it.

    Raises:
      InputError: TF_CONFIG has no workers, or the scheduler cannot serve at its address.
    """
    if not config.cluster.get("worker"):
        raise InputError("TF_CONFIG has a chief and no workers: add them.")
    (_, address), = config.chiefs
    try:
        here = dask_scheduler.own(*tf_config.host_and_port(address))
    except OSError as error:
        raise InputError("TF_CONFIG's chief cannot serve at %s (%.200s): is the port in use? Give another one." % (
            address, error))
    try:
        with connected(here.scheduler_address, timeout) as cluster:
            try:
                yield cluster
            finally:
                cluster.say_done()
    finally:
        dask_scheduler.close(here)


def work(config, timeout):
    """Runs a worker in the cluster of `of_job`, and returns when the chief is done.

    Raises:
      InputError: the chief does not answer in time, or ends before it is done.
    """
    (_, address), = config.chiefs
    logging.getLogger("distributed").setLevel(logging.CRITICAL)

    async def serve():
        async with distributed.Worker("tcp://" + address, nthreads=1, dashboard=False, death_timeout=timeout,
                                      **runtime.DASK_WORKER) as worker:
            log.info("worker at %s: working for the chief at %s", worker.address, address)
            await worker.finished()

    try:
        with dask_scheduler.own_workers():
            asyncio.new_event_loop().run_until_complete(serve())
    except (OSError, asyncio.TimeoutError) as error:
        raise InputError("No chief answers at %s (%.200s): start it, or raise --cluster_timeout_secs." % (
            address, error))
    if not dask_tasks.is_done():
        raise InputError("The chief at %s is gone: start all tasks again." % address)
    log.info("the chief is done")


class Cluster(object):
    """Workers that predict; see `connected`."""

    def __init__(self, client, address, timeout, num_alive=None):
        self._client, self._address, self._timeout, self._num_alive = client, address, timeout, num_alive
        self._workers = None  # dask_workers.Workers, while it predicts

    def predict(self, job, outputs):
        """Predicts as `predictions.predict`, but on the workers.

        Memory: some 200 bytes per video, and a few copies of the text of one task. If segments are ranked, that text
        holds the larger of SEGMENTS and the longest row's number of segments, some 10 bytes each. Else it holds the
        lines of a group of shards for one CSV. All workers together hold at most 8 bytes per segment, class and CSV,
        and at most 5 GB per CSV if 100,000 segments of each of 1,000 classes are kept. Dask moves to disk what a
        worker cannot hold. Each worker reads the predictions for videos of the job's prior, and holds them.
        """
        job = job._replace(paths=list(map(files.absolute, job.paths)), checkpoint=files.absolute(job.checkpoint),
                           values=model_flags.absolute(job.values))  # workers run in other folders
        if job.prior:  # read again by the workers, as it may be large
            job = job._replace(prior=job.prior._replace(path=files.absolute(job.prior.path), table=None))
        self._workers = dask_workers.Workers(self._client, self._address, self._timeout, (
            dask_tasks.VERSION, dask_tasks.needed(job)), self._num_alive)
        scored = self._scored(job)
        if job.output.ranked:
            self._write_ranked(job, outputs, scored)
        else:
            self._write_pairs(job, outputs, scored)

    def _scored(self, job):
        """Yields the future of each part's Scored, in order, and logs progress."""
        key, version = uuid.uuid4().hex, dask_tasks.VERSION
        self._workers.wait()
        parts = _parts(job)

        def submit(number, left_out):
            scored = self.submit(dask_tasks.score, key, job._replace(paths=parts[number].paths), version, left_out,
                                 _classes_per_block(job), priority=-number)
            return scored, self.submit(dask_tasks.summary, scored, priority=1)

        waiting = collections.deque(submit(number, []) for number in range(len(parts)))
        progress, first_records = predictions.new_progress(job), {}
        read, unknown, total = 0, 0, sum(part.num_bytes for part in parts)
        for number, part in enumerate(parts):
            scored, summary = waiting.popleft()
            summary = self._result(summary)
            lines, repeated = summary.log_lines, _repeated(job, part, summary, first_records)
            if repeated:  # one process leaves these out before it cuts its batches
                scored, summary = submit(number, repeated)
                summary = self._result(summary)
            for line in lines:
                log.info("%s", line)
            read += part.num_bytes
            unknown += summary.num_unknown
            progress.add(summary.num_predicted, "%d workers" % self._workers.num_ready(), read / max(total, 1))
            yield scored
        predictions.check_end(job, progress.done, unknown)
        progress.finish()

    def _write_ranked(self, job, outputs, scored):
        num_blocks = -(-len(job.classes) // _classes_per_block(job))
        merging = [[_Merging(self, job.output.max_segments) for _ in range(num_blocks)] for _ in outputs]
        for future in scored:
            for output, blocks in enumerate(merging):
                for number, block in enumerate(blocks):
                    block.add(self.submit(dask_tasks.part, future, output, number, priority=1))
        for path, blocks in zip(outputs, merging):
            predictions.write_ranked(job, path, self._rows(job, blocks))

    def _rows(self, job, blocks):
        """Yields the joined segment ids of each class, best first."""
        rankings = [block.result() for block in blocks]
        counts = [self._result(self.submit(dask_tasks.counts, ranking, priority=2)) for ranking in rankings]
        most = max([SEGMENTS] + [of_block.max() for of_block in counts])
        waiting = collections.deque()
        for ranking, of_block in zip(rankings, counts):
            for begin, end in _runs(of_block, most):
                if len(waiting) == WAITING:
                    yield from self._result(waiting.popleft())
                waiting.append(self.submit(dask_tasks.rows, ranking, begin, end, priority=2))
        while waiting:
            yield from self._result(waiting.popleft())

    def _write_pairs(self, job, outputs, scored):
        with predictions.writing_pairs(job, outputs) as streams:
            for future in scored:
                for output, stream in enumerate(streams):
                    stream.write(self._result(self.submit(dask_tasks.lines_of, future, output)))

    def submit(self, function, *args, priority=0):
        """The future of a task; of several that are ready, the one with the highest priority runs first."""
        with dask_workers.answering(self._address):
            return self._client.submit(function, *args, priority=priority, pure=False)

    def _result(self, future):
        """Returns a future's result.

        Raises:
          InputError: the task raised it, or the workers or the scheduler are gone.
        """
        losses = 0
        while True:
            try:
                return self._workers.result(self._client.gather(future, asynchronous=True))
            except InputError:
                raise
            except KilledWorker:
                losses += 1
                if losses == dask_workers.MOST_LOSSES:
                    raise InputError("The cluster has lost %d workers during one task, as happens when memory runs "
                                     "out: lower --batch_size, or give the workers more memory." % losses)
                with dask_workers.answering(self._address):
                    future.retry()
            except Exception as error:  # pylint: disable=broad-except
                with dask_workers.answering(self._address):
                    if future.status != "error":
                        raise
                self._workers.explain(error)
                raise

    def say_done(self):
        """Tells the workers that the job is done, before the scheduler ends."""
        if self._workers:
            with contextlib.suppress(InputError):  # the scheduler is gone
                self._workers.tell(dask_tasks.set_done)


class _Merging(object):
    """Merges all parts' rankings of a block of classes as they come, FAN_IN of one size at a time."""

    def __init__(self, cluster, max_segments):
        self._cluster, self._max_segments, self._levels = cluster, max_segments, [[]]

    def add(self, ranking):
        """Adds the future of the next part's ranking."""
        for level in self._levels:
            level.append(ranking)
            if len(level) < FAN_IN:
                return
            ranking = self._merged(level)
            level.clear()
        self._levels.append([ranking])

    def result(self):
        """The future of the whole ranking."""
        return self._merged([ranking for level in reversed(self._levels) for ranking in level])

    def _merged(self, rankings):
        return self._cluster.submit(dask_tasks.merge, self._max_segments, *rankings, priority=1)


def _parts(job):
    """The Parts of a Job: one group of shards each; if segments are ranked, several, because rankings are smaller."""
    groups = -(-len(job.paths) // pipeline.GROUP_SHARDS)
    size, sizes = pipeline.GROUP_SHARDS * (-(-groups // MAX_TASKS) if job.output.ranked else 1), files.sizes(job.paths)
    return [Part(first, job.paths[first:first + size], sum(sizes[first:first + size]))
            for first in range(0, len(job.paths), size)]


def _runs(counts, most):
    """Yields (begin, end) of consecutive runs of counts that sum to at most `most`, which no count exceeds."""
    begin = total = 0
    for end, count in enumerate(counts.tolist()):
        if total + count > most:
            yield begin, end
            begin, total = end, 0
        total += count
    yield begin, len(counts)


def _classes_per_block(job):
    return max(1, BLOCK_BYTES // (8 * job.output.max_segments))


def _repeated(job, part, summary, first_records):
    """Locations of a part's records whose videos are in an earlier part, too; logs a line about each.

    Args:
      first_records: {video: (position of its shard, index of its record)}; the part's new videos are added.
    """
    repeated = []
    for location, video in sorted(zip(summary.locations.tolist(), summary.ids.tolist())):
        shard, index = divmod(location, 1 << 32)
        before = first_records.setdefault(video, (part.first + shard, index))
        if before != (part.first + shard, index):
            log.info("%s", passes.stands_twice(video, job.paths[before[0]], before[1], part.paths[shard], index))
            repeated.append(location)
    return repeated
