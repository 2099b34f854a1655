"""A model's averages: means of its best and of its last evaluated checkpoints, in folders below the model's own.

`train_dir/averages/best_3` is a --train_dir that holds the mean of the best three and the results of its evaluation,
`last_3` that of the last three. plan.json says what they are means of.
"""
import logging
import os
import re
import typing

from src.common import atomic
from src.common import files
from src.common import text
from src.common.errors import InputError
from src.trained import averaging
from src.trained import checkpoints
from src.trained import evaluations
from src.trained import model_flags

log = logging.getLogger("yt8m")


class Plan(typing.NamedTuple):
    """What the averages are means of."""
    numbers: list  # of checkpoints per mean, as asked for
    checkpoints: dict  # {step as text: identity}: the evaluated checkpoints that were there
    means: dict  # {folder's name: ascending steps}


def folder(train_dir, name=""):
    """`train_dir/averages/NAME`."""
    return os.path.join(train_dir, "averages", name) if name else os.path.join(train_dir, "averages")


def holds(train_dir, checkpoint):
    """Whether a checkpoint is one of a model's averages."""
    return os.path.dirname(os.path.dirname(checkpoint)) == folder(train_dir)


def parse(numbers):
    """The numbers of checkpoints in a comma list, ascending; [] of "".

    Raises:
      InputError: one is not a whole number from 2 on.
    """
    found = [text.whole_number(number.strip().encode()) for number in numbers.split(",")] if numbers else []
    if any(number is None or number < 2 for number in found):
        raise InputError("--averages=%s is not a comma list of whole numbers from 2 on, such as 2,3,5,10." % numbers)
    return sorted(set(found))


def _names(train_dir):
    """Names of the folders of the averages, the best of few checkpoints first."""
    found = filter(re.compile(r"(best|last)_[0-9]+").fullmatch, files.names(folder(train_dir)))
    return sorted(found, key=lambda name: (len(name), name))


def _plan_path(train_dir):
    return os.path.join(folder(train_dir), "plan.json")


def _stored_plan(train_dir):
    """The Plan of the averages that are there; None without one.

    Raises:
      InputError: it is damaged.
    """
    path = _plan_path(train_dir)
    if not files.exists(path):
        return None
    found = files.read_json(path)
    try:
        plan = Plan(**found)
        well_formed = (isinstance(plan.numbers, list) and isinstance(plan.checkpoints, dict)
                       and isinstance(plan.means, dict)
                       and all(name == os.path.basename(name) for name in plan.means)
                       and all(set(map(str, steps)) <= set(plan.checkpoints) for steps in plan.means.values()))
    except TypeError:
        well_formed = False
    if not well_formed:
        raise InputError("%s is damaged: remove %s and evaluate with --averages again." % (path, folder(train_dir)))
    return plan


def _make_plan(train_dir, numbers, first, kind):
    """The Plan for the checkpoints from step `first` on that were evaluated as `kind` says.

    Raises:
      InputError: none was, or results.csv is damaged.
    """
    steps = [step for step in checkpoints.steps(train_dir) if step >= first]
    identities = {str(step): checkpoints.identity(checkpoints.path(train_dir, step)) for step in steps}
    rows = [row for row in evaluations.read(train_dir) if evaluations.is_kind(row, kind)
            and identities.get(row["step"]) == row["checkpoint_crc32"]]
    best = [int(row["step"]) for row in evaluations.ranked(rows, set(steps))[0]]
    if not best:
        raise InputError("%s: no checkpoint from step %d on was evaluated in this way: evaluate them first, with the "
                         "same flags but without --averages." % (train_dir, first))
    means, names = {}, {}
    for number in numbers:
        if number > len(best):
            log.info("best_%d and last_%d are left out: %d checkpoints were evaluated", number, number, len(best))
            continue
        for name, chosen in ("best_%d" % number, best[:number]), ("last_%d" % number, sorted(best)[-number:]):
            chosen = tuple(sorted(chosen))
            if chosen in names:
                log.info("%s is left out: it is the same as %s", name, names[chosen])
            else:
                names[chosen] = name
                means[name] = list(chosen)
    return Plan(numbers, {str(step): identities[str(step)] for step in sorted(best)}, means)


def _covers(plan, train_dir, first):
    """Whether a Plan was made with all checkpoints from step `first` on as they are now; some may have been removed."""
    return all(plan.checkpoints.get(str(step)) == checkpoints.identity(checkpoints.path(train_dir, step))
               for step in checkpoints.steps(train_dir) if step >= first)


