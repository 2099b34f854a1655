"""Ranked segments of each class as CSV: header `Class,Segments`, rows `ID,seg seg seg`, best first."""
import numpy as np
import tensorflow as tf

from src.common import atomic
from src.common import files
from src.common import text
from src.common.errors import InputError
from src.data import segment_ids

HEADER = b"Class,Segments"
MAX_SEGMENTS = 500000  # of a class; a submission holds at most 100,000
_LINE_BYTES = MAX_SEGMENTS * (segment_ids.MAX_BYTES + 1)  # at most
_CLASS_BYTES = 64  # beginning of a line, which holds its class
_WIDTHS = np.arange(segment_ids.MAX_BYTES + 1)
# int64 [MAX_BYTES + 1, words]: for an id of each length, a mask of its own bits in its 8-byte words.
_OWN_BITS = np.where(_WIDTHS[:-1] < _WIDTHS[:, np.newaxis], 255, 0).astype(np.uint8).view(np.int64)


def find(comma_list):
    """The paths of the ranked CSVs of --input_files, a comma list of paths and globs; each once.

    Raises:
      InputError: one matches nothing or a folder.
    """
    paths = []
    for pattern in filter(None, files.split(comma_list)):
        paths.extend(path for path in files.find(pattern, "input_files") if path not in paths)
    for path in paths:
        if tf.io.gfile.isdir(path):
            raise InputError("--input_files names the folder %s: give its files, such as %s/*_oof.csv." % (path, path))
    if not paths:
        raise InputError("--input_files is empty: give the CSVs that inference.py wrote.")
    return paths


def write(path, rows):
    """Writes a ranked CSV; replaces the file at `path` only when everything is written.

    Args:
      path: local or gs://.
      rows: iterable of (class, segment ids best first: bytes array, list, or bytes from `joined`), classes ascending.

    Raises:
      ValueError: the classes do not ascend.
      InputError: the file cannot be written.
    """
    previous = -1
    with atomic.replacing(path, "wb") as stream:
        stream.write(HEADER + b"\n")
        for class_id, ids in rows:
            if class_id <= previous:
                raise ValueError("class %d comes after class %d" % (class_id, previous))
            stream.write(b"%d,%b\n" % (class_id, ids if isinstance(ids, bytes) else joined(np.asarray(ids, "S"))))
            previous = class_id


def joined(ids):
    """A bytes array of ids as bytes `seg seg seg`."""
    width = ids.dtype.itemsize
    characters = np.full([len(ids), width + 1], ord(" "), np.uint8)
    characters[:, :width] = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), width)
    return characters[characters != 0].tobytes()[:-1]  # shorter ids end in zeros


def read(path):
    """A ranked CSV as a dict: class -> bytes array of its segment ids, best first.

    Memory: about the file's size; each row's ids are padded to a multiple of 8 bytes.

    Raises:
      InputError: see `iterate`.
    """
    return dict(iterate(path))


def iterate(path):
    """Yields (class, bytes array of its segment ids, best first), row by row, in the file's order.

    The header may be missing, and classes may come in any order. Memory: a few MB, and about twenty
    times the longest row's bytes (16 MB for 100,000 segments).

    Raises:
      InputError: the file is missing, empty or malformed; names the line.
    """
    lines_of = {}
    for number, line in text.lines(path, HEADER, _LINE_BYTES):
        class_id, before = _enter(lines_of, path, number, line)
        where = _where(path, number)
        ids = split(line[before:].strip(), where)
        check_form(ids, where)
        check_distinct(ids, where)
        yield class_id, ids
    _check_any(lines_of, path)


class Rows(object):
    """The rows of a ranked CSV, read by class in any order.

    The constructor reads the file once, to find the offset of each class's row; the header may be missing.
    The first `read` opens the file again, so that processes forked before it do not share a file. Memory: about
    400 bytes per class, and a few MB in the constructor.

    Args:
      path: local or gs://.

    Raises:
      InputError: the file is missing or empty, or a line is malformed or repeats a class; names the
        line. `split` checks the segments.
    """

    def __init__(self, path):
        self._path, self._lines_of, self._spans = path, {}, {}  # spans: class -> offset and length of its segments
        self._stream = tf.io.gfile.GFile(path, "rb")  # opens the file at the first read
        with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
            for number, start, length, line in text.located(stream, path, HEADER, _LINE_BYTES, 2 * _CLASS_BYTES):
                class_id, before = _enter(self._lines_of, path, number, line)
                self._spans[class_id] = start + before, length - before
        _check_any(self._lines_of, path)

    @property
    def classes(self):
        """The classes that have a row."""
        return self._spans.keys()

    def read(self, class_id):
        """The bytes `seg seg seg` of a class, b"" if it has no row; and their path and line, for errors.

        Raises:
          InputError: the file cannot be read.
        """
        if class_id not in self._spans:
            return b"", self._path
        offset, length = self._spans[class_id]
        with files.reading(self._path):
            self._stream.seek(offset)
            return self._stream.read(length).strip(), _where(self._path, self._lines_of[class_id])


