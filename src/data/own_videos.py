"""Features of own videos, one file per video -> the frames of records.

A file is an .npz with arrays such as `rgb` and `audio`, or the SequenceExample that MediaPipe's YouTube-8M extractor
writes, with lists named `RGB/feature/floats` and `AUDIO/feature/floats`.
"""
import collections
import io
import os
import typing
import zipfile

from google.protobuf.message import DecodeError
import numpy as np
import tensorflow as tf

from src.common import atomic
from src.common import files
from src.common import text
from src.common.errors import InputError
from src.data import forms
from src.data import segment_ids
from src.data import writing

MAX_BYTES = 1 << 30  # of a file, packed and unpacked; a day of floats has 400 MB
RANGE = 2  # floats beyond -RANGE..RANGE are clipped before they are quantized
FAR = 16  # floats beyond -FAR..FAR are other features: bytes as floats, or activations before PCA and whitening
_NPZ = b"PK"  # the beginning of a zip


class Features(typing.NamedTuple):
    """The features of a video."""
    lists: dict  # {name: uint8 [seconds, features]}
    clipped: float  # share of the floats that are beyond RANGE


def find(folder):
    """OrderedDict video id (bytes) -> path of the files in a folder; file names without extension are the ids.

    Raises:
      InputError: there is no file, a name is no id, or two files have the same id.
    """
    found = by_id([os.path.join(folder, name) for name in sorted(files.names(folder)) if not name.startswith(".")])
    if not found:
        raise InputError("--features_dir=%s holds no file: give a folder of .npz files or of MediaPipe's "
                         "SequenceExamples, one per video." % folder)
    return found


def by_id(paths):
    """OrderedDict video id (bytes) -> path; file names without extension are the ids.

    Raises:
      InputError: a name is no id, or two files have the same id.
    """
    found = collections.OrderedDict()
    for path in paths:
        try:
            video = segment_ids.composed(os.path.splitext(os.path.basename(path))[0].encode())
        except UnicodeEncodeError:
            raise InputError("%s is not UTF-8: rename the file." % ascii(path))
        check_id(video, path)
        if video in found:
            raise InputError("%s and %s are both of the video %s: remove one of the two."
                             % (found[video], path, text.shown(video.decode())))
        found[video] = path
    return found


def check_id(video, path):
    """Checks that bytes are a valid video id.

    Raises:
      InputError: they are not; names the file.
    """
    if not segment_ids.VIDEO.fullmatch(video):
        raise InputError("%s gives a video the id %s, which is not 1 to %d bytes without comma, colon, blank and "
                         "control characters: rename the file."
                         % (path, text.quoted(video), segment_ids.MAX_VIDEO_BYTES))


def write(path, lists):
    """Writes the features of a video as an .npz, which appears when it is whole.

    Args:
      path: local or gs://.
      lists: {name: float32 [seconds, features]}; floats beyond -FAR..FAR are clipped, as `read` refuses them.

    Raises:
      InputError: it cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, **{name: values.clip(-FAR, FAR) for name, values in lists.items()})
    with atomic.replacing(path, "wb") as stream:
        stream.write(content.getvalue())


def read(path, features):
    """The Features in a file.

    Args:
      path: local or gs://.
      features: list of (name, size) of the features to use.

    Raises:
      InputError: the file does not read, lacks a feature, or a feature is no [seconds, size] of bytes or of floats
        around -2..2.
    """
    with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError("%s is larger than %d MB, which features of a video are not: cut the video." % (
            path, MAX_BYTES >> 20))
    arrays = (_of_npz if content.startswith(_NPZ) else _of_sequence_example)(path, content, features)
    lists, outside, floats = {}, 0, 0
    for (name, size), values in zip(features, arrays):
        if values.ndim != 2 or values.shape[1] != size or not len(values):
            raise InputError("%s: %s has the shape %s and not [seconds, %d]: check --feature_sizes."
                             % (path, name, list(values.shape), size))
        if values.dtype != np.uint8:
            _check_floats(path, name, values)
            floats, outside = floats + values.size, outside + np.count_nonzero(np.abs(values) > RANGE)
            values = writing.quantize(values.astype(np.promote_types(values.dtype, np.float32)))
        lists[name] = values
    lengths = [len(values) for values in lists.values()]
    if max(lengths) - min(lengths) > 1:
        raise InputError("%s has %s: extract its features again." % (
            path, " and ".join("%d seconds of %s" % (len(values), name) for name, values in lists.items())))
    return Features({name: values[:min(lengths)] for name, values in lists.items()}, outside / max(floats, 1))


def _of_npz(path, content, features):
    """List of the arrays in an .npz."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = {os.path.splitext(one.filename)[0]: one for one in archive.infolist()}
            wanted = [found.get(name) for name, _ in features]
            if sum(one.file_size for one in wanted if one) > MAX_BYTES:
                raise InputError("%s unpacks to more than %d MB: cut the video." % (path, MAX_BYTES >> 20))
            arrays = [np.load(io.BytesIO(archive.read(one))) if one else None for one in wanted]
    except InputError:
        raise
    except Exception as error:  # pylint: disable=broad-except
        raise InputError("%s is no readable .npz of arrays (%s): write it again with np.savez."
                         % (path, text.shown(str(error))))
    _check_there(path, features, arrays, sorted(found), lambda name: name)
    return arrays