def are_evaluated(train_dir, first, kind, numbers=None):
    """Whether the averages of the checkpoints from step `first` on are there and were evaluated as `kind` says.

    Also after `removable` was removed.

    Args:
      numbers: of checkpoints per mean; None: any.

    Raises:
      InputError: plan.json or a results.csv is damaged.
    """
    plan = _stored_plan(train_dir)
    return bool(plan) and plan.numbers == (numbers or plan.numbers) and _covers(plan, train_dir, first) and all(
        any(evaluations.is_kind(row, kind) for row in evaluations.read(folder(train_dir, name))) for name in plan.means)


def write(train_dir, numbers, first, kind):
    """Writes the averages, each when it is asked for.

    An average that is there stays if it is a mean of the same checkpoints, so a run that was killed is continued.

    Args:
      train_dir: a model's folder.
      numbers: of checkpoints per mean, from `parse`.
      first: step of the first checkpoint that counts.
      kind: see `evaluations.is_kind`; only checkpoints that were evaluated in this way are averaged.

    Returns:
      Iterator over the paths of the averages.

    Raises:
      InputError: no checkpoint was evaluated in this way, or a file is damaged or cannot be written.
    """
    plan = _make_plan(train_dir, numbers, first, kind)
    if _stored_plan(train_dir) != plan:
        for name in _names(train_dir):
            files.remove(folder(train_dir, name))
        atomic.write_json(_plan_path(train_dir), plan._asdict())
    return _written(train_dir, plan.means, model_flags.read(train_dir))


def _written(train_dir, means, values):
    for name, steps in means.items():
        path = checkpoints.path(folder(train_dir, name), max(steps))
        if not checkpoints.exists(path):
            averaging.write(folder(train_dir, name), values,
                            [checkpoints.path(train_dir, step) for step in steps])
        yield path


def rows(train_dir):
    """The figures of the best checkpoint and of the averages that were evaluated in the same way, the best first.

    Returns:
      List of (path of the checkpoint, value of the metric that decides, metric's name); of equal values the single
      checkpoint comes first. [] if none was evaluated.

    Raises:
      InputError: a results.csv or best_checkpoint.json is damaged.
    """
    single = checkpoints.best(train_dir)
    if not single:
        return []
    metric, kind = single.get("metric"), {name: single.get(name, "") for name in evaluations.KIND}
    found = [(checkpoints.path(train_dir, single["step"]), single.get("value"), metric)]
    for name in _names(train_dir):
        there = set(checkpoints.steps(folder(train_dir, name)))
        found += [(checkpoints.path(folder(train_dir, name), int(row["step"])), float(row[metric]), metric)
                  for row in (evaluations.read(folder(train_dir, name)) if there and metric else ())
                  if evaluations.is_kind(row, kind) and int(row["step"]) in there]
    return sorted(found, key=lambda row: -row[1]) if len(found) > 1 else found


def best(train_dir):
    """Path of the best evaluated checkpoint, the averages included; None if none was evaluated.

    Raises:
      InputError: a file that evaluations wrote is damaged.
    """
    found = rows(train_dir)
    return found[0][0] if found else None


def resolve(train_dir, which):
    """As `checkpoints.resolve`, but the averages count for `best`, too."""
    found = best(train_dir) if which == "best" else None
    return checkpoints.resolve(train_dir, found or which)


def predicts_with_best(train_dir):
    """Whether the inference model is of the best checkpoint, the averages included.

    Raises:
      InputError: a file that evaluations wrote is damaged.
    """
    model, found = checkpoints.inference_model_path(train_dir), best(train_dir)
    if not found or not checkpoints.exists(model):
        return False
    if checkpoints.step_of(model) != checkpoints.named_step(os.path.basename(found)):
        return False
    is_unique = not files.exists(_plan_path(train_dir)) or not checkpoints.exists(found)
    return is_unique or averaging.is_same(model, found)  # averages have steps of single checkpoints


def removable(train_dir):
    """Files of the averages other than the best checkpoint; their evaluations stay.

    Returns:
      Paths in the order of removal: indices come first, as in `checkpoints.removable`.
    """
    kept = os.path.dirname(best(train_dir) or "")
    folders = [one for one in (folder(train_dir, name) for name in _names(train_dir)) if one != kept]
    found = [os.path.join(one, part) for one in folders for part in files.names(one) if part != "eval"]
    return sorted(found, key=lambda path: (not path.endswith(".index"), path))
