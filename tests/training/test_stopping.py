"""Training stops on request, whatever it waits for."""
import os
import signal
import time

import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.trained import checkpoints
from src.trained import train_dir
from src.training import losses
from src.training import stopping
from src.training import tf_cluster
from src.training import towers
from src.training import trainer
from tests.programs import runner

tf1 = tf.compat.v1


def stall(saves, seconds):
    """Work that waits within TensorFlow for what never comes.

    Args:
      saves: what becomes of an attempt to save, a key of the dict below.
      seconds: GRACE_SECONDS and LAST_SECONDS.
    """
    stopping.GRACE_SECONDS, stopping.LAST_SECONDS = seconds

    def work(stop):
        with tf.Graph().as_default(), tf1.Session() as session:
            nothing = tf.queue.FIFOQueue(1, [tf.int32]).dequeue()
            stop.save = {"nothing to save": None, "saves": lambda: print("saved", flush=True),
                         "stalls as well": lambda: session.run(nothing)}[saves]
            print("stalled", flush=True)
            session.run(nothing)

    stopping.run(work)


class Reader(object):
    """Features as they are."""

    num_classes = 4

    def model_input_raw(self, batch):
        return batch["features"]


def examples():
    """Stalls after three batches."""
    for _ in range(3):
        yield np.ones([2, 6], "f4")
    print("stalled", flush=True)
    time.sleep(1000)


def train(folder):
    """Training whose data stall after three steps."""
    stopping.GRACE_SECONDS = 1.0

    def work(stop):
        with tf.Graph().as_default():
            checkpoints.create_global_step()
            iterator = tf1.data.make_one_shot_iterator(tf.data.Dataset.from_generator(examples, tf.float32, [2, 6]))
            labels = tf.SparseTensor([[0, 1]], [1.0], [2, 4])
            graph = towers.build(models.create("LogisticModel"), Reader(),
                                 lambda: {"labels": labels, "features": iterator.get_next()}, ["/cpu:0"],
                                 losses.Objective(losses.create("CrossEntropyLoss")),
                                 towers.Updates(lambda step: (tf1.train.AdamOptimizer(), tf.constant(.1))))
            trainer.train(graph, trainer.Run(folder, 2, 1000), tf_cluster.Task(None), stop, train_dir.start(folder))

    stopping.run(work)


def stopped(signals, function, *args):
    """Sends signals to a process that runs a function once it has stalled -> exit code, later output, errors."""
    with runner.Process(function, *args) as process:
        process.wait_for(lambda: process.output == "stalled\n")
        for number in signals:
            os.kill(process.pid, number)
        return process.wait(), process.output[len("stalled\n"):], process.errors


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_work_that_has_nothing_to_save_ends_at_once(number, code):
    assert stopped([number], stall, "nothing to save", (100.0, 100.0)) == (code, "", "interrupted.\n")


@pytest.mark.parametrize("saves, saved", [("saves", "saved\n"), ("stalls as well", "")])
def test_stalled_work_is_saved_and_ended(saves, saved):
    assert stopped([signal.SIGTERM], stall, saves, (.2, 1.0)) == (
        143, saved, "stalled: the process ended without waiting.\n")


def test_a_second_signal_ends_stalled_work_at_once():
    code, output, errors = stopped([signal.SIGTERM, signal.SIGINT], stall, "saves", (100.0, 100.0))
    assert code in (130, 143) and (output, errors) == ("", "interrupted.\n")  # two signals at hand come in any order


def test_a_checkpoint_is_saved_while_a_step_is_stalled(tmp_path):
    code, _, errors = stopped([signal.SIGTERM], train, str(tmp_path))
    assert code == 143, errors
    assert checkpoints.steps(str(tmp_path)) == [3]
    assert tf.train.load_variable(checkpoints.path(str(tmp_path), 3), "global_step") == 3


def test_the_chief_is_asked_about_with_whether_training_has_begun():
    asked = []

    def work(stop):
        while not stop.ended:
            if asked:
                stop.save = lambda: None
            time.sleep(.01)

    def chief_is_done(training):
        asked.append(training)
        return training

    stopping.run(work, chief_is_done)
    assert asked == [False, True]


def test_what_the_work_returns_or_raises_is_passed_on():
    assert stopping.run(lambda stop: 7) == 7
    with pytest.raises(KeyError):
        stopping.run(lambda stop: {}[1])
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
