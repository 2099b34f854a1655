"""Tuning of weights: it is seeded, logged and resumed, and refinement never loses."""
import json
import logging
import math

import bayes_opt
import bayes_opt.util
import pytest

from src.common.errors import InputError
from src.submission import published
from src.submission import tuning

NAMES = ["good", "bad"]


class Hill(object):
    """An objective that, like rank-based ones, is constant in steps; best where w0 is 2 and `good` outweighs `bad`."""

    num_lists = 2

    def __init__(self):
        self.evaluations = 0

    def __call__(self, w0, weights):
        self.evaluations += 1
        share = weights[0] / max(sum(weights), 1e-9)
        return round(math.exp(-(w0 - 2) ** 2 / 20 - (share - .9) ** 2), 3)


def optimize(path, init_points=4, n_iter=3, seed=0):
    log = tuning.Log(str(path), NAMES)
    return tuning.bayesian_optimization(Hill(), log, tuning.Budget(init_points, n_iter, seed)), log


def lines(path):
    return [{key: value for key, value in json.loads(line).items() if key != "datetime"} for line in open(str(path))]


@pytest.mark.skipif(not hasattr(bayes_opt.util, "load_logs"), reason="bayes_opt 3 has logs of its own only")
def test_bayes_opt_reads_the_log(tmp_path):
    best, log = optimize(tmp_path / "log.json")
    optimizer = bayes_opt.BayesianOptimization(None, {"w0": (0, 10), "good": (0, 200), "bad": (0, 200)}, verbose=0)
    bayes_opt.util.load_logs(optimizer, [str(tmp_path / "log.json")])
    assert len(optimizer.res) == 4 + 3
    assert optimizer.max["target"] == max(log.targets) == Hill()(*best)
    assert optimizer.max["params"] == {"w0": best.w0, "good": best.weights[0], "bad": best.weights[1]}


def test_equal_weights_come_first_and_bounds_hold(tmp_path):
    _, log = optimize(tmp_path / "log.json")
    assert log.points[0] == (published.MODELS_W0, (1.0, 1.0))
    for w0, weights in log.points:
        assert 0 < w0 <= 10 and all(0 <= weight <= 200 for weight in weights)


def test_the_seed_decides(tmp_path):
    for name, seed in ("one", 0), ("same", 0), ("other", 1):
        optimize(tmp_path / name, seed=seed)
    assert lines(tmp_path / "one") == lines(tmp_path / "same") != lines(tmp_path / "other")


@pytest.mark.parametrize("kept,cut_short", [(2, ""), (5, ""), (5, '{"target": 0.5, "params": {"w0": 1.0}'), (7, "")])
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, kept, cut_short):
    optimize(tmp_path / "whole")
    with open(str(tmp_path / "whole")) as stream:
        (tmp_path / "log").write_text("".join(stream.readlines()[:kept]) + cut_short)
    optimize(tmp_path / "log")
    assert lines(tmp_path / "log") == lines(tmp_path / "whole")


def test_a_line_that_is_dropped_is_said(tmp_path, caplog, monkeypatch):
    optimize(tmp_path / "log")
    text = (tmp_path / "log").read_text()
    (tmp_path / "log").write_text(text[:-9])
    monkeypatch.setattr(logging.getLogger("yt8m"), "propagate", True)
    with caplog.at_level(logging.INFO):
        assert len(tuning.Log(str(tmp_path / "log"), NAMES).points) == 6
    assert "log: its last line, which a kill cut short, is dropped: \"{\"target\": " in caplog.text
    assert (tmp_path / "log").read_text() == "".join(text.splitlines(True)[:6])


@pytest.mark.parametrize("spell", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"),
                                   lambda text: ("\ufeff" + text.replace("\n", "\r\n"))[:-2]])
def test_a_log_of_another_editor_goes_on_and_bayes_opt_reads_it(tmp_path, spell):
    optimize(tmp_path / "log")
    text = (tmp_path / "log").read_text()
    (tmp_path / "log").write_bytes(spell(text).encode())
    assert len(tuning.Log(str(tmp_path / "log"), NAMES).points) == 7
    assert (tmp_path / "log").read_bytes() == text.encode()


def test_more_points_go_on_from_the_log(tmp_path):
    optimize(tmp_path / "log", n_iter=1)
    _, log = optimize(tmp_path / "log", n_iter=3)
    assert len(log.points) == len(lines(tmp_path / "log")) == 4 + 3


