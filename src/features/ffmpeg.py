"""Films through the programs ffmpeg and ffprobe: their streams, one frame per second, and their sound."""
import collections
import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import typing

import numpy as np

from src.common import storage
from src.common.errors import InputError
from src.features import resampling

HOW_TO_GET = ("install it with apt-get install ffmpeg or conda install ffmpeg, or give its path in --ffmpeg")
PROBE_SECONDS = 120  # for ffprobe to look at a film
MAX_PIXELS = 1 << 27  # of a frame; 16K video has this many
READ_SECONDS = 5  # of sound per block
# For second k the frame that is nearest to k, of two as near the later one; where no frame is within half a second, the
# last one again. The filter fps takes the last frame whose time is up to k, so each frame is brought forward to the
# middle between it and the frame before it, but by less than half a second. Times are in microseconds. A picture that
# starts half a second after the sound, or later, repeats its first frame; an earlier start is that of the container.
FRAMES = ("settb=AVTB,setpts='if(N,max((PREV_INPTS+PTS)/2,PTS-499999),PTS)-lt(STARTPTS,500000)*STARTPTS',"
          "fps=1:round=up:start_time=0")
COLOURS = "scale=in_color_matrix=bt601"  # as OpenCV, with which MediaPipe reads films, whatever matrix a film names
SOUND = "aresample=async=1:first_pts=0"  # silence where the sound starts late or has a gap
_PREFIX = re.compile(r"^(\[[^\]]* @ 0x[0-9a-f]+\] *)+")
_KEPT_LINES = 4  # of ffmpeg's last complaints


class Tools(typing.NamedTuple):
    """Paths of the two programs."""
    ffmpeg: str
    ffprobe: str


class Film(typing.NamedTuple):
    """What ffprobe says of a film."""
    path: str
    has_sound: bool
    seconds: float  # length of its picture; None: unknown
    is_of_picture: bool  # `seconds` is the picture's own length, not that of the film's longest stream


class Complaints(typing.NamedTuple):
    """What ffmpeg has said."""
    count: int  # of lines
    last: str  # the last of them, joined


def find(path):
    """The Tools.

    Args:
      path: of ffmpeg; "" looks for it on the PATH. ffprobe is looked for beside it, then on the PATH.

    Raises:
      InputError: one of them is not there or does not run.
    """
    found = storage.local(path) if path else shutil.which("ffmpeg")
    if not found:
        raise InputError("ffmpeg is not found: %s." % HOW_TO_GET)
    _check_runs(found, "--ffmpeg=%s" % path if path else found)
    beside = os.path.join(os.path.dirname(found), "ffprobe")
    probe = beside if os.path.exists(beside) else shutil.which("ffprobe")
    if not probe:
        raise InputError("ffprobe is neither beside %s nor on the PATH: it comes with ffmpeg, %s." % (
            found, HOW_TO_GET))
    _check_runs(probe, probe)
    return Tools(found, probe)


