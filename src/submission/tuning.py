"""Tunes the ensemble's w0 and weights: Bayesian optimization, then a local search from its best points."""
import collections
import contextlib
import datetime
import json
import logging
import time
import typing
import warnings

import bayes_opt
import numpy as np
import scipy.optimize
import tensorflow as tf

from src.common import atomic
from src.common import files
from src.common import runtime
from src.common import text
from src.common.errors import InputError
from src.common.progress import Progress
from src.submission import published

W0_BOUNDS = (1e-3, 10.0)
WEIGHT_BOUNDS = (0.0, 200.0)
_LINE_START = b'{"target": '  # of the log
_LOG_BYTES = 64 << 20  # at most; a point takes some hundred
REFINED_STARTS = 5  # best points that the local search starts from
REFINE_EVALUATIONS = 2000  # of the objective, from each
REFINE_SECONDS = 600.0  # for all of them


class Point(typing.NamedTuple):
    """The numbers of a fusion."""
    w0: float
    weights: tuple  # one per list


class Budget(typing.NamedTuple):
    """How much a tuning tries."""
    init_points: int  # random points before the optimization
    n_iter: int  # points of the Bayesian optimization
    seed: int  # the same seed gives the same points


def _point(values):
    """Point of an array of w0 and the weights."""
    return Point(float(values[0]), tuple(float(value) for value in values[1:]))


class Log(object):
    """Evaluated points as JSON lines, in the form of the JSONLogger of `bayes_opt` 1, which its `load_logs` reads.

    Args:
      path: local or gs://; continued if it exists. Drops a last line that a kill cut short.
      names: names of the lists.

    Raises:
      InputError: the file holds something else, or points of other lists.
    """

    def __init__(self, path, names):
        self.path, self._keys = path, ["w0"] + list(names)
        if "w0" in names:
            raise InputError("A model named w0 cannot be told from the fusion's w0: rename its file.")
        self.points, self.targets = [], []
        atomic.check_writable(path)
        if files.exists(path):
            self._read()

    def _read(self):
        *lines, rest = (line.rstrip(b"\r") for line in files.read(self.path, _LOG_BYTES).split(b"\n"))
        for number, line in enumerate(lines, 1):
            self._take(number, line)
        if rest:
            try:
                self._take(len(lines) + 1, rest)
                lines.append(rest)
            except InputError:
                if not _LINE_START.startswith(rest[:len(_LINE_START)]):
                    raise
                logging.getLogger("yt8m").info("%s: its last line, which a kill cut short, is dropped: %s", self.path,
                                               text.quoted(rest))
        with atomic.replacing(self.path, "wb") as stream:
            stream.write(b"".join(line + b"\n" for line in lines))

    def _take(self, number, line):
        try:
            entry = files.parse_json(line)
            flaw = _flaw(entry, self._keys)
        except ValueError:
            flaw = "it is not JSON"
        if flaw:
            raise InputError("%s, line %d: %s is not a point of %s: give another --log_file or delete this one; %s."
                             % (self.path, number, text.quoted(line), ", ".join(self._keys), flaw))
        if set(entry["params"]) != set(self._keys):
            raise InputError("%s, line %d: its points are of %s, not of %s: give another --log_file or delete this one."
                             % (self.path, number, text.shown(", ".join(sorted(entry["params"]))),
                                ", ".join(sorted(self._keys))))
        self.points.append(_point([entry["params"][key] for key in self._keys]))
        self.targets.append(float(entry["target"]))

    def add(self, point, target):
        """Appends an evaluated point."""
        self.points.append(point)
        self.targets.append(target)
        now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        line = json.dumps({"target": target, "params": self.params(point), "datetime": {"datetime": now}})
        with tf.io.gfile.GFile(self.path, "a") as stream:
            stream.write(line + "\n")

    def params(self, point):
        """{name: value} of a point."""
        return dict(zip(self._keys, (point.w0,) + point.weights))

    def best(self, count):
        """The best `count` points, best first."""
        order = np.argsort(-np.array(self.targets), kind="stable")
        return [self.points[index] for index in order[:count]]


