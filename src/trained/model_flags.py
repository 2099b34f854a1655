"""model_flags.json: describes a trained model, so that later programs need no model flags."""
import json
import os

from src import models
from src.common import atomic
from src.common import files
from src.common import text
from src.common.errors import InputError
from src.data import forms
from src.data import readers
from src.trained import checkpoints

_TYPES = {"model": str, "feature_names": str, "feature_sizes": str, "frame_features": bool, "label_loss": str,
          "num_classes": int}
_LATER = {"num_classes": forms.NUM_CLASSES}  # defaults for the original's files and others older than these flags
_MOST_CHARACTERS = 1000  # of a value of one of these flags
_LISTS = {"feature_names", "feature_sizes"}  # blanks in them do not matter
# May differ between machines; checkpoints show whether the file fits.
_PATHS = {name for name in models.hparam_names() if name.endswith("bert_config_file")}

_CHOSEN_ANEW = _PATHS | {"bert_dropout_prob", "drop_rate", "pooling_strategy"}  # may differ from an encoder's own model


def path(train_dir):
    return os.path.join(train_dir, "model_flags.json")


def from_flags(parsed):
    """{name: value} of the flags that describe the model, with no other model's hyperparameters.

    Raises:
      InputError: the flags describe no model.
    """
    values = {name: _plain(name, parsed[name].value) for name in _TYPES}
    values.update(create_model(dict(values, **models.hparams_from_flags(parsed))).hparams)
    return values


def record(train_dir, parsed):
    """Writes model_flags.json; if it exists, checks that it agrees and adds the flags that it lacks.

    A file without a checkpoint is replaced: it is of an attempt that failed early.

    Raises:
      InputError: the folder holds another model. The error names the differing flags.
    """
    values, recorded = from_flags(parsed), {}
    if files.exists(path(train_dir)) and checkpoints.steps(train_dir):
        recorded = read(train_dir)
    _contradiction(path(train_dir), "pass --start_new_model or another --train_dir", values, recorded)
    if set(values) - set(recorded):
        atomic.write_json(path(train_dir), dict(values, **recorded))


def adopt(train_dir, parsed):
    """The recorded flags; those that the file lacks come from the command line.

    Raises:
      InputError: the file is missing, or a flag given on the command line contradicts it.
    """
    recorded = read(train_dir)
    given = {name: parsed[name].value for name in recorded if name in parsed and parsed[name].present}
    _contradiction(path(train_dir), "leave these flags out", given, recorded)
    values = {name: parsed[name].value for name in _TYPES if name in parsed}
    values.update(models.hparams_from_flags(parsed))
    values.update((name, _plain(name, there)) for name, there in recorded.items() if name in values
                  and not (name in _PATHS and parsed[name].present))
    return values


def read(train_dir):
    """Reads the recorded flags; `create_model` checks the hyperparameters.

    Raises:
      InputError: the file is missing or damaged.
    """
    if not files.exists(path(train_dir)):
        raise InputError("%s does not exist: --train_dir must be a folder that train.py has written." % path(train_dir))
    recorded = files.read_json(path(train_dir))
    missing = set(_TYPES) - set(_LATER) - set(recorded if isinstance(recorded, dict) else ())
    if missing:
        raise InputError("%s lacks %s: restore it from the training run."
                         % (path(train_dir), ", ".join(sorted(missing))))
    recorded = dict(_LATER, **recorded)
    for name, kind in sorted(_TYPES.items()):
        if type(recorded[name]) is not kind or len(str(recorded[name])) > _MOST_CHARACTERS:
            raise InputError("%s: %s is %s, not of type %s with at most %d characters: restore it from the training "
                             "run." % (path(train_dir), name, text.shown(recorded[name]), kind.__name__,
                                       _MOST_CHARACTERS))
    if not 1 <= recorded["num_classes"] <= forms.MAX_CLASSES:
        raise InputError("%s: num_classes is %s and not 1 to %d: restore it from the training run."
                         % (path(train_dir), text.shown(recorded["num_classes"]), forms.MAX_CLASSES))
    if recorded["model"] in models.names() and models.is_frame_level(recorded["model"]) != recorded["frame_features"]:
        raise InputError("%s: frame_features is %s, which does not fit the model %s: restore it from the training run."
                         % (path(train_dir), json.dumps(recorded["frame_features"]), recorded["model"]))
    try:
        readers.features(recorded["feature_names"], recorded["feature_sizes"])
    except InputError as error:
        raise InputError("%s: %s" % (path(train_dir), error))
    return recorded


def absolute(values):
    """Recorded flags with absolute paths of files on this machine, so that other folders' processes find them."""
    return {name: files.absolute(value) if name in _PATHS and files.exists(value) else value
            for name, value in values.items()}


def check_encoder(checkpoint, part, values):
    """Checks that an encoder has the hyperparameters of the model whose weights it takes, if they are recorded there.

    Dropout and pooling may differ.

    Args:
      checkpoint: of the other model.
      part: context or segment, the prefix of the encoder's flags.
      values: what `from_flags` returns for the model with the encoder.

    Raises:
      InputError: they differ.
    """
    if not files.exists(path(os.path.dirname(checkpoint))):
        return
    recorded = read(os.path.dirname(checkpoint))
    pairs = [("model", "%s_encoder" % part, models.canonical(recorded["model"]))]
    pairs += [(name, "%s_%s" % (part, name), value) for name, value in sorted(recorded.items())
              if name not in _CHOSEN_ANEW]
    for name, ours, value in pairs:
        if ours in values and values[ours] != value:
            raise InputError("--init_%s=%s holds a model with --%s=%s, and the %s encoder has --%s=%s: give the same."
                             % (part, checkpoint, name, text.shown(value), part, ours, values[ours]))


def create_reader(values, segment_labels=False, max_frames=forms.MAX_FRAMES):
    """The reader of the records that recorded flags describe."""
    return readers.create(values["feature_names"], values["feature_sizes"], values["frame_features"], segment_labels,
                          max_frames, values["num_classes"])


def create_model(values):
    """The model that recorded flags describe."""
    hparams = {name: value for name, value in values.items() if name in models.hparam_names()}
    return models.create(values["model"], readers.features(values["feature_names"], values["feature_sizes"]), **hparams)


def _same(name, value, recorded):
    """Whether two values of a flag describe the same model."""
    if name == "model":
        return models.canonical(value) == models.canonical(recorded)
    return _plain(name, value) == _plain(name, recorded) or name in _PATHS


def _plain(name, value):
    return readers.without_blanks(value) if name in _LISTS and isinstance(value, str) else value


def _same_features(given, recorded):
    """Whether the given flags list the recorded features, in any order: names identify columns."""
    lists = [[_plain(name, flags[name]).split(",") for name in sorted(_LISTS) if name in given]
             for flags in (given, recorded)]
    return "feature_names" in given and sorted(zip(*lists[0])) == sorted(zip(*lists[1]))


def _contradiction(where, remedy, given, recorded):
    """Raises InputError if given flags, {name: value}, describe another model than the recorded ones."""
    same_features = bool(recorded) and _same_features(given, recorded)
    differing = [(name, given[name], there) for name, there in sorted(recorded.items())
                 if name in given and not (same_features and name in _LISTS or _same(name, given[name], there))]
    if differing:
        told = ["--%s=%s given, %s recorded" % tuple(map(text.shown, difference)) for difference in differing]
        raise InputError("%s contradicts the command line: %s; %s." % (where, ", ".join(told), remedy))
