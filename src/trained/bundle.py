"""The model that predicts: in a trained folder, or in one file, a tgz of model_flags.json and inference_model.*."""
import contextlib
import gzip
import logging
import os
import posixpath
import re
import shutil
import tarfile
import zlib

import tensorflow as tf

from src.common import atomic
from src.common import files
from src.common import text
from src.common.errors import InputError
from src.trained import checkpoints
from src.trained import model_flags

log = logging.getLogger("yt8m")

_PART = re.compile(r"model_flags\.json|inference_model\.(index|meta|data-[0-9]{5}-of-[0-9]{5})")
# Bounds far above real models: weights compress by a tenth, zeros by a factor of a thousand.
_MOST_RATIO, _SPARE_BYTES = 20, 256 << 20  # a model may have this many times its tgz's size, plus this
_MOST_BYTES, _MOST_MEMBERS = 16 << 30, 10000  # of all members together
_MOST_AT_ONCE = 1 << 20  # bytes per read


def find(train_dir, tgz, untar_dir):
    """Finds the model that flags of inference.py name.

    Args:
      train_dir: a trained model's folder, or "".
      tgz: a bundle, or "".
      untar_dir: folder to extract the bundle to.

    Returns:
      The folder of model_flags.json, and the checkpoint of the inference model.

    Raises:
      InputError: neither or both are given, or there is no inference model.
    """
    if bool(train_dir) == bool(tgz):
        raise InputError("Give either --train_dir or --input_model_tgz, to say which model predicts.")
    if tgz:
        extract(tgz, untar_dir)
        return untar_dir, os.path.join(untar_dir, "inference_model")
    checkpoint = checkpoints.inference_model_path(train_dir)
    if not files.exists(checkpoint + ".index"):
        raise InputError("%s does not exist: run eval.py on --train_dir=%s first; it writes the evaluated "
                         "checkpoint there." % (checkpoint, train_dir))
    return train_dir, checkpoint


def extract(tgz, folder):
    """Extracts model_flags.json and inference_model.* from a tgz into `folder`, and nothing else.

    Raises:
      InputError: the archive is unreadable or lacks a part, a member would be written elsewhere, or the unpacked size
        is too large for a model.
    """
    with _members(tgz) as members:
        found = _checked(tgz, members)
    if not {"model_flags.json", "inference_model.index"} <= found:
        raise InputError("%s lacks model_flags.json or inference_model.*: make it with --output_model_tgz." % tgz)
    with _members(tgz) as members:
        for member, content in members:
            if _name(member) in found:
                with atomic.replacing(os.path.join(folder, _name(member)), "wb") as target:
                    shutil.copyfileobj(content(member), target)


class _Unzipped(gzip.GzipFile):
    """A gzip file that refuses large reads, because tarfile holds whole headers in memory."""

    def read(self, size=-1):
        if not 0 <= size <= _MOST_AT_ONCE:
            raise tarfile.ReadError("it has a header of %d bytes" % size)
        return super(_Unzipped, self).read(size)


@contextlib.contextmanager
def _members(tgz):
    """Context of an iterable of (tarfile.TarInfo, function from it to a binary stream) of all members but folders."""
    try:
        with files.reading(tgz), tf.io.gfile.GFile(tgz, "rb") as stream, \
                tarfile.open(fileobj=_Unzipped(fileobj=stream), mode="r:") as archive:
            yield ((member, archive.extractfile) for member in archive if not member.isdir())
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise InputError("--input_model_tgz=%s is not a readable tgz (%s): make it with --output_model_tgz."
                         % (tgz, error))


def _name(member):
    return posixpath.normpath(member.name)


def _checked(tgz, members):
    """Checks all members of a tgz, see `extract`; returns the names of the model's parts among them."""
    found, wanted_bytes, all_bytes = set(), 0, 0
    most_bytes = _SPARE_BYTES + _MOST_RATIO * tf.io.gfile.stat(tgz).length
    for number, (member, _) in enumerate(members, 1):
        name = _name(member)
        if "/" in name or name.startswith("..") or not member.isfile() or member.issparse() or member.size < 0:
            raise InputError("%s holds %s, which would not become a plain file in its own folder: do not use this "
                             "archive." % (tgz, text.shown(member.name)))
        all_bytes += member.size
        if _PART.fullmatch(name):
            found.add(name)
            wanted_bytes += member.size
        if wanted_bytes > most_bytes or all_bytes > _MOST_BYTES or number > _MOST_MEMBERS:
            raise InputError("%s unpacks to more than %d files or %.1f GB, as no model does: do not use this archive."
                             % (tgz, _MOST_MEMBERS, min(most_bytes, _MOST_BYTES) / 1e9))
    return found


def write(train_dir, checkpoint, tgz):
    """Writes model_flags.json and inference_model.* to a tgz; the model may be replaced meanwhile."""
    checkpoints.read_whole(lambda: _write(train_dir, checkpoint, tgz))
    log.info("model bundled: %s", tgz)


def _write(train_dir, checkpoint, tgz):
    with atomic.replacing(tgz, "wb") as stream, checkpoints.unreplaced(checkpoint), \
            tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path in [model_flags.path(train_dir)] + files.glob(checkpoint + ".*"):
            info = tarfile.TarInfo(os.path.basename(path))
            info.size = tf.io.gfile.stat(path).length
            with tf.io.gfile.GFile(path, "rb") as member:
                archive.addfile(info, member)
