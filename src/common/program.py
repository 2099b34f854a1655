"""The edge of every command-line program: flags, logging, errors as one sentence."""
import logging
import os
import re
import sys

from absl import app
from absl import flags

from src.common import sentences
from src.common import startup
from src.common import storage
from src.common.errors import InputError

_MOST_CHARACTERS = 1000  # of a sentence
_NO_PATHS = {"scheduler"}  # flags with other addresses


def _printed(message):
    """A sentence as one line of limited length, even if it quotes a file."""
    line = re.sub(r"\s*[\n\r\t]\s*", " ", message)
    return line if len(line) <= _MOST_CHARACTERS else "%s ... %s" % (
        line[:_MOST_CHARACTERS // 2], line[-_MOST_CHARACTERS // 2:])


def check_paths(parsed):
    """Checks the paths among the flags' values.

    Raises:
      InputError: a path leads to no usable storage, or is not UTF-8, which TensorFlow needs.
    """
    for name in sorted(set(parsed) - _NO_PATHS):
        values = parsed[name].value
        for value in ",".join(values if isinstance(values, list) else [values] * isinstance(values, str)).split(","):
            if any("\ud800" <= character <= "\udfff" for character in value):  # stand for such bytes
                raise InputError("--%s=%s holds bytes that are not UTF-8: rename the file." % (name, ascii(value)))
            storage.check(value.strip(), "--%s=%s" % (name, value))


def _unexpected(argument):
    """The sentence about an argument without a flag."""
    before = sys.argv[sys.argv.index(argument) - 1].lstrip("-")
    if before in flags.FLAGS and flags.FLAGS[before].boolean:
        return "--%s takes no separate value such as %r: write --%s, --no%s, or --%s=%s." % (
            before, argument, before, before, before, argument)
    return "unexpected argument %r: every option starts with --, and a glob needs quotes." % argument


def _set_up_logging():
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("yt8m")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _parse(argv):
    """Parses the flags; `argv`, with those in the files of --flagfile, becomes UTF-8, whatever the locale is."""
    try:
        argv[1:] = map(storage.as_path, flags.FLAGS.read_flags_from_files(argv[1:], force_gnu=False))
    except (flags.Error, UnicodeError) as error:
        sys.exit("error: --flagfile cannot be read (%s): check its path, and that its text has your locale's encoding."
                 % error)
    return app.parse_flags_with_usage(argv)


def abort(code, message):
    """Ends the process at once, whatever its other threads do."""
    print(message, file=sys.stderr)
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)


def run(define_flags, main):
    """Runs a program and exits: 0, or 1 after one sentence on bad input.

    Args:
      define_flags: declares the program's flags; called once, before parsing.
      main: does the work; takes the parsed flags, may return an exit code.
    """
    define_flags()
    for name in list(flags.FLAGS):
        if flags.FLAGS.find_module_defining_flag(name, "").startswith("src."):
            # --help shows only the main module's key flags: the project's flags all become key flags.
            flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])

    def guarded_main(argv):
        if len(argv) > 1:
            print("error: " + _printed(_unexpected(argv[1])), file=sys.stderr)
            return 1
        _set_up_logging()
        try:
            check_paths(flags.FLAGS)
            return main(flags.FLAGS)
        except Exception as error:  # pylint: disable=broad-except
            message = sentences.of(error)
            if message is None:
                raise
            print("error: " + _printed(message), file=sys.stderr)
            return 1

    try:
        app.run(guarded_main, flags_parser=_parse)
    except SystemExit as end:
        failure = startup.output_failure()
        if failure:
            print("error: " + failure, file=sys.stderr)
        sys.exit(end.code or failure and 1)
