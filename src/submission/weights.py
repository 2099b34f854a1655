"""The models of an ensemble, and their weights: as published, as tuned, or as given."""
import collections

from src.common import files
from src.common import text
from src.common.errors import InputError
from src.submission import fusion
from src.submission import published
from src.submission import shifts
from src.submission import tuning


def by_model(paths):
    """OrderedDict model -> path.

    Raises:
      InputError: two files belong to one model.
    """
    models = collections.OrderedDict()
    for model, of_model in shifts.group(paths).items():
        name = published.model_name(model)
        if len(of_model) > 1 or name in models:
            raise InputError("%s and %s are both of the model %s: combine a model's shifts first "
                             "(--mode=combine_shifts), and give each model once."
                             % (models.get(name, of_model[0]), of_model[-1], name))
        models[name] = of_model[0]
    return models


def read(given, w0, models):
    """The tuning.Point for a list of models.

    Args:
      given: the flag --weights.
      w0: the flag --w0.

    Raises:
      InputError: a model has no weight, a weight has no model, or a weight is malformed.
    """
    known, found_w0, source = published.WEIGHTS, published.MODELS_W0, "--weights=%s" % given
    if given.endswith(".json"):
        tuned = files.read_json(given)
        if not isinstance(tuned, dict) or not isinstance(tuned.get("weights"), dict) or "w0" not in tuned:
            raise InputError("%s holds no weights: give the file that --mode=tune wrote." % given)
        known, found_w0, source = tuned["weights"], tuned["w0"], given
        if set(known) != set(models):
            raise InputError("%s has weights of %s, but the files are of %s: give the same models."
                             % (given, ", ".join(sorted(known)), ", ".join(sorted(models))))
    elif given:
        known = dict(zip(models, given.split(",")))
        if given.count(",") + 1 != len(models):
            raise InputError("--weights=%s has %d weights for the %d files %s: give one for each."
                             % (given, given.count(",") + 1, len(models), ", ".join(models)))
    missing = [model for model in models if model not in known]
    if missing:
        raise InputError("There is no published weight of %s, only of %s: give --weights."
                         % (", ".join(missing), ", ".join(known)))
    weights = tuple(_number(known[model], "the weight of %s in %s" % (model, source)) for model in models)
    if not any(weights):
        raise InputError("All weights in %s are 0: give at least one model a weight above 0." % source)
    return tuning.Point(_number(found_w0 if w0 is None else w0, "w0", above=True), weights)


def _number(value, what, above=False):
    """A weight or w0 as a float."""
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if not (number > 0 if above else number >= 0) or number > fusion.LARGEST:
        raise InputError("%s is %s: give a number %s 0."
                         % (what, text.shown(value), "above" if above else "of at least"))
    return number
