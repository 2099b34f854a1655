"""Classes of each video or segment as CSV: `VideoId,LabelConfidencePairs`, best first."""
import contextlib

import numpy as np

from src.common import files

HEADER = b"VideoId,LabelConfidencePairs\n"


class Writer(object):
    """Writes lines `id,label score label score` to a binary stream; see `writing`."""

    def __init__(self, stream):
        self._stream = stream
        stream.write(HEADER)

    def add(self, ids, labels, scores):
        """Writes a line each for n videos or segments.

        Args:
          ids: bytes array [n].
          labels: int [n, k], best first.
          scores: float [n, k], written with six digits.
        """
        pairs = np.stack([labels, scores], axis=2).reshape(len(ids), 2 * labels.shape[1])
        line = b"%b," + b" ".join([b"%i %g"] * labels.shape[1]) + b"\n"
        rows = zip(ids.tolist(), pairs.tolist())
        self._stream.write(b"".join(line % (name, *values) for name, values in rows))


@contextlib.contextmanager
def writing(path):
    """Context of a `Writer`; what stood at `path` is replaced only if the block succeeds.

    Raises:
      InputError: the file cannot be written.
    """
    with files.replacing(path, "wb") as stream:
        yield Writer(stream)
