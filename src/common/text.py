"""Lines of text files, local or gs://.

A byte order mark, CRLF line ends and a missing end of the last line make no difference.
"""
import codecs
import reprlib

import tensorflow as tf

from src.common import files
from src.common.errors import InputError

BLOCK_BYTES = 1 << 20
LINE_BYTES = 1 << 16  # longest line by default; real lines have some hundred bytes
SHOWN_CHARACTERS = 60  # of a line or value in an error


def lines(path, header=None, line_bytes=LINE_BYTES):
    """Yields (number from 1, line as bytes without its end); skips blank lines.

    Args:
      path: local or gs://.
      header: bytes of a first line to skip, if the file has it.
      line_bytes: longest line allowed.

    Raises:
      InputError: the file cannot be read, or a line is too long.
    """
    with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
        for number, _, _, line in located(stream, path, header, line_bytes, line_bytes):
            yield number, line


def located(stream, path, header, line_bytes, kept):
    """As `lines`, for an open file: yields (number, offset in the file, length, at most the first `kept` bytes)."""
    offset, first = 0, True
    for number, (length, line) in enumerate(_found(stream, line_bytes, kept), 1):
        if length > line_bytes:
            raise InputError("%s, line %d is longer than %s bytes, which no such line is: write the file again."
                             % (path, number, "{:,}".format(line_bytes)))
        mark = len(codecs.BOM_UTF8) if number == 1 and line.startswith(codecs.BOM_UTF8) else 0
        line = line[mark:].rstrip(b"\r")
        if line and not (first and line.strip() == header):
            yield number, offset + mark, length - mark, line
        offset, first = offset + length + 1, first and not line


def _found(stream, line_bytes, kept):
    """Yields (length, at most the first `kept` bytes) of each line; stops after a line longer than line_bytes."""
    # GFile's own readline mistakes an error of the file system for the end of the file.
    length, line = 0, b""
    for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
        start, end = 0, block.find(b"\n")
        while end >= 0:
            yield length + end - start, line + block[start:min(end, start + kept - len(line))]
            length, line, start = 0, b"", end + 1
            end = block.find(b"\n", start)
        length, line = length + len(block) - start, line + block[start:start + kept - len(line)]
        if length > line_bytes:
            break
    yield length, line


def whole_number(digits):
    """The int of one to nine ASCII digits, given as bytes, with blanks around them or not; None for anything else."""
    digits = digits.strip()
    return int(digits) if digits.isdigit() and len(digits) <= 9 else None


def shown(value):
    """The beginning of a value, for an error: a string as it is, other values as Python prints them."""
    whole = value if isinstance(value, str) else reprlib.repr(value)
    beginning = "".join(character if character.isprintable() else "\\x%02x" % ord(character)
                        for character in whole[:SHOWN_CHARACTERS])
    return beginning + "..." * (len(whole) > SHOWN_CHARACTERS)


def quoted(line):
    """The beginning of a bytes line, for an error."""
    return '"%s"' % shown(line[:4 * SHOWN_CHARACTERS + 4].decode("utf-8", "replace"))
