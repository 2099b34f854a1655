"""Lines of text files, local or gs://.

A byte order mark, CRLF or CR line ends and a missing end of the last line make no difference.
"""
import codecs
import reprlib

import tensorflow as tf

from src.common import files
from src.common.errors import InputError

BLOCK_BYTES = 1 << 20
LINE_BYTES = 1 << 16  # longest line by default; real lines have some hundred bytes
LISTED = 10  # names in a sentence
SHOWN_CHARACTERS = 60  # of a line or value in an error
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}


def lines(path, header=None, line_bytes=LINE_BYTES):
    """Yields (number from 1, line as bytes without its end); skips blank lines.

    Args:
      path: local or gs://.
      header: bytes of a first line to skip, if the file has it, in capitals or not, with blanks and quotes or not.
      line_bytes: longest line allowed.

    Raises:
      InputError: the file cannot be read or is compressed, or a line is too long.
    """
    with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
        for number, _, _, line in located(stream, path, header, line_bytes, line_bytes):
            yield number, line


def located(stream, path, header, line_bytes, kept):
    """As `lines`, for an open file: yields (number, offset in the file, length, at most the first `kept` bytes)."""
    offset, first = 0, True
    for number, (length, line) in enumerate(_found(stream, line_bytes, kept), 1):
        if number == 1 and compression(line):
            raise InputError("%s is compressed with %s and no text: unpack it." % (path, compression(line)))
        if length > line_bytes:
            raise InputError("%s, line %d is longer than %s bytes, which no such line is: write the file again."
                             % (path, number, "{:,}".format(line_bytes)))
        mark = len(codecs.BOM_UTF8) if number == 1 and line.startswith(codecs.BOM_UTF8) else 0
        line = line[mark:].rstrip(b"\r")
        if line and not (first and _is_header(line, header)):
            yield number, offset + mark, length - mark, line
        offset, first = offset + length + 1, first and not line


def compression(beginning):
    """The program that compressed a file that begins with these bytes; None if it is not known to be compressed."""
    return next((name for magic, name in _COMPRESSIONS.items() if beginning.startswith(magic)), None)


def _is_header(line, header):
    return header is not None and b"".join(line.lower().replace(b'"', b"").split()) == header.lower()


def _found(stream, line_bytes, kept):
    """Yields (length, at most the first `kept` bytes) of each line; stops after a line longer than line_bytes."""
    # GFile's own readline mistakes an error of the file system for the end of the file.
    length, line, line_end = 0, b"", None
    for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
        line_end = line_end or (b"\r" if b"\r" in block[:-1] and b"\n" not in block else b"\n")
        start, end = 0, block.find(line_end)
        while end >= 0:
            yield length + end - start, line + block[start:min(end, start + kept - len(line))]
            length, line, start = 0, b"", end + 1
            end = block.find(line_end, start)
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


def listed(names):
    """Strings joined for a sentence; of more than LISTED, the first ones."""
    return ", ".join(names[:LISTED]) + ", .." * (len(names) > LISTED)


def quoted(line):
    """The beginning of a bytes line, for an error."""
    return '"%s"' % shown(line[:4 * SHOWN_CHARACTERS + 4].decode("utf-8", "replace"))
