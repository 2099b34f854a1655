"""Models by name, and their hyperparameters as flags."""
from absl import flags

from src.common import text
from src.common.errors import InputError
from src.models import bert
from src.models import classifiers
from src.models import context
from src.models import frame_level
from src.models import netvlad
from src.models import nextvlad
from src.models.hparams import MOST

_MODELS = {
    "Bert": bert.Bert,
    "BertCross": bert.BertCross,
    "ContextSegment": context.ContextSegment,
    "FrameLevelLogisticModel": frame_level.FrameLevelLogisticModel,
    "GatedNetVLAD": netvlad.GatedNetVLAD,
    "LogisticModel": classifiers.LogisticModel,
    "MixNeXtVLAD": nextvlad.MixNeXtVLAD,
    "MoeModel": classifiers.MoeModel,
    "NeXtVLAD": nextvlad.NeXtVLAD,
}
# The original code's names.
_ALIASES = {"MixNeXtVladModel": "MixNeXtVLAD", "NeXtVLADModel": "NeXtVLAD", "NetVLADModelLF": "GatedNetVLAD"}

_DEFINERS = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}


def names():
    """Sorted names of the known models, aliases included."""
    return sorted(list(_MODELS) + list(_ALIASES))


def canonical(name):
    """The model name that an alias stands for; any other name unchanged."""
    return _ALIASES.get(name, name)


def is_frame_level(name):
    """Whether the model of one of `names()` takes frames, else whole videos."""
    return _MODELS[canonical(name)].frame_level


def _declared():
    """{name: Hparam} of all models."""
    return {hparam.name: hparam for model in _MODELS.values() for hparam in model.hparams_declared}


def define_flags():
    """Defines the flag `model` and one flag per hyperparameter of any model.

    A flag accepts any value of its type. `create` checks the bounds, because model_flags.json gives values, too.
    """
    flags.DEFINE_string("model", "LogisticModel", "Which model: %s." % ", ".join(names()))
    for name, hparam in sorted(_declared().items()):
        bounded = hparam.choices or hparam.low > -MOST
        _DEFINERS[type(hparam.default)](name, hparam.default,
                                        hparam.help + (" Give %s." % hparam.allowed() if bounded else ""))


def hparam_names():
    """Set of the names of all models' hyperparameters."""
    return set(_declared())


def hparams_from_flags(parsed):
    """{name: value} of every hyperparameter flag."""
    return {name: parsed[name].value for name in _declared()}


def create(name, features=None, **hparams):
    """Creates a model.

    Args:
      name: one of `names()`.
      features: list of (name, columns) in the order of the model's input, which may be any; None: rgb, then audio.
      **hparams: hyperparameters. Those left out take the flags' defaults. Those that only other models have are
        ignored, because one set of flags serves all models.

    Returns:
      A model with `create_model`, `frame_level` (a bool) and `hparams` (the values of its own hyperparameters).

    Raises:
      InputError: the name or a hyperparameter is unknown, or a value is not allowed: by its bounds, by another
        hyperparameter or by the features.
    """
    if name not in names():
        raise InputError("--model=%s is unknown: choose one of %s." % (text.shown(name), ", ".join(names())))
    model = _MODELS[canonical(name)]
    unknown = sorted(set(hparams) - set(_declared()))
    if unknown:
        raise InputError("No model has a hyperparameter %s: choose from %s."
                         % (", ".join(unknown), ", ".join(sorted(_declared()))))
    own = {}
    for hparam in model.hparams_declared:
        own[hparam.name] = hparams.get(hparam.name, hparam.default)
        hparam.check(own[hparam.name])
    return model(own, features)