@pytest.mark.parametrize("line,message", [
    ("nonsense}", 'line 3: "nonsense}" is not a point of w0, good, bad: give another --log_file or delete this one'),
    ('{"target": 0.5, "params": {"w0": 1, "good": 1, "bad": 1, "ugly": 1}}',
     "line 3: its points are of bad, good, ugly, w0"),
    ('{"target": 0.5, "params": {"w0": 1, "good": 1}}', "is not a point of w0, good, bad: .*; it lacks bad."),
    ('{"target": 0.5, "params": {"w0": 1, "good": -1, "bad": 1}}',
     "line 3: .* is not a point of w0, good, bad: .*; good is -1, not from 0 to 200."),
    ('{"target": 0.5, "params": {"w0": 1, "good": 200.5, "bad": 1}}', "; good is 200.5, not from 0 to 200."),
    ('{"target": 0.5, "params": {"w0": 10.5, "good": 1, "bad": 1}}', "; w0 is 10.5, not from 0 to 10."),
    ('{"target": 0.5, "params": {"w0": 0, "good": 1, "bad": 1}}', "; w0 is 0, not from 0 to 10."),
    ('{"target": 0.5, "params": {"w0": 1, "good": NaN, "bad": 1}}', "; good is nan, not from 0 to 200."),
    ('{"target": 0.5, "params": {"w0": 1, "good": "1", "bad": 1}}', "; good is 1, not from 0 to 200."),
    ('{"target": 0.5, "params": {"w0": true, "good": 1, "bad": 1}}', "; w0 is True, not from 0 to 10."),
    ('{"target": 1.5, "params": {"w0": 1, "good": 1, "bad": 1}}', "; target is 1.5, not from 0 to 1."),
    ('{"params": {"w0": 1, "good": 1, "bad": 1}}', "; target is None, not from 0 to 1."),
    ('{"target": 0.5}', "; it has no params."), ('[]', "; it has no params."),
    ('{"target": 0.5, "params": %s' % (5000 * "["), "; it is not JSON."),
    ('{"target": 0.5, "params": {"w0": 1, "good": %s, "bad": 1}}' % (5000 * "1"), "; it is not JSON."),
    ('{"target": 1%s, "params": {"w0": 1, "good": 1, "bad": 1}}' % (99 * "0"),
     "line 3: .* is not a point of w0, good, bad: .*; target is 10*"),
    ('{"target": NaN, "params": {"w0": 1, "good": 1, "bad": 1}}', "log, line 3: a point has mAP nan there and"),
    ('{"target": 0.123, "params": {"w0": 1, "good": 1, "bad": 1}}', "log, line 3: a point has mAP 0.123000 there and"),
])
def test_a_log_of_something_else_is_refused_and_kept(tmp_path, line, message):
    optimize(tmp_path / "log", n_iter=0)
    with open(str(tmp_path / "log")) as stream:
        before = stream.readlines()
    before[2] = line + "\n"
    (tmp_path / "log").write_text("".join(before))
    with pytest.raises(InputError, match=message) as error:
        optimize(tmp_path / "log")
    assert (tmp_path / "log").read_text() == "".join(before)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("content", ["precious", '{"w0": 6, "weights": {}}', '{"target": 1}\n{"w0"', "\n"])
def test_a_file_that_is_no_log_is_kept(tmp_path, content):
    (tmp_path / "log").write_text(content)
    with pytest.raises(InputError, match="line 1: .* is not a point of w0, good, bad"):
        tuning.Log(str(tmp_path / "log"), NAMES)
    assert (tmp_path / "log").read_text() == content


def test_a_whole_last_line_needs_no_line_end(tmp_path):
    optimize(tmp_path / "log")
    text = (tmp_path / "log").read_text()
    (tmp_path / "log").write_text(text[:-1])
    assert len(tuning.Log(str(tmp_path / "log"), NAMES).points) == 7
    assert (tmp_path / "log").read_text() == text


def test_refinement_improves_and_never_loses():
    start, peak = tuning.Point(6.0, (50.0, 50.0)), tuning.Point(2.0, (90.0, 10.0))
    assert Hill()(*tuning.refine(Hill(), [start])) > Hill()(*start)
    assert tuning.refine(Hill(), [peak, start]) == peak


def test_refinement_is_bounded(monkeypatch):
    hill = Hill()
    monkeypatch.setattr(tuning, "REFINE_SECONDS", -1.0)
    tuning.refine(hill, [tuning.Point(6.0, (50.0, 50.0))])
    assert hill.evaluations < 10


def test_comparison_knows_published_weights_of_published_models_only():
    tuned = tuning.Point(1.0, (2.0, 1.0)), tuning.Point(2.0, (9.0, 1.0))
    rows = tuning.compare(NAMES, tuned, [("all", Hill())])
    assert [row["weights"] for row in rows] == ["equal", "published", "Bayesian optimization", "refined"]
    assert [row["all"] for row in rows] == [
        Hill()(published.MODELS_W0, (1, 1)), None, Hill()(*tuned[0]), Hill()(*tuned[1])]
    known = tuning.compare(["bert_l2h12", "bert_mean_l2h12"], tuned, [("all", Hill())])
    assert known[1]["all"] == Hill()(published.MODELS_W0, (2.81, 15.46))


class Endless(object):
    """An objective that grows with each evaluation."""

    num_lists = 12

    def __init__(self):
        self.evaluations = 0

    def __call__(self, w0, weights):
        self.evaluations += 1
        return 1e-5 * self.evaluations


def test_the_local_search_ends_whatever_the_objective():
    objective = Endless()
    tuning.refine(objective, [tuning.Point(6.0, (1.0,) * 12)] * 2)
    assert objective.evaluations < 2 * 1.2 * 2000
