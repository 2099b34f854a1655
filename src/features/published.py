"""The files of the published networks: where Google's documents say they are, and which of them are in a folder."""
import os
import tarfile
import typing
import zlib

import tensorflow as tf

from src.common import files
from src.common.errors import InputError

MAX_BYTES = 1 << 30  # of a file; the largest, vggish_model.ckpt, has 289 MB
_MATRICES = "http://data.yt8m.org/pca_matrix_data/"
_AUDIOSET = "https://storage.googleapis.com/audioset/"


class Download(typing.NamedTuple):
    """A file to download."""
    address: str
    size: str  # in words
    holds: tuple = ()  # names of the files in it, if it is an archive

    @property
    def name(self):
        """Its name in the folder."""
        return os.path.basename(self.address)


INCEPTION = Download("http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz", "89 MB",
                     ("classify_image_graph_def.pb",))
IMAGE_MEAN = Download(_MATRICES + "inception3_mean_matrix_data.pb", "8 KB")
IMAGE_MATRIX = Download(_MATRICES + "inception3_projection_matrix_data.pb", "8.4 MB")
IMAGE_PCA = Download("http://data.yt8m.org/yt8m_pca.tgz", "15 to 25 MB", ("mean.npy", "eigenvals.npy", "eigenvecs.npy"))
VGGISH = Download(_AUDIOSET + "vggish_model.ckpt", "289 MB")
VGGISH_GRAPH = "vggish_new.pb"  # no download: MediaPipe's generate_vggish_frozen_graph.py writes it
SOUND_MEAN = Download(_MATRICES + "vggish_mean_matrix_data.pb", "1 KB")
SOUND_MATRIX = Download(_MATRICES + "vggish_projection_matrix_data.pb", "66 KB")
SOUND_PCA = Download(_AUDIOSET + "vggish_pca_params.npz", "0.1 MB")


def find(folder, name):
    """Path of a file of that name in a folder or in one of its folders; None if there is none."""
    path = os.path.join(folder, name)
    if files.exists(path):
        return path
    inside = [os.path.join(folder, other, name) for other in sorted(files.names(folder)) if not other.startswith(".")]
    return next((path for path in inside if files.exists(path)), None)


def located(folder, download):
    """The paths of the files of a Download in a folder, unpacked ones before the archive; None if one is missing.

    A path in an archive is a pair of the archive's path and the file's name.
    """
    unpacked = [find(folder, name) for name in download.holds or (download.name,)]
    if all(unpacked):
        return unpacked
    archive = find(folder, download.name)
    return [(archive, name) for name in download.holds] if archive and download.holds else None


def either(folder, first, second):
    """The paths of the first list of Downloads that is complete in a folder; None if neither is."""
    for downloads in first, second:
        paths = [located(folder, each) for each in downloads]
        if all(paths):
            return sum(paths, [])
    return None


def missing(folder):
    """Sentences about the files that are missing in a folder."""
    groups = [([INCEPTION], []), ([IMAGE_MEAN, IMAGE_MATRIX], [IMAGE_PCA]), ([VGGISH], []),
              ([SOUND_MEAN, SOUND_MATRIX], [SOUND_PCA])]
    found = []
    for first, second in groups:
        if first == [VGGISH] and find(folder, VGGISH_GRAPH) or either(folder, first, second or first):
            continue
        for each in first:
            if not located(folder, each):
                found.append("%s is missing: download %s (%s) into %s%s" % (
                    each.holds[0] if each.holds else each.name, each.address, each.size, folder,
                    ", or %s (%s)" % (second[0].address, second[0].size) if second else ""))
    return found


def read(path):
    """The bytes of a path of `located`.

    Raises:
      InputError: it cannot be read, is damaged, or larger than any such file.
    """
    if isinstance(path, tuple):
        return _read_packed(*path)
    with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    return _checked(content, path)


def _read_packed(archive, name):
    try:
        with files.reading(archive), tf.io.gfile.GFile(archive, "rb") as stream, tarfile.open(
                fileobj=stream, mode="r|gz") as packed:
            for member in packed:
                if member.isfile() and os.path.basename(member.name) == name:
                    return _checked(packed.extractfile(member).read(MAX_BYTES + 1), shown((archive, name)))
    except (tarfile.TarError, zlib.error, EOFError, OSError):
        raise InputError("%s is damaged or no tgz: download it again." % archive)
    raise InputError("%s holds no %s: download it again." % (archive, name))


def _checked(content, path):
    if len(content) > MAX_BYTES:
        raise InputError("%s is larger than %d MB, which no such file is: download it again." % (
            path, MAX_BYTES >> 20))
    return content


def shown(path):
    """A path of `located`, for a sentence."""
    return "%s in %s" % path[::-1] if isinstance(path, tuple) else path