def _check_runs(program, shown):
    try:
        done = subprocess.run([program, "-version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PROBE_SECONDS)
    except OSError as error:
        raise InputError("%s does not run (%s): %s." % (shown, os.strerror(error.errno), HOW_TO_GET))
    except subprocess.TimeoutExpired:
        raise InputError("%s gives no answer: %s." % (shown, HOW_TO_GET))
    name = os.path.basename(program)
    if done.returncode or not done.stdout.startswith((b"ffmpeg version", b"ffprobe version")):
        raise InputError("%s is no working ffmpeg or ffprobe (%s): %s." % (
            shown, _shown(done.stdout.splitlines()[-1:]) or name, HOW_TO_GET))


def _shown(lines, path=None):
    """Lines of ffmpeg, bytes, without the addresses in its memory and the path that the sentence names anyway."""
    texts = [_PREFIX.sub("", line.decode("utf-8", "backslashreplace")).strip() for line in lines]
    if path:
        texts = [text.replace("file:" + path, path).replace(path + ": ", "") for text in texts]
    return "; ".join(collections.OrderedDict.fromkeys(text.rstrip(".") for text in texts if text))


def probe(tools, path):
    """The Film at a path.

    Raises:
      InputError: it is not readable, or has no picture.
    """
    command = [tools.ffprobe, "-hide_banner", "-loglevel", "error", "-show_entries",
               "stream=codec_type,duration:stream_disposition:stream_tags:format=duration", "-of", "json",
               "file:" + storage.local(path)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        raise InputError("%s gives no answer within %d seconds: check the disk." % (path, PROBE_SECONDS))
    if done.returncode:
        raise InputError("%s cannot be read as a film (%s): replace or remove it." % (
            path, _shown(done.stderr.splitlines()[-_KEPT_LINES:], path) or "ffprobe says nothing"))
    found = json.loads(done.stdout.decode("utf-8", "replace"), strict=False)
    streams = found.get("streams", [])
    pictures = [stream for stream in streams if stream.get("codec_type") == "video" and not any(
        stream.get("disposition", {}).get(kind) for kind in ("attached_pic", "timed_thumbnails"))]
    if not pictures:
        raise InputError("%s has no video: remove it, or narrow --videos." % path)
    own = _length(pictures[0])
    return Film(path, any(stream.get("codec_type") == "audio" for stream in streams),
                own if own is not None else _seconds(found.get("format", {}).get("duration")), own is not None)


def _length(stream):
    """The length of a stream in seconds, or None; Matroska's is among the tags, as 00:01:35.040000000."""
    if "duration" in stream:
        return _seconds(stream["duration"])
    tag = next((value for name, value in stream.get("tags", {}).items() if name.upper().startswith("DURATION")), "")
    matched = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", tag)
    return matched and 3600 * int(matched.group(1)) + 60 * int(matched.group(2)) + float(matched.group(3))


def _seconds(text):
    """The positive number that a text is, or None."""
    try:
        return float(text) if 0 < float(text) < float("inf") else None
    except (TypeError, ValueError):
        return None


class Decoder(object):
    """A running ffmpeg; use it as a context, which ends it.

    It writes frames and sound at the same time, so one thread must read each.

    Args:
      tools: Tools.
      film: Film.
      max_seconds: seconds to decode; 0: all.
      with_sound: whether to decode the sound.
    """

    def __init__(self, tools, film, max_seconds, with_sound):
        self._film, self._lines, self._count = film, collections.deque(maxlen=_KEPT_LINES), 0
        command = [tools.ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "error", "-i",
                   "file:" + storage.local(film.path), "-map", "0:V:0", "-vf", "%s,%s" % (FRAMES, COLOURS)]
        command += ["-frames:v", str(max_seconds)] if max_seconds else []
        command += ["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "pipe:1"]
        with contextlib.ExitStack() as ends:
            write_end, self._sound = None, None
            if with_sound:
                read_end, write_end = os.pipe()
                self._sound = open(read_end, "rb")
                ends.callback(os.close, write_end)
                command += ["-map", "0:a:0", "-af", SOUND] + (["-t", str(max_seconds)] if max_seconds else [])
                command += ["-map_metadata", "-1", "-c:a", "pcm_f32be", "-f", "au", "pipe:%d" % write_end]
            # In a session of its own: Ctrl-C ends it by closing its pipes, not with a complaint.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                pass_fds=[write_end] if with_sound else [], start_new_session=True)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.kill()
        self._process.wait()
        self._listener.join()
        for stream in self._process.stdout, self._process.stderr, self._sound:
            if stream:
                stream.close()

    def kill(self):
        """Ends it, if it still runs; reading then ends, too."""
        self._process.kill()

    def _listen(self):
        for line in self._process.stderr:
            self._lines.append(line)
            self._count += 1

    def frames(self):
        """Yields the frames, uint8 [height, width, 3] RGB, one per second; each is valid until the next one."""
        stream, frame = self._process.stdout, np.empty((0, 0, 3), np.uint8)
        while True:
            header = [stream.readline().split() for _ in range(3)]  # P6, width and height, 255
            if not header[2]:
                return
            width, height = map(int, header[1])
            if width * height > MAX_PIXELS:
                raise InputError("%s has frames of %d x %d pixels, more than any film: remove it." % (
                    self._film.path, width, height))
            if frame.shape != (height, width, 3):
                frame = np.empty((height, width, 3), np.uint8)
            if stream.readinto(frame.reshape(-1)) < frame.size:
                return
            yield frame

    def sound(self):
        """The rate in samples per second, and a generator of the samples, float32 [n] in -1..1: means of the channels.

        The rate is None if there are no samples.
        """
        header = np.frombuffer(self._sound.read(24).ljust(24, b"\0"), ">u4")  # .snd, offset, size, encoding, rate, ..
        offset, rate, channels = int(header[1]), int(header[4]), int(header[5])
        if not channels:
            return None, iter(())
        if not resampling.LOWEST <= rate <= resampling.HIGHEST:
            raise InputError("%s has sound of %d samples per second, outside %d..%d: convert it." % (
                self._film.path, rate, resampling.LOWEST, resampling.HIGHEST))
        self._sound.read(offset - 24)
        return rate, self._samples(rate, channels)

    def _samples(self, rate, channels):
        """Yields the samples of blocks of the sound."""
        sample_bytes = 4 * channels
        for content in iter(lambda: self._sound.read(READ_SECONDS * rate * sample_bytes), b""):
            samples = np.frombuffer(content, ">f4", len(content) // sample_bytes * channels)
            yield samples.astype(np.float32).reshape(-1, channels).mean(axis=1, dtype=np.float32)

    def finish(self):
        """Waits for the end; returns the Complaints.

        Raises:
          InputError: ffmpeg has failed.
        """
        code = self._process.wait()
        self._listener.join()
        said = Complaints(self._count, _shown(self._lines, self._film.path))
        if code < 0:
            raise InputError("%s: ffmpeg was ended by signal %d, as happens when memory runs out: free memory and run "
                             "again." % (self._film.path, -code))
        if code:
            raise InputError("%s cannot be decoded (%s): replace or remove it." % (
                self._film.path, said.last or "ffmpeg's exit code is %d" % code))
        return said
