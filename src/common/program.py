"""The edge of every command-line program: flags, logging, errors as one sentence."""
import logging
import os
import re
import sys

from absl import app
from absl import flags
import tensorflow as tf

from src.common.errors import InputError

# Sentences raised inside a TensorFlow graph stand between these marks in the op's message.
SENTENCE = re.compile(r"<<(.*?)>>", re.DOTALL)


def sentence(error):
    """The user's sentence for an exception, or None when it is not about the user's input."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, tf.errors.OpError):
        marked = SENTENCE.search(error.message)
        if marked:
            return marked.group(1)
        first_line = error.message.split("\n")[0]
        if "No space left on device" in first_line:
            return "%s: make room on the disk." % first_line
        if isinstance(error, tf.errors.ResourceExhaustedError):
            return "Out of memory: lower --batch_size (%s)." % first_line
        if isinstance(error, (tf.errors.NotFoundError, tf.errors.PermissionDeniedError,
                              tf.errors.UnauthenticatedError)) or "Is a directory" in first_line:
            return "%s: check the path and your permissions." % first_line
    return None


def _set_up_logging():
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("yt8m")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def abort(code, message):
    """Ends the process at once, whatever its other threads are doing."""
    print(message, file=sys.stderr)
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)


def run(define_flags, main):
    """Runs a program and exits: 0, or 1 after one sentence on bad input, or 130 on Ctrl-C.

    Args:
      define_flags: declares the program's flags; called once, before parsing.
      main: does the work; takes the parsed flags, may return an exit code.
    """
    define_flags()
    for name in list(flags.FLAGS):
        if flags.FLAGS.find_module_defining_flag(name, "").startswith("src."):
            # --help shows the main module's key flags: ours are, wherever they are declared.
            flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])

    def guarded_main(argv):
        if len(argv) > 1:
            print("error: unexpected argument %r: every option starts with --, and a glob needs quotes."
                  % argv[1], file=sys.stderr)
            return 1
        _set_up_logging()
        try:
            return main(flags.FLAGS)
        except KeyboardInterrupt:
            print("interrupted.", file=sys.stderr)
            return 130
        except Exception as error:  # pylint: disable=broad-except
            message = sentence(error)
            if message is None:
                raise
            print("error: " + message, file=sys.stderr)
            return 1

    app.run(guarded_main)
