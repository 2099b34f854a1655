"""Lines of text files, local or gs://."""
import tensorflow as tf

from src.common import files

BLOCK_BYTES = 1 << 20


def lines(path):
    """Yields (number from 1, line as bytes without its end), blank lines left out.

    Raises:
      InputError: the file cannot be read.
    """
    with files.reading(path), tf.io.gfile.GFile(path, "rb") as stream:
        for number, line in enumerate(_lines(stream), 1):
            line = line.rstrip(b"\r")
            if line:
                yield number, line


def _lines(stream):
    # GFile's own readline takes an error of the file system for the end of the file.
    pieces, block = [], stream.read(BLOCK_BYTES)
    while block:
        end, *others = block.split(b"\n")
        pieces.append(end)
        for line in others:
            yield b"".join(pieces)
            pieces = [line]
        block = stream.read(BLOCK_BYTES)
    yield b"".join(pieces)


def quoted(line):
    """The beginning of a bytes line, for an error."""
    shown = "".join(character if character.isprintable() else "\\x%02x" % ord(character)
                    for character in line[:60].decode("utf-8", "replace"))
    return '"%s%s"' % (shown, "..." if len(line) > 60 else "")
