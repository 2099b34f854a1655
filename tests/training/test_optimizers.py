"""Schedules and optimizers against their formulas in NumPy."""
import types

import numpy as np
import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.training import optimizers
from tests import declared

tf1 = tf.compat.v1


def evaluated(tensor):
    with tf1.Session() as session:
        return session.run(tensor)


@pytest.mark.parametrize("seen, expected", [
    (0, .01), (1999999, .01), (2000000, .009), (3999999, .009), (4000000, .0081),
    (200000 * 128, .01 * .9 ** 12), (2 ** 31 + 1000000000, .01 * .9 ** 1573)])
def test_the_learning_rate_decays_by_whole_periods(seen, expected):
    rate = optimizers.step_decay(.01, .9, 2000000, tf.constant(seen, tf.int64))
    assert evaluated(rate) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("step, expected", [(0, .2), (30, .14), (100, 0), (130, 0)])
def test_linear_decay_reaches_zero_and_stays_there(step, expected):
    assert evaluated(optimizers.linear_decay(.2, tf.constant(step), 100)) == pytest.approx(expected, abs=1e-8)


def adam_w(values, gradients, rate, decays):
    m, v = np.zeros_like(values), np.zeros_like(values)
    for gradient in gradients:
        m, v = .9 * m + .1 * gradient, .999 * v + .001 * gradient ** 2
        values = values - rate * (m / (np.sqrt(v) + 1e-6) + (.01 * values if decays else 0))
    return values


def radam(values, gradients, rate, decays):
    del decays
    m, v = np.zeros_like(values), np.zeros_like(values)
    for step, gradient in enumerate(gradients, 1):
        m, v = .9 * m + .1 * gradient, .999 * v + .001 * gradient ** 2
        mean, longest = m / (1 - .9 ** step), 2 / (1 - .999) - 1
        length = longest - 2 * step * .999 ** step / (1 - .999 ** step)
        if length > 4:
            rectifier = np.sqrt((length - 4) * (length - 2) * longest
                                / ((longest - 4) * (longest - 2) * length))
            values = values - rate * rectifier * mean / (np.sqrt(v / (1 - .999 ** step)) + 1e-8)
        else:
            values = values - rate * mean
    return values


@pytest.mark.parametrize("leaf, decays", [
    ("kernel", True), ("weights", True), ("query", True), ("bias", False), ("biases", False), ("hidden2_biases", False),
    ("LayerNorm/gamma", False), ("LayerNorm/beta", False)])
@pytest.mark.parametrize("custom, reference", [("bert", adam_w), ("radam", radam)])
def test_ten_updates_equal_the_reference(custom, reference, leaf, decays):
    random = np.random.RandomState(1)
    start, gradients = random.randn(2, 3).astype("f4"), random.randn(10, 2, 3).astype("f4")
    variable = tf1.get_variable("tower/layer/" + leaf, initializer=start)
    gradient = tf1.placeholder(tf.float32, [2, 3])
    step = tf1.train.get_or_create_global_step()
    optimizer = optimizers.create("AdamOptimizer", custom, tf.constant(.05))
    update = optimizer.apply_gradients([(gradient, variable)], step)
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        for each in gradients:
            session.run(update, {gradient: each})
        result, steps = session.run((variable, step))
    np.testing.assert_allclose(result, reference(start, gradients, .05, decays), rtol=1e-3, atol=1e-5)
    assert steps == 10


@pytest.mark.parametrize("scale_loss", [False, True], ids=["plain", "scaled"])
@pytest.mark.parametrize("name, custom", [
    ("AdamOptimizer", ""), ("AdamOptimizer", "bert"), ("AdamOptimizer", "radam"), ("AdadeltaOptimizer", ""),
    ("GradientDescentOptimizer", ""), ("RMSPropOptimizer", ""), ("FtrlOptimizer", ""), ("AdagradOptimizer", "")])
