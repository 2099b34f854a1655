"""The model to predict with: of a trained folder, or in one file, a tgz of model_flags.json and inference_model.*."""
import logging
import os
import posixpath
import shutil
import tarfile
import zlib

import tensorflow as tf

from src.common import files
from src.common.errors import InputError
from src.trained import checkpoints
from src.trained import model_flags

log = logging.getLogger("yt8m")


def find(train_dir, tgz, untar_dir):
    """The model that flags of inference.py name -> (folder with model_flags.json, its inference model's checkpoint).

    Args:
      train_dir: a trained model's folder, or "".
      tgz: instead of it, a bundle, which is extracted to `untar_dir`.

    Raises:
      InputError: neither or both are given, or there is no inference model.
    """
    if bool(train_dir) == bool(tgz):
        raise InputError("Give either --train_dir or --input_model_tgz, to say which model predicts.")
    if tgz:
        extract(tgz, untar_dir)
        return untar_dir, os.path.join(untar_dir, "inference_model")
    checkpoint = os.path.join(train_dir, "inference_model", "inference_model")
    if not files.exists(checkpoint + ".index"):
        raise InputError("%s does not exist: run eval.py on --train_dir=%s first, which leaves the evaluated checkpoint "
                         "there." % (checkpoint, train_dir))
    return train_dir, checkpoint


def extract(tgz, folder):
    """Extracts model_flags.json and inference_model.* of a tgz into `folder`, and nothing else.

    Raises:
      InputError: the archive is unreadable, lacks a part, or has a member that would land elsewhere.
    """
    try:
        with tf.io.gfile.GFile(tgz, "rb") as stream, tarfile.open(fileobj=stream, mode="r:gz") as archive:
            members = {posixpath.normpath(member.name): member for member in archive.getmembers() if not member.isdir()}
            for name, member in members.items():
                if "/" in name or name.startswith("..") or not member.isfile():
                    raise InputError("%s holds %s, which would not land in its own folder as a plain file: do not use "
                                     "this archive." % (tgz, member.name))
            wanted = [name for name in members if name == "model_flags.json" or name.startswith("inference_model.")]
            if not {"model_flags.json", "inference_model.index"} <= set(wanted):
                raise InputError("%s lacks model_flags.json or inference_model.*: make it with --output_model_tgz."
                                 % tgz)
            for name in wanted:
                with files.replacing(os.path.join(folder, name), "wb") as target:
                    shutil.copyfileobj(archive.extractfile(members[name]), target)
    except tf.errors.NotFoundError:
        raise InputError("--input_model_tgz=%s does not exist: check the path." % tgz)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise InputError("--input_model_tgz=%s is no readable tgz: %s." % (tgz, error))


def write(train_dir, checkpoint, tgz):
    """Writes model_flags.json and inference_model.*, which may be replaced meanwhile, to a tgz."""
    checkpoints.read_whole(lambda: _write(train_dir, checkpoint, tgz))
    log.info("model bundled: %s", tgz)


def _write(train_dir, checkpoint, tgz):
    with files.replacing(tgz, "wb") as stream, checkpoints.unreplaced(checkpoint), \
            tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path in [model_flags.path(train_dir)] + files.glob(checkpoint + ".*"):
            info = tarfile.TarInfo(os.path.basename(path))
            info.size = tf.io.gfile.stat(path).length
            with tf.io.gfile.GFile(path, "rb") as member:
                archive.addfile(info, member)
