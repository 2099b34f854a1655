"""Films -> features: threads decode ahead while the networks run on batches, which may span several films."""
import collections
import concurrent.futures
import logging
import os
import queue
import threading
import typing

import numpy as np

from src.common import storage
from src.common.errors import InputError
from src.common.progress import Progress
from src.features import decoding
from src.features import ffmpeg
from src.features import log_mel

log = logging.getLogger("yt8m")

_AHEAD = 2  # batches that are decoded ahead
_WAIT = .2  # seconds until a waiting thread looks whether the work has ended


class Job(typing.NamedTuple):
    """A film to extract."""
    path: str
    output: str  # path of its features


class Batching(typing.NamedTuple):
    """How much is done at once."""
    batch_size: int  # seconds of film that a network takes together
    num_decoders: int  # films that are decoded at the same time


class Report(typing.NamedTuple):
    """What has come of the films."""
    failed: list  # (path, sentence)
    silent: list  # paths of films without sound
    seconds: int  # of film, in all


class _Stopped(Exception):
    """The work has ended, as of Ctrl-C."""


class _Video(object):
    """A film's features as far as they are known.

    Args:
      job: Job.
    """

    def __init__(self, job):
        self.job, self.film, self.decoded, self.num_bytes = job, None, None, _num_bytes(job.path)
        self.features = collections.defaultdict(list)  # {name: [features of a second]}
        self.waiting = 0  # inputs of networks

    @property
    def is_complete(self):
        """Whether everything is there."""
        return self.decoded is not None and not self.waiting

    def share(self):
        """The share of the film that is done, as far as its length is known."""
        return min(1.0, len(self.features["rgb"]) / self.film.seconds) if self.film.seconds else 0.0

    def joined(self):
        """{name: float32 [seconds, size]}; without `audio` if the film has no sound.

        Raises:
          InputError: a feature is not finite.
        """
        found = {name: np.stack(rows[:self.decoded.seconds]) for name, rows in sorted(self.features.items())}
        for name, values in found.items():
            wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
            if wrong.size:
                raise InputError("%s: its %s is not finite at second %d: check the film, and the networks with "
                                 "--check_models." % (self.job.path, name, wrong[0]))
        return found


def _num_bytes(path):
    try:
        return os.path.getsize(storage.local(path))
    except OSError:
        return 0


class Extractor(object):
    """Extracts the features of films.

    Memory: `batch_size` times `_AHEAD + 1` frames of 1 MB, whatever the size of the films, and 5 KB of features per
    second of the films at work.

    Args:
      networks: networks.Networks.
      options: decoding.Options.
      batching: Batching.
      write: function of a path and the features, {name: float32 [seconds, size]}.
    """

    def __init__(self, networks, options, batching, write):
        self._networks, self._options, self._batching, self._write = networks, options, batching, write
        self._messages = queue.Queue(_AHEAD * batching.batch_size)  # of (video, kind, value)
        self._stop = threading.Event()
        self._pending = {name: [] for name in networks.network}  # of (video, input)
        self._report, self._silence = Report([], [], 0), None

    def run(self, jobs):
        """Extracts and writes the features of films; returns the Report. A film that fails ends only itself.

        Raises:
          InputError: features cannot be written.
        """
        videos = [_Video(job) for job in jobs]
        executor = concurrent.futures.ThreadPoolExecutor(self._batching.num_decoders)
        futures = [executor.submit(self._decode, video) for video in videos]
        try:
            self._consume(videos)
        finally:
            self._stop.set()
            for future in futures:
                future.cancel()
            executor.shutdown()
        return self._report

    def _consume(self, videos):
        """Takes what the threads decode, until all videos have ended."""
        progress = Progress("extraction", "seconds of video")
        total, ended, at_work = sum(video.num_bytes for video in videos), 0, set()
        for _ in videos:
            kind = None
            while kind not in ("decoded", "failed"):
                video, kind, value = self._messages.get()
                if kind in self._pending:
                    self._take(video, kind, value)
                    share = ended + sum(other.num_bytes * other.share() for other in at_work)
                    progress.add(kind == "rgb", share=share / max(total, 1))
                elif kind == "begun":
                    video.film = value
                    at_work.add(video)
                elif kind == "crashed":
                    raise value
            at_work.discard(video)
            ended += video.num_bytes
            self._end(video, kind, value)
        for name in self._pending:
            self._run(name)
        self._report = self._report._replace(seconds=progress.done)
        progress.finish()

    def _decode(self, video):
        """Decodes a film in a thread of its own, and sends messages."""
        def send(kind, value):
            while not self._stop.is_set():
                try:
                    return self._messages.put((video, kind, value), timeout=_WAIT)
                except queue.Full:
                    pass
            raise _Stopped

        try:
            film = ffmpeg.probe(self._options.tools, video.job.path)
            send("begun", film)
            send("decoded", decoding.decode(film, self._options, send))
        except _Stopped:
            pass
        except InputError as error:
            send("failed", str(error))
        except BaseException as error:  # pylint: disable=broad-except
            send("crashed", error)

    def _take(self, video, name, value):
        """Takes an input of a network, and runs the network when a batch is full."""
        video.waiting += 1
        self._pending[name].append((video, value))
        if len(self._pending[name]) == self._batching.batch_size:
            self._run(name)

    def _run(self, name):
        """Runs a network on the inputs that wait for it, and writes the videos that are complete then."""
        pending, self._pending[name] = self._pending[name], []
        if not pending:
            return
        activations = self._networks.network[name](np.stack([value for _, value in pending]))
        for (video, _), features in zip(pending, self._networks.projection[name](activations)):
            video.features[name].append(features)
            video.waiting -= 1
        for video in collections.OrderedDict.fromkeys(video for video, _ in pending):
            self._finish(video)

    def _end(self, video, kind, value):
        """Takes the end of a film's decoding."""
        if kind == "failed":
            self._fail(video, value)
            return
        video.decoded = value
        for remark in value.remarks:
            log.info("%s", remark)
        if not value.has_sound:
            self._report.silent.append(video.job.path)
        self._finish(video)

    def _fail(self, video, sentence):
        log.info("%s", sentence)
        self._report.failed.append((video.job.path, sentence))
        for name, pending in self._pending.items():
            self._pending[name] = [each for each in pending if each[0] is not video]
        video.features.clear()

    def _finish(self, video):
        """Writes the features of a video that is complete."""
        if not video.is_complete:
            return
        try:
            features = video.joined()
        except InputError as error:
            self._fail(video, str(error))
            return
        if "audio" not in features and self._options.missing_audio == decoding.SILENCE:
            features["audio"] = np.repeat(self._features_of_silence(), len(features["rgb"]), axis=0)
        self._write(video.job.output, features)
        video.features.clear()

    def _features_of_silence(self):
        """float32 [1, size]."""
        if self._silence is None:
            self._silence = self._networks.projection["audio"](
                self._networks.network["audio"](log_mel.silence()[np.newaxis]))
        return self._silence