def test_a_rate_factor_scales_the_rate_of_the_variables_that_it_matches_as_a_whole(name, custom, scale_loss):
    """Each variable takes the steps of an optimizer of its own rate, and keeps the names of its slots."""
    names = ["tower/segment/w", "tower/segment/v", "tower/head/segment/w"]
    start, gradients = np.float32([1, -2]), np.random.RandomState(1).randn(8, 2).astype("f4")

    def trained(rates, factor):
        with tf.Graph().as_default(), tf1.Session() as session:
            gradient, step = tf1.placeholder(tf.float32, [2]), tf1.train.get_or_create_global_step()
            variables = [tf1.get_variable(each, initializer=start, use_resource=False) for each in sorted(rates)]
            optimizer = optimizers.create(name, custom, tf.constant(rates[names[-1]]), scale_loss, factor=factor)
            update = optimizer.apply_gradients(optimizer.compute_gradients(
                tf.add_n([tf.reduce_sum(gradient * variable) for variable in variables]), variables), step)
            session.run(tf1.global_variables_initializer())
            for each in gradients:
                session.run(update, {gradient: each})
            assert session.run(step) == 8
            slots = {variable.op.name for variable in tf1.global_variables() if variable.op.name.startswith("tower/")}
            return dict(zip(sorted(rates), session.run(variables))), slots

    found, slots = trained(dict.fromkeys(names, .05), optimizers.RateFactor("tower/segment/.*", .5))
    whole, same_slots = trained(dict.fromkeys(names, .05), None)
    half, _ = trained(dict.fromkeys(names, .025), None)
    np.testing.assert_array_equal(found["tower/head/segment/w"], whole["tower/head/segment/w"])
    for each in names[:2]:
        np.testing.assert_array_equal(found[each], half[each])
        assert not np.array_equal(half[each], whole[each])
    assert slots == same_slots


def test_a_rate_factor_that_matches_nothing_is_explained():
    optimizer = optimizers.create("AdamOptimizer", "", tf.constant(.1), factor=optimizers.RateFactor("segment/.*", .5))
    variable = tf1.get_variable("tower/segment/w", initializer=[1.0])
    with pytest.raises(InputError, match="^--rate_factor=segment/.*=0.5 matches the whole name of none of the 1 "
                                         "variables that are trained, such as tower/segment/w.$"):
        optimizer.apply_gradients([(tf.constant([1.0]), variable)])


@pytest.mark.parametrize("given", ["tower/.*", "=0.5", "tower/.*=", "tower/.*=half", "tower/(=0.5", "tower/.*=0",
                                   "tower/.*=-1", "tower/.*=nan", "tower/.*=inf"])
def test_a_rate_factor_that_is_none_is_explained(given):
    with pytest.raises(InputError) as error:
        optimizers.rate_factor(given)
    assert str(error.value) == ("--rate_factor=%s is no regular expression with a factor above 0: give one such as "
                                "tower/segment/.*=0.5." % given)


def test_a_rate_factor_may_hold_an_equals_sign():
    assert optimizers.rate_factor("a(?=b)b=2") == ("a(?=b)b", 2)


def test_radam_counts_its_steps_once_for_all_variables():
    variables = [tf1.get_variable(name, initializer=[1.0]) for name in "ab"]
    gradients = np.float32([[3]] * 7)
    update = optimizers.create("", "radam", tf.constant(.05)).apply_gradients(
        [(tf.constant([3.0]), variable) for variable in variables])
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        for _ in gradients:
            session.run(update)
        results = session.run(variables)
    np.testing.assert_allclose(results, [radam(np.float32([1]), gradients, .05, False)] * 2, rtol=1e-4)


@pytest.mark.parametrize("name", ["AdamOptimizer", "GradientDescentOptimizer", "RMSPropOptimizer"])
def test_optimizers_of_tensorflow_go_by_their_class_names(name):
    assert type(optimizers.create(name, "", tf.constant(.1))) is getattr(tf1.train, name)


@pytest.mark.parametrize("name, custom, sentence", [
    ("Adam", "", "--optimizer=Adam is unknown: .*AdamOptimizer.*RMSPropOptimizer"),
    ("AdamOptimizer", "lamb", "--custom_optimizer=lamb is unknown: .*bert or radam")])
def test_an_unknown_optimizer_lists_the_known_ones(name, custom, sentence):
    with pytest.raises(InputError, match=sentence):
        optimizers.create(name, custom, tf.constant(.1))


def test_flags_have_the_starter_codes_names_and_defaults(monkeypatch):
    assert declared.flags_of(monkeypatch, optimizers) == dict(
        base_learning_rate=.01, learning_rate_decay=.95, learning_rate_decay_examples=2000000, fix_learning_rate=False,
        optimizer="AdamOptimizer", custom_optimizer="", weight_decay=.01, learning_rate_schedule=None, warmup_steps=0,
        schedule_start_step=0, rate_factor="")


def options(**values):
    given = dict(base_learning_rate=.2, learning_rate_decay=.9, learning_rate_decay_examples=100,
                 fix_learning_rate=False, optimizer="AdamOptimizer", custom_optimizer="", max_steps=None,
                 mixed_precision=False, weight_decay=.01, learning_rate_schedule=None, warmup_steps=0,
                 schedule_start_step=0, rate_factor="")
    return optimizers.options(types.SimpleNamespace(**dict(given, **values)), examples_per_step=8)


