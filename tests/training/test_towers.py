"""One update of the training graph: towers, clipping, penalties, masked labels."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from src.trained import checkpoints
from src.training import losses
from src.training import optimizers
from src.training import towers
from tests.variables import assign

tf1 = tf.compat.v1
RANDOM = np.random.RandomState(0)
FEATURES = RANDOM.randn(8, 6).astype("f4")
LABELS = RANDOM.rand(8, 4) < .4
RATED = RANDOM.rand(8, 4) < .3
RATED[:, 3] = False
WEIGHTS, BIASES = "tower/fully_connected/weights", "tower/fully_connected/biases"


class ConstantReader(object):
    """Returns consecutive batches of the constants above; with `rated`, only the rated labels are listed."""

    num_classes = LABELS.shape[1]

    def __init__(self, batch_size, rated=None):
        self._batch_size, self._next, self._rated = batch_size, 0, rated

    def next_batch(self):
        rows = slice(self._next, self._next + self._batch_size)
        self._next += self._batch_size
        listed = np.argwhere(LABELS[rows] if self._rated is None else self._rated[rows])
        values = LABELS[rows][tuple(listed.T)].astype("f4")
        return {"features": tf.constant(FEATURES[rows]),
                "labels": tf.SparseTensor(listed, values, [self._batch_size, self.num_classes])}

    def model_input_raw(self, batch):
        return batch["features"]


def train(updates=1, num_towers=1, batch_size=8, rated=None, mask=False, clip=0.0, penalty=0.0,
          optimizer=tf1.train.GradientDescentOptimizer, model="LogisticModel", freeze="", **hparams):
    """{name: value} before and after updates from fixed weights, and the losses."""
    reader = ConstantReader(batch_size, rated)
    with tf.Graph().as_default():
        checkpoints.create_global_step()
        graph = towers.build(
            models.create(model, **hparams), reader, reader.next_batch, ["/cpu:0"] * num_towers,
            losses.Objective(losses.create("CrossEntropyLoss"), penalty, mask),
            towers.Updates(lambda step: (optimizer(1.0), None), clip, freeze))
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            assign(session, {variable: np.random.RandomState(1).randn(*variable.shape.as_list())
                             for variable in graph.model_variables
                             if not variable.op.name.endswith(("mean", "variance"))})
            start = fetch(session, graph)
            loss = [session.run((graph.train_op, graph.loss))[1] for _ in range(updates)]
            return start, fetch(session, graph), loss


def fetch(session, graph):
    return dict(zip([variable.op.name for variable in graph.model_variables],
                    session.run(graph.model_variables)))


@pytest.mark.parametrize("num_towers, batch_size, mask", [
    (2, 8, False), (2, 7, False), (3, 7, False), (3, 4, False), (3, 2, False), (2, 1, False), (4, 1, False),
    (2, 7, True), (3, 2, True), (4, 1, True)])
def test_towers_train_like_one_with_the_whole_batch(num_towers, batch_size, mask):
    adam = dict(optimizer=tf1.train.AdamOptimizer, clip=.5, penalty=1.0, l2_penalty=.1, updates=2,
                batch_size=batch_size, mask=mask, rated=RATED if mask else None)
    start, one, one_losses = train(num_towers=1, **adam)
    _, several, several_losses = train(num_towers=num_towers, **adam)
    assert np.abs(one[WEIGHTS] - start[WEIGHTS]).min() > .01
    for name in (WEIGHTS, BIASES):
        np.testing.assert_allclose(several[name], one[name], rtol=1e-4)
    np.testing.assert_allclose(several_losses, one_losses, rtol=1e-5)


class ContextReader(object):
    """Returns the same batch of segments of random frames, and of the contexts of their videos."""

    num_classes = LABELS.shape[1]

    def __init__(self, video):
        self._video = video

    def next_batch(self):
        random, num_segments = np.random.RandomState(1), len(self._video)
        listed = np.argwhere(LABELS[:num_segments])
        return {"frames": tf.constant(random.randn(num_segments, 5, 6).astype("f4")),
                "context": tf.constant(random.randn(3, 4, 6).astype("f4")), "context_valid": tf.ones([3, 4], tf.bool),
                "video": tf.constant(self._video), "labels": tf.SparseTensor(
                    listed, np.ones(len(listed), "f4"), [num_segments, self.num_classes])}

    def model_input_raw(self, batch):
        return batch["frames"]

    def context_raw(self, batch):
        return batch["context"]


class MeansModel(object):
    """Logistic regression over the means of a segment and of its context."""

    def create_model(self, model_input, vocab_size, context, video, **unused):
        around = tf.gather(tf.reduce_mean(context, axis=1), video)
        both = tf.concat([tf.reduce_mean(model_input, axis=1), around], axis=1)
        return {"predictions": tf.nn.sigmoid(tf.matmul(both, tf1.get_variable("weights", [12, vocab_size])))}


@pytest.mark.parametrize("num_towers, video", [(2, [0, 0, 1, 1, 2]), (3, [2, 0, 2, 0, 1, 2, 2]), (4, [1, 2])])
def test_each_tower_gets_the_contexts_of_its_segments(num_towers, video):
    def weights_after(num_towers):
        reader = ContextReader(video)
        with tf.Graph().as_default(), tf1.Session() as session:
            checkpoints.create_global_step()
            graph = towers.build(MeansModel(), reader, reader.next_batch, ["/cpu:0"] * num_towers, losses.Objective(
                losses.create("CrossEntropyLoss"), 0.0), towers.Updates(
                    lambda step: (tf1.train.GradientDescentOptimizer(1.0), None)))
            session.run(tf1.global_variables_initializer())
            assign(session, {graph.model_variables[0]: np.random.RandomState(2).randn(12, 4)})
            session.run(graph.train_op)
            return session.run(graph.model_variables[0])

    np.testing.assert_allclose(weights_after(num_towers), weights_after(1), rtol=1e-4)


def test_each_variables_gradient_is_clipped_to_the_norm():
    start, free, _ = train()
    _, clipped, _ = train(clip=.3)
    for name in (WEIGHTS, BIASES):
        gradient = start[name] - free[name]
        assert np.linalg.norm(gradient) > .3
        np.testing.assert_allclose(start[name] - clipped[name], gradient * .3 / np.linalg.norm(gradient),
                                   rtol=1e-4, atol=1e-6)


def test_a_gradient_below_the_norm_is_left_alone():
    _, free, _ = train()
    _, clipped, _ = train(clip=1000.0)
    np.testing.assert_allclose(clipped[WEIGHTS], free[WEIGHTS], rtol=1e-6)


def test_the_regularization_penalty_scales_the_l2_terms():
    start, free, free_loss = train()
    _, penalized, penalized_loss = train(penalty=3.0, l2_penalty=.01)
    for name in (WEIGHTS, BIASES):
        np.testing.assert_allclose(free[name] - penalized[name], 3 * .01 * start[name], atol=1e-5)
    assert penalized_loss == free_loss  # the label loss is reported by itself


def test_unrated_classes_count_as_negatives():
    start, end, _ = train(rated=RATED)
    assert (end[BIASES][3] < start[BIASES][3]).all()


def test_masked_unrated_classes_do_not_count():
    rated = RATED.copy()
    rated[:, 1] = True
    start, end, loss = train(rated=rated, mask=True)
    np.testing.assert_array_equal(end[WEIGHTS][:, 3], start[WEIGHTS][:, 3])
    assert np.abs(end[WEIGHTS][:, 1] - start[WEIGHTS][:, 1]).min() > 0
    normalized = FEATURES / np.linalg.norm(FEATURES, axis=1, keepdims=True)
    probabilities = 1 / (1 + np.exp(-(normalized.dot(start[WEIGHTS]) + start[BIASES])))
    terms = -np.log(np.where(LABELS, probabilities, 1 - probabilities) + 1e-5)
    assert loss[0] == pytest.approx((terms * rated).sum() / 8, rel=1e-5)


def test_variables_have_the_starter_codes_names_and_types():
    reader = ConstantReader(batch_size=4)
    checkpoints.create_global_step()
    graph = towers.build(models.create("LogisticModel"), reader, reader.next_batch, ["/cpu:0"] * 2,
                         losses.Objective(losses.create("CrossEntropyLoss")),
                         towers.Updates(lambda step: (tf1.train.AdamOptimizer(), None)))
    names = [name + slot for name in (WEIGHTS, BIASES) for slot in ("", "/Adam", "/Adam_1")]
    expected = dict.fromkeys(names + ["beta1_power", "beta2_power"], tf.float32)
    found = {variable.op.name: variable.dtype.base_dtype for variable in tf1.global_variables()}
    assert found == dict(expected, global_step=tf.int32)
    assert [variable.op.name for variable in graph.model_variables] == [WEIGHTS, BIASES]


def test_batch_norm_statistics_move_with_every_step():
    start, end, _ = train(updates=2, num_towers=2, batch_size=8, model="MoeModel", moe_prob_gating=True,
                          moe_num_mixtures=1)
    for name in ("tower/gating_prob_bn/moving_mean", "tower/gating_prob_bn/moving_variance"):
        assert (start[name] != end[name]).all()


@pytest.mark.parametrize("num_towers", [1, 2])
def test_frozen_variables_stay_as_they_are_their_statistics_too(num_towers):
    start, end, _ = train(updates=2, num_towers=num_towers, model="MoeModel", moe_prob_gating=True, moe_num_mixtures=1,
                          penalty=1.0, freeze="tower/(gates|gating_prob_bn)/.*")
    for name in start:
        assert (start[name] == end[name]).all() == name.startswith(("tower/gates/", "tower/gating_prob_bn/")), name


@pytest.mark.parametrize("freeze, told", [
    ("fully_connected/.*", "--freeze=fully_connected/.* matches the whole name of none of the 2 variables such as to"),
    ("tower/.*", "--freeze=tower/.* leaves nothing to train"), ("*", "--freeze=* is no regular expression: nothing")])
def test_patterns_that_freeze_nothing_or_everything_are_explained(freeze, told):
    with pytest.raises(InputError) as raised:
        train(freeze=freeze)
    assert str(raised.value).startswith(told)


@pytest.mark.parametrize("num_gpu, gpus, expected",
                         [(1, 0, ["/cpu:0"]), (4, 0, ["/cpu:0"]), (1, 2, ["/gpu:0"])])
def test_a_lone_tower_keeps_its_variables_by_itself(num_gpu, gpus, expected):
    assert towers.tower_devices(num_gpu, gpus) == expected


@pytest.mark.parametrize("cluster, prefix, expected", ids=["one machine", "cluster"], argvalues=[
    (None, "", [("/device:CPU:0", "/device:GPU:0"), ("/device:CPU:0", "/device:GPU:1")]),
    (tf.train.ClusterSpec({"ps": ["p:1"], "worker": ["w:1", "w:2"]}), "/job:worker/task:1",
     [("/job:ps/task:0/device:CPU:0", "/job:worker/task:1/device:GPU:%d" % gpu) for gpu in (0, 1)])])
def test_several_towers_share_variables_on_the_cpu_or_the_parameter_server(cluster, prefix, expected):
    placed = []
    for index, device in enumerate(towers.tower_devices(num_gpu=4, gpus=2, cluster_spec=cluster,
                                                        job_prefix=prefix)):
        with tf1.device(device):
            variable, constant = tf1.get_variable("v%d" % index, [1]), tf.constant(0)
        placed.append((variable.device, constant.device))
    assert placed == expected


@pytest.mark.parametrize("name, custom, num_towers", [
    ("AdamOptimizer", "", 1), ("AdamOptimizer", "", 2), ("GradientDescentOptimizer", "", 1), ("", "bert", 1),
    ("", "radam", 1)])
def test_a_scaled_loss_trains_to_the_same_weights(num_towers, name, custom):
    (_, plain, losses_), (_, scaled, scaled_losses) = (
        train(4, num_towers, clip=.1, penalty=1.0, model="MoeModel",
              optimizer=lambda rate: optimizers.create(name, custom, .1 * rate, scale_loss=scale))
        for scale in (False, True))
    assert losses_ == scaled_losses  # to the last bit, as the scale is a power of two
    assert set(plain) == set(scaled) and all(np.array_equal(plain[name], scaled[name]) for name in plain)


def test_a_step_without_finite_gradients_updates_nothing(monkeypatch):
    monkeypatch.setattr(losses.CrossEntropyLoss, "calculate_loss",
                        lambda self, predictions, labels, weights=None: tf.reduce_sum(predictions) * 1e37)
    start, end, _ = train(1, optimizer=lambda rate: optimizers.create("AdamOptimizer", "", rate, scale_loss=True))
    assert all(np.array_equal(start[name], end[name]) for name in start)
