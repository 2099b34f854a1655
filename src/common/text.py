"""Lines of text files, local or gs://."""
import tensorflow as tf

from src.common.errors import InputError

BLOCK_BYTES = 1 << 20


def lines(path):
    """Yields (number from 1, line as bytes without its end), blank lines left out.

    Raises:
      InputError: the file cannot be read.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as stream:
            for number, line in enumerate(_lines(stream), 1):
                line = line.rstrip(b"\r")
                if line:
                    yield number, line
    except tf.errors.NotFoundError:
        raise InputError("%s does not exist: check the path." % path)
    except tf.errors.OpError as error:
        raise InputError("%s cannot be read: %s." % (path, error.message))


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
