"""Hyperparameters: each is declared once, beside the model code it configures."""
import collections
import re

from src.common import text
from src.common.errors import InputError

Hparam = collections.namedtuple("Hparam", "name default help")


MOST = 65536  # of any number; a model of so many of anything is none that could be trained
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # in no name of a file


def check(name, value, default):
    """Checks that a hyperparameter has its default's type and is of a sane size.

    Raises:
      InputError: it is not; names the flag.
    """
    kind = type(default)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, (float, int) if kind is float else kind):
        raise InputError("--%s=%s is not of the type %s, as %s is."
                         % (name, text.shown(value), kind.__name__, default or repr(default)))
    if kind in (int, float) and not abs(value) <= MOST:
        raise InputError("--%s=%s is out of all proportion: give a number of at most %d."
                         % (name, text.shown(value), MOST))
    if kind is str and (len(value) > MOST or _UNWRITABLE.search(value)):
        raise InputError("--%s=%s is no text such as %s." % (name, text.shown(value), default))


def check_at_least(hparams, lowest, *names):
    """Checks that numbers of a dict of hyperparameters are at least `lowest`.

    Raises:
      InputError: one is less; names the flag.
    """
    for name in names:
        if hparams[name] < lowest:
            raise InputError("--%s=%d is too small: give at least %d." % (name, hparams[name], lowest))


def check_at_most(hparams, highest, name):
    """Checks that a number of a dict of hyperparameters is at most `highest`.

    Raises:
      InputError: it is more; names the flag.
    """
    if hparams[name] > highest:
        raise InputError("--%s=%d is too large: give at most %d." % (name, hparams[name], highest))


def check_share(hparams, name):
    """Checks that a dropout rate is at least 0 and below 1.

    Raises:
      InputError: it is not.
    """
    if not 0 <= hparams[name] < 1:
        raise InputError("--%s=%s is no share to drop: give a number from 0 to below 1." % (name, hparams[name]))


def defaults(hparams):
    """{name: default value} of a list of Hparam."""
    return {hparam.name: hparam.default for hparam in hparams}