def _of_sequence_example(path, content, features):
    """List of the float lists in a SequenceExample, as arrays."""
    try:
        lists = tf.train.SequenceExample.FromString(content).feature_lists.feature_list
    except DecodeError:
        lists = {}
    if not lists:
        raise InputError("%s is neither an .npz nor one of MediaPipe's SequenceExamples: remove it." % path)
    arrays = []
    for name, size in features:
        frames = [frame.float_list.value for frame in lists[_of_mediapipe(name)].feature] if (
            _of_mediapipe(name) in lists) else None
        for second, frame in enumerate(frames or []):
            if len(frame) != size:
                raise InputError("%s: %s has %d floats at second %d and not %d: check --feature_sizes."
                                 % (path, _of_mediapipe(name), len(frame), second, size))
        arrays.append(None if frames is None else np.array(frames, np.float32).reshape(-1, size))
    _check_there(path, features, arrays, sorted(lists), _of_mediapipe)
    return arrays


def _of_mediapipe(name):
    return name.upper() + "/feature/floats"


def _check_there(path, features, arrays, there, called):
    for (name, _), values in zip(features, arrays):
        if values is None:
            raise InputError("%s holds %s and no %s: extract it, or leave %s out of --feature_names." % (
                path, ", ".join(map(text.shown, there)) or "nothing", called(name), name))


def _check_floats(path, name, values):
    if values.dtype.kind != "f":
        raise InputError("%s: %s is of the type %s: give floats from -2 to 2, or uint8." % (path, name, values.dtype))
    wrong = np.argwhere(~(np.abs(values) <= FAR))  # of NaN, too
    if len(wrong):
        second, column = wrong[0]
        raise InputError("%s: %s is %g at second %d, column %d, far outside the data set's -2..2: give features after "
                         "PCA and whitening, or bytes as uint8." % (path, name, values[second, column], second, column))


def parts(video, path, length, cut):
    """The records of a video, each of at most MAX_FRAMES seconds.

    Args:
      video: its id.
      path: of its features, for errors.
      length: in seconds.
      cut: whether a longer video is cut, or refused.

    Returns:
      List of (id, first second, seconds): the video itself, or `id`, `id~300`, ..

    Raises:
      InputError: the video is too long and must not be cut, or an id becomes too long.
    """
    if length > forms.MAX_FRAMES and not cut:
        raise InputError("%s has %d seconds, and records hold up to %d: cut the video, or pass --long_videos=cut."
                         % (path, length, forms.MAX_FRAMES))
    result = [(video + b"~%d" % start if start else video, start, min(forms.MAX_FRAMES, length - start))
              for start in range(0, length, forms.MAX_FRAMES)]
    check_id(result[-1][0], path)  # the longest
    return result
