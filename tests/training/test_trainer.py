"""The training loop: what stops it, and the checkpoints that it leaves."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from src.trained import checkpoints
from src.trained import train_dir
from src.training import losses
from src.training import stopping
from src.training import tf_cluster
from src.training import towers
from src.training import trainer

tf1 = tf.compat.v1


class Reader(object):
    """Two examples per batch."""

    num_classes = 3

    def next_batch(self):
        return {"features": tf.ones([2, 4]), "labels": tf.SparseTensor([[0, 1]], [1.0], [2, 3])}

    def model_input_raw(self, batch):
        return batch["features"]


class LossOfSteps(object):
    """A loss with a given value at each step."""

    def __init__(self, values):
        self._values = values

    def calculate_loss(self, predictions, labels, label_weights=None):
        del labels, label_weights
        value = tf.gather(np.array(self._values, "f4"), tf1.train.get_global_step())
        return value + 0 * tf.reduce_sum(predictions)


def train(folder, values, export_model_steps=1, after_save=None):
    """Trains a step per loss."""
    checkpoints.create_global_step()
    reader = Reader()
    graph = towers.build(models.create("LogisticModel"), reader, reader.next_batch, ["/cpu:0"],
                         losses.Objective(LossOfSteps(values)),
                         towers.Updates(lambda step: (tf1.train.GradientDescentOptimizer(.1), tf.constant(.1))))
    run = trainer.Run(folder, 2, export_model_steps, max_steps=len(values))
    trainer.train(graph, run, tf_cluster.Task(None), stopping.Stop(), train_dir.start(folder), after_save=after_save)


@pytest.mark.parametrize("loss, name", [(np.inf, "inf"), (-np.inf, "-inf"), (np.nan, "nan")])
def test_a_loss_that_is_not_finite_stops_training_and_is_named(tmp_path, loss, name):
    with pytest.raises(InputError, match="^The loss is %s at step 3: training stops; the last good checkpoint: "
                                         r".*model.ckpt-2\. Lower --base_learning_rate\.$" % name):
        train(str(tmp_path), [1, 1, loss, 1])
    assert checkpoints.steps(str(tmp_path)) == [1, 2]


def test_each_checkpoint_is_announced_once_at_multiples_and_at_the_end(tmp_path):
    saved = []
    train(str(tmp_path), [1] * 5, export_model_steps=2, after_save=lambda path, step: saved.append((path, step)))
    assert saved == [(checkpoints.path(str(tmp_path), step), step) for step in (2, 4, 5)]


def logistic_graph(num_classes):
    reader = Reader()
    reader.num_classes = num_classes
    checkpoints.create_global_step()
    return towers.build(
        models.create("LogisticModel"), reader, lambda: dict(
            features=tf.ones([2, 4]), labels=tf.SparseTensor([[0, 1]], [1.0], [2, num_classes])), ["/cpu:0"],
        losses.Objective(losses.create("CrossEntropyLoss")),
        towers.Updates(lambda step: (tf1.train.GradientDescentOptimizer(.1), tf.constant(.1))))


def test_a_new_run_takes_the_weights_of_a_checkpoint_that_fits(tmp_path):
    train(str(tmp_path), [1])
    with tf.Graph().as_default(), tf1.Session() as session:
        graph = logistic_graph(3)
        session.run(tf1.global_variables_initializer())
        trainer.initializer(checkpoints.path(str(tmp_path), 1), graph)(session)
        for variable in graph.model_variables:
            np.testing.assert_array_equal(session.run(variable), tf.train.load_variable(
                checkpoints.path(str(tmp_path), 1), variable.op.name))
        assert session.run(tf1.train.get_global_step()) == 0


def test_a_checkpoint_that_holds_nothing_of_the_model_is_refused(tmp_path):
    train(str(tmp_path), [1])
    with tf.Graph().as_default(), pytest.raises(InputError, match="holds none of the model's 2 variables "):
        trainer.initializer(checkpoints.path(str(tmp_path), 1), logistic_graph(5))
