"""Ranked segments of each class as CSV: header `Class,Segments`, rows `ID,seg seg seg`, best first."""
import numpy as np

from src.common import files
from src.common import text
from src.common.errors import InputError
from src.submission import segment_ids

HEADER = b"Class,Segments"


def write(path, rows):
    """Writes a ranked CSV; what stood at `path` is replaced only once all is written.

    Args:
      path: local or gs://.
      rows: iterable of (class, segment ids best first: bytes array or list), classes ascending.

    Raises:
      ValueError: the classes do not ascend.
      InputError: the file cannot be written.
    """
    previous = -1
    with files.replacing(path, "wb") as stream:
        stream.write(HEADER + b"\n")
        for class_id, ids in rows:
            if class_id <= previous:
                raise ValueError("class %d comes after class %d" % (class_id, previous))
            stream.write(b"%d,%b\n" % (class_id, b" ".join(np.asarray(ids).tolist())))
            previous = class_id


def read(path):
    """A ranked CSV as a dict: class -> bytes array of its segment ids, best first.

    The arrays take about the file's size, each row's ids being padded to its longest.

    Raises:
      InputError: as `iterate`.
    """
    return dict(iterate(path))


def iterate(path):
    """Yields (class, bytes array of its segment ids, best first), row by row, in the file's order.

    The header may be missing, and classes come in any order. Memory: a few MB and about twenty
    times the longest row's bytes (16 MB for 100,000 segments).

    Raises:
      InputError: the file is missing, empty or malformed; names the line.
    """
    lines_of = {}
    for number, line in text.lines(path):
        if number == 1 and line == HEADER:
            continue
        where = "%s, line %d" % (path, number)
        class_id, segments = _split(line, where)
        if class_id in lines_of:
            raise InputError("%s: class %d already has line %d: delete one of the two."
                             % (where, class_id, lines_of[class_id]))
        lines_of[class_id] = number
        yield class_id, _parse(segments, where)
    if not lines_of:
        raise InputError("%s holds no ranked class: write it again." % path)


def _split(line, where):
    """-> class, the bytes of its segments."""
    class_id, comma, segments = line.partition(b",")
    if not comma:
        raise InputError("%s: %s has no comma: give a class, a comma and its segments, separated by blanks."
                         % (where, text.quoted(line)))
    if not class_id.strip().isdigit():
        raise InputError("%s: %s is no class: give a whole number." % (where, text.quoted(class_id)))
    return int(class_id), segments.strip()


def _parse(segments, where):
    """Bytes `seg seg seg` -> checked bytes array."""
    if not segments:
        return np.empty(0, "S1")
    ids = _well_formed(np.frombuffer(segments + b" ", np.uint8))
    if ids is None:
        bad = next(one for one in segments.split(b" ")
                   if not segment_ids.FORM.fullmatch(one) or len(one) > segment_ids.MAX_BYTES)
        raise InputError("%s: segment %s is not of the form VIDEO:START with START in whole seconds, such as "
                         "abcd:35: correct it or write the file again." % (where, text.quoted(bad)))
    repeated = segment_ids.first_repeat(ids)
    if repeated is not None:
        raise InputError("%s: segment %s stands there twice: delete one of the two."
                         % (where, text.quoted(repeated)))
    return ids


def _well_formed(characters):
    """uint8 array of ids, each followed by a blank -> bytes array, or None when an id has not `FORM`.

    The work goes by arrays, as a file holds up to 100 million ids.
    """
    breaks = np.flatnonzero((characters < ord("0")) | (characters > ord("9")))
    blanks = np.flatnonzero(characters[breaks] == ord(" "))
    ends = breaks[blanks]
    starts = np.concatenate([[0], ends[:-1] + 1])
    colons = breaks[blanks - 1]  # of the first id -1, the last blank, where nothing stands before its end
    width = (ends - starts).max()
    if (np.any(characters[colons] != ord(":")) or np.any(colons == starts) or np.any(ends - colons < 2)
            or np.count_nonzero(characters == ord(":")) != len(ends) or np.any(characters == ord(","))
            or width > segment_ids.MAX_BYTES):
        return None
    padded = np.zeros([len(ends), width], np.uint8)
    padded[np.arange(width) < (ends - starts)[:, np.newaxis]] = characters[characters != ord(" ")]
    return padded.reshape(-1).view("S%d" % width)