@pytest.mark.parametrize("values, step, expected", [
    ({}, 12, .2), ({}, 13, .18), ({}, 25, .162), (dict(fix_learning_rate=True), 1000, .2),
    (dict(custom_optimizer="bert", max_steps=50), 20, .12), (dict(custom_optimizer="radam"), 13, .18),
    (dict(custom_optimizer="bert", fix_learning_rate=True), 1000, .2),
    (dict(learning_rate_schedule="linear", max_steps=50), 20, .12),
    (dict(custom_optimizer="bert", learning_rate_schedule="step"), 25, .162),
    (dict(learning_rate_schedule="cosine", max_steps=60), 20, .15),
    (dict(learning_rate_schedule="cosine", max_steps=60), 70, 0),
    (dict(warmup_steps=10), 0, 0), (dict(warmup_steps=10), 3, .06), (dict(warmup_steps=20), 13, .18 * 13 / 20),
    (dict(warmup_steps=10, fix_learning_rate=True), 10, .2),
    (dict(warmup_steps=10, learning_rate_schedule="linear", max_steps=50), 5, .1),
    (dict(warmup_steps=10, learning_rate_schedule="linear", max_steps=50), 10, .2),
    (dict(warmup_steps=10, learning_rate_schedule="linear", max_steps=50), 30, .1),
    (dict(warmup_steps=10, learning_rate_schedule="cosine", max_steps=50), 30, .1),
    (dict(warmup_steps=10, learning_rate_schedule="linear", max_steps=150, schedule_start_step=100), 105, .1),
    (dict(warmup_steps=10, learning_rate_schedule="linear", max_steps=150, schedule_start_step=100), 140, .05),
    (dict(warmup_steps=10, schedule_start_step=100), 90, 0)])
def test_the_flags_choose_the_schedule(values, step, expected):
    _, rate = optimizers.scheduled(options(**values), tf.constant(step))
    assert evaluated(rate) == pytest.approx(expected, rel=1e-6)


def test_a_decay_to_zero_needs_its_end():
    with pytest.raises(InputError, match="^--custom_optimizer=bert decays the learning rate to zero at --max_steps: "):
        options(custom_optimizer="bert")
    with pytest.raises(InputError, match="^--learning_rate_schedule=cosine decays the learning rate to zero at "):
        options(learning_rate_schedule="cosine")


@pytest.mark.parametrize("values, told", [
    (dict(fix_learning_rate=True, learning_rate_schedule="linear", max_steps=9),
     "--fix_learning_rate contradicts --learning_rate_schedule=linear: "),
    (dict(learning_rate_schedule="linear", max_steps=50, schedule_start_step=40, warmup_steps=10),
     "The learning rate falls from step 50 .* to 0 at --max_steps=50: let it begin before."),
    (dict(custom_optimizer="bert", max_steps=50, schedule_start_step=60), "The learning rate falls from step 60 ")])
def test_a_schedule_that_cannot_be_is_refused(values, told):
    with pytest.raises(InputError, match="^" + told):
        options(**values)


def test_the_flag_of_weight_decay_reaches_the_optimizer():
    variable = tf1.get_variable("tower/weights", initializer=[2.0])
    step = tf1.train.get_or_create_global_step()
    given = options(custom_optimizer="bert", fix_learning_rate=True, weight_decay=.02)
    optimizer, _ = optimizers.scheduled(given, step)
    update = optimizer.apply_gradients([(tf.constant([0.0]), variable)], step)
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        session.run(update)
        assert session.run(variable) == pytest.approx([2 - .2 * .02 * 2])


@pytest.mark.parametrize("custom, epsilon", [("bert", 1e-6), ("radam", 1e-8)])
def test_epsilon_counts_where_gradients_are_tiny(custom, epsilon):
    """Fifty updates by gradients of the size of epsilon."""
    variable = tf1.get_variable("tower/biases", initializer=tf.constant([.5, .25]))
    gradients = [np.array([epsilon, -3 * epsilon])] * 50
    optimizer = optimizers.create("AdamOptimizer", custom, tf.constant(.05))
    update = optimizer.apply_gradients([(tf.constant(gradients[0], tf.float32), variable)])
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        for _ in gradients:
            session.run(update)
        found = session.run(variable)
    expected = {"bert": adam_w, "radam": radam}[custom](np.array([.5, .25]), gradients, .05, False)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert np.all(np.abs(expected - [.5, .25]) > 1e-3)
