"""Hyperparameters: each is declared once, beside the model code it configures."""
import collections

from src.common.errors import InputError

Hparam = collections.namedtuple("Hparam", "name default help")


def check_at_least(hparams, lowest, *names):
    """Checks that numbers of a dict of hyperparameters are at least `lowest`.

    Raises:
      InputError: one is less; names the flag.
    """
    for name in names:
        if hparams[name] < lowest:
            raise InputError("--%s=%d is too small: give at least %d." % (name, hparams[name], lowest))


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
