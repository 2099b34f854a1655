"""Hyperparameters: each is declared once, beside the model code it configures."""
import collections

Hparam = collections.namedtuple("Hparam", "name default help")


def defaults(hparams):
    """{name: default value} of a list of Hparam."""
    return {hparam.name: hparam.default for hparam in hparams}