def _where(path, number):
    return "%s, line %d" % (path, number)


def _enter(lines_of, path, number, line):
    """Enters a line's class into the dict class -> line number; returns the class and the bytes before its segments."""
    beginning, comma, _ = line[:_CLASS_BYTES].partition(b",")
    if not comma and len(line) < _CLASS_BYTES:
        raise InputError("%s: %s has no comma: give a class, a comma and its segments, separated by blanks."
                         % (_where(path, number), text.quoted(line)))
    class_id = text.whole_number(beginning)
    if class_id is None:
        raise InputError("%s: %s is no class: give a whole number of at most nine digits; only the first line may be "
                         "the header %s." % (_where(path, number), text.quoted(beginning), HEADER.decode()))
    if class_id in lines_of:
        raise InputError("%s: class %d already has line %d: delete one of the two."
                         % (_where(path, number), class_id, lines_of[class_id]))
    lines_of[class_id] = number
    return class_id, len(beginning) + 1


def _check_any(lines_of, path):
    if not lines_of:
        raise InputError("%s holds no ranked class: write it again." % path)


def split(segments, where):
    """Bytes `seg seg seg` -> bytes array [segments] of their ids, padded to a multiple of 8 bytes.

    Memory: about fifteen times the bytes.

    Args:
      segments: bytes without blanks around them.
      where: beginning of the error's sentence.

    Raises:
      InputError: a segment is longer than MAX_BYTES or holds control characters. `check_form` checks for the form
        VIDEO:START, and `check_distinct` for repeated segments.
    """
    if not segments:
        return np.empty(0, "S8")
    # Zeros follow, as the last id's words are read whole; there are many, as NumPy finds the blanks faster if they
    # are fewer than one in ten.
    characters = np.frombuffer(segments + b" " + bytes(segment_ids.MAX_BYTES + len(segments) // 3), np.uint8)
    ends = np.flatnonzero(characters == ord(" "))
    starts = np.concatenate([[0], ends[:-1] + 1])
    widths = ends - starts
    width = widths.max()
    if width > segment_ids.MAX_BYTES or b"\x7f" in segments or np.any(characters[:ends[-1]] < ord(" ")):
        raise _malformed(segments.split(b" "), where)
    words = np.empty([len(ends), -(-width // 8)], np.int64)
    for word, own_bits in enumerate(_OWN_BITS.T[:words.shape[1]]):
        # The eight bytes from each offset on, as integers.
        eights = np.ndarray(len(segments), np.int64, characters, 8 * word, strides=(1,))
        words[:, word] = eights[starts] & own_bits[widths]
    return words.view("S%d" % (8 * words.shape[1])).reshape(-1)


def check_form(ids, where):
    """Checks that the ids of `split` have the form VIDEO:START.

    Args:
      ids: bytes array [n].
      where: beginning of the error's sentence.

    Raises:
      InputError: one does not.
    """
    if not well_formed(ids):
        raise _malformed(ids.tolist(), where)


def _malformed(ids, where):
    """The error that names the first malformed id."""
    bad = next(one for one in ids if not segment_ids.FORM.fullmatch(one) or len(one) > segment_ids.MAX_BYTES)
    return InputError("%s: segment %s is not of the form VIDEO:START with START in whole seconds, a multiple of 5, "
                      "such as abcd:35: correct it or write the file again." % (where, text.quoted(bad)))


def well_formed(ids):
    """Whether the ids of `split` have the form VIDEO:START.

    With a blank after each id, this holds if there is no comma, if there are as many colons as ids, none of them
    beside a blank, if only digits follow each colon up to the blank, and if the last of them is 0 or 5. Works on
    arrays, as a file may hold 100 million ids.
    """
    if not len(ids):
        return True
    characters = np.frombuffer(joined(ids) + b" ", np.uint8)
    blanks, colons = characters == ord(" "), characters == ord(":")
    digits = characters - np.uint8(ord("0")) < 10  # characters below "0" wrap around
    if (np.any(characters == ord(",")) or np.count_nonzero(colons) != len(ids) or colons[0]
            or np.any(blanks[:-1] & colons[1:]) or np.any(colons[:-1] & blanks[1:])):
        return False
    last = characters[:-1][blanks[1:]]
    if np.any((last != ord("0")) & (last != ord("5"))):
        return False
    left, reach = len(ids), 0
    while left:  # number of colons with only digits in the `reach` bytes after them
        reach += 1
        ended = np.count_nonzero(colons[:-reach] & blanks[reach:])
        colons[:-reach] &= digits[reach:]
        before, left = left, np.count_nonzero(colons)
        if left + ended < before:
            return False
    return True


def check_distinct(ids, where):
    """Checks that no id occurs twice.

    Args:
      ids: bytes array [n].
      where: beginning of the error's sentence.

    Raises:
      InputError: one does.
    """
    repeated = segment_ids.first_repeat(ids)
    if repeated is not None:
        raise InputError("%s: segment %s occurs twice: delete one of the two."
                         % (where, text.quoted(repeated)))