def _flaw(entry, keys):
    """Why a value is not an evaluated point of w0 and weights, the `keys`; "" if it is one."""
    params = entry.get("params") if isinstance(entry, dict) else None
    if not isinstance(params, dict):
        return "it has no params"
    for key in keys:
        lowest, highest = WEIGHT_BOUNDS if key != keys[0] else (np.nextafter(0, 1), W0_BOUNDS[1])
        if key not in params:
            return "it lacks %s" % text.shown(key)
        if not _is_number(params[key]) or not lowest <= params[key] <= highest:
            return "%s is %s, not from 0 to %g" % (text.shown(key), text.shown(params[key]), highest)
    target = entry.get("target")
    if not _is_number(target) or target < 0 or target > 1:  # `bayesian_optimization` finds NaN
        return "target is %s, not from 0 to 1" % text.shown(target)
    return ""


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def bayesian_optimization(objective, log, budget):
    """Adds points to a log until it has `init_points` + `n_iter`, and returns the best one.

    The first point has equal weights, and the other `init_points` are drawn uniformly. Each of the `n_iter` points
    maximizes the upper confidence bound of a Gaussian process. The same seed gives the same points, even if a run was
    interrupted.

    Args:
      objective: see `objective.Objective`.
      log: a Log.
      budget: Budget.

    Raises:
      InputError: a logged point's mAP is not the objective's.
    """
    for number, (point, target) in enumerate(zip(log.points, log.targets), 1):
        if not abs(objective(*point) - target) <= 1e-9:  # or NaN
            raise InputError("%s, line %d: a point has mAP %.6f there and %.6f on these lists and ratings: give "
                             "another --log_file or delete this one." % (log.path, number, target, objective(*point)))
    total = budget.init_points + budget.n_iter
    bounds = np.array([W0_BOUNDS] + [WEIGHT_BOUNDS] * objective.num_lists)
    drawn = np.random.RandomState(budget.seed).uniform(*bounds.T, size=(budget.init_points, len(bounds)))
    drawn[:1] = [[published.MODELS_W0] + [1.0] * objective.num_lists]
    progress = Progress("Bayesian optimization", "points", total, len(log.points))
    while len(log.points) < total:
        number = len(log.points)
        values = drawn[number] if number < budget.init_points else _suggested(log, bounds, budget.seed + number)
        point = _point(values)
        log.add(point, objective(*point))
        progress.add(1, "best mAP %.6f" % max(log.targets))
    progress.finish("best mAP %.6f" % max(log.targets))
    return log.best(1)[0]


def _suggested(log, bounds, seed):
    """The point at which a Gaussian process over all points so far has the highest upper confidence bound."""
    keys = list(log.params(log.points[0]))
    optimizer = bayes_opt.BayesianOptimization(None, dict(zip(keys, bounds)), random_state=seed, verbose=0,
                                               allow_duplicate_points=True)
    for point, target in zip(log.points, log.targets):
        optimizer.register(log.params(point), target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about fits that could be closer
        suggestion = runtime.suggestion(optimizer, bayes_opt)
    return [suggestion[key] for key in keys]


def refine(objective, starts):
    """The best point that Powell's method finds from any of `starts`; at least as good as the best of them.

    Makes at most REFINE_EVALUATIONS evaluations per start, in at most REFINE_SECONDS in all.
    """
    best = max(starts, key=lambda point: objective(*point))
    bounds, deadline = [W0_BOUNDS] + [WEIGHT_BOUNDS] * objective.num_lists, time.time() + REFINE_SECONDS
    progress = Progress("local search", "starts", len(starts))
    for start in starts:
        search = _Search(objective, bounds, deadline)
        with contextlib.suppress(StopIteration, ValueError):  # SciPy 1.18 raises it when a round leads nowhere
            scipy.optimize.minimize(search, (start.w0,) + start.weights, method="Powell", bounds=bounds,
                                    options={"maxfev": REFINE_EVALUATIONS})
        best = max(best, search.best, key=lambda point: objective(*point))
        progress.add(1, "best mAP %.6f" % objective(*best))
    progress.finish("best mAP %.6f" % objective(*best))
    return best


class _Search(object):
    """The objective for a minimizer; keeps the best point, raises StopIteration at the deadline."""

    def __init__(self, objective, bounds, deadline):
        self._objective, self._deadline = objective, deadline
        self._lower, self._upper = zip(*bounds)
        self.best, self._best_target = None, -1.0

    def __call__(self, values):
        if self.best and time.time() > self._deadline:
            raise StopIteration
        point = _point(np.clip(values, self._lower, self._upper))  # Powell's method steps outside
        target = self._objective(*point)
        if target > self._best_target:
            self.best, self._best_target = point, target
        return -target


def tune(objective, log, budget):
    """Returns (best Point of the Bayesian optimization, refined Point)."""
    found = bayesian_optimization(objective, log, budget)
    return found, refine(objective, log.best(REFINED_STARTS))


def tune_and_compare(models, objective, halves, logs, budget):
    """Tunes on all videos, and on half of them to see how much is overfitting.

    Args:
      models: names of the lists' models.
      objective: of all videos.
      halves: objectives of the half to tune on and of the other half; () to tune on all videos only.
      logs: one Log per tuning.
      budget: Budget of each tuning.

    Returns:
      The refined Point on all videos; rows like those of `compare`.
    """
    points = tune(objective, logs[0], budget)
    rows = compare(models, points, [("all videos", objective)])
    if halves:
        half_points = tune(halves[0], logs[1], budget)
        columns = list(zip(["tuned half", "held-out half"], halves))
        for row, extra in zip(rows, compare(models, half_points, columns)):
            row.update(extra)
    return points[-1], rows


def compare(models, tuned, objectives):
    """The mAP of equal, published and tuned weights.

    Args:
      models: names of the lists' models.
      tuned: the points that `tune` returns.
      objectives: list of (name, Objective).

    Returns:
      List of OrderedDict: `weights` names the weights, then {name of the objective: mAP}; None for published
      weights of other models.
    """
    points = [("equal", Point(published.MODELS_W0, (1.0,) * len(models))), ("published", None),
              ("Bayesian optimization", tuned[0]), ("refined", tuned[1])]
    if all(model in published.WEIGHTS for model in models):
        points[1] = "published", Point(published.MODELS_W0, tuple(published.WEIGHTS[model] for model in models))
    return [collections.OrderedDict([("weights", name)] + [
        (column, objective(*point) if point else None) for column, objective in objectives]) for name, point in points]
