"""Lines of text files, local or gs://.

A byte order mark before the first, CRLF at their ends and a missing end of the last one mean nothing.
"""
import codecs
import reprlib

import tensorflow as tf

from src.common import files
from src.common.errors import InputError

BLOCK_BYTES = 1 << 20
LINE_BYTES = 1 << 16  # of a line, at most, where not said otherwise; real ones have some hundred
SHOWN_CHARACTERS = 60  # of a line or value, in an error


def lines(path, header=None, line_bytes=LINE_BYTES):
    """Yields (number from 1, line as bytes without its end), blank lines left out.

    Args:
      path: local or gs://.
      header: bytes, the first line that the file may have and that is left out, too.
      line_bytes: of a line, at most.

    Raises:
      InputError: the file cannot be read, or a line is longer.
    """
    with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
        for number, _, _, line in located(stream, path, header, line_bytes, line_bytes):
            yield number, line


def located(stream, path, header, line_bytes, kept):
    """As `lines`, of an open file: yields (number, place of its first byte, length, at most its first `kept` bytes)."""
    position, first = 0, True
    for number, (length, line) in enumerate(_found(stream, line_bytes, kept), 1):
        if length > line_bytes:
            raise InputError("%s, line %d is longer than %s bytes, as no line of such a file is: write the file again."
                             % (path, number, "{:,}".format(line_bytes)))
        mark = len(codecs.BOM_UTF8) if number == 1 and line.startswith(codecs.BOM_UTF8) else 0
        line = line[mark:].rstrip(b"\r")
        if line and not (first and line.strip() == header):
            yield number, position + mark, length - mark, line
        position, first = position + length + 1, first and not line


def _found(stream, line_bytes, kept):
    """Yields (length, at most its first `kept` bytes) of lines without line feeds; one above line_bytes is the last."""
    # GFile's own readline takes an error of the file system for the end of the file.
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
    """The int of one to nine ASCII digits as bytes, blanks around them allowed; None of anything else."""
    digits = digits.strip()
    return int(digits) if digits.isdigit() and len(digits) <= 9 else None


def shown(value):
    """A value that a file or a flag holds, for an error: the beginning of a string, of others as Python has them."""
    whole = value if isinstance(value, str) else reprlib.repr(value)
    beginning = "".join(character if character.isprintable() else "\\x%02x" % ord(character)
                        for character in whole[:SHOWN_CHARACTERS])
    return beginning + "..." * (len(whole) > SHOWN_CHARACTERS)


def quoted(line):
    """The beginning of a bytes line, for an error."""
    return '"%s"' % shown(line[:4 * SHOWN_CHARACTERS + 4].decode("utf-8", "replace"))
