"""Training stops on request, whatever it waits for."""
import os
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from src.trained import checkpoints
from src.training import stopping

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Work that waits within TensorFlow for what never comes; %s may set what saves it.
STALLED = """
from src.training import stopping
import tensorflow as tf
stopping.GRACE_SECONDS, stopping.LAST_SECONDS = 1.0, 3.0

def work(stop):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        nothing = tf.queue.FIFOQueue(1, [tf.int32]).dequeue()
        %s
        print("stalled", flush=True)
        session.run(nothing)

stopping.run(work)
"""
# Training whose data stall after three steps.
TRAINING = """
import sys, time
import numpy as np
import tensorflow as tf
from src import models
from src.trained import checkpoints, train_dir
from src.training import tf_cluster, losses, stopping, towers, trainer
stopping.GRACE_SECONDS = 1.0

class Reader(object):
    num_classes = 4

    def model_input_raw(self, batch):
        return batch["features"]

def examples():
    for _ in range(3):
        yield np.ones([2, 6], "f4")
    print("stalled", flush=True)
    time.sleep(1000)

def work(stop):
    with tf.Graph().as_default():
        checkpoints.create_global_step()
        features = tf.data.Dataset.from_generator(examples, tf.float32, [2, 6])
        labels = tf.SparseTensor([[0, 1]], [1.0], [2, 4])
        iterator = tf.compat.v1.data.make_one_shot_iterator(features)
        next_batch = lambda: {"labels": labels, "features": iterator.get_next()}
        graph = towers.build(models.create("LogisticModel"), Reader(), next_batch, ["/cpu:0"],
                             losses.Objective(losses.create("CrossEntropyLoss")),
                             towers.Updates(lambda step: (tf.compat.v1.train.AdamOptimizer(), tf.constant(.1))))
        trainer.train(graph, trainer.Run(sys.argv[1], 2, 1000), tf_cluster.Task(None), stop,
                      train_dir.start(sys.argv[1]))

stopping.run(work)
"""


def start(script, *arguments):
    """Starts a script; returns once it has stalled."""
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", script] + list(arguments), cwd=PROJECT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert process.stdout.readline() == "stalled\n"
    return process


def outcome(process):
    """-> exit code, standard output, standard error."""
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_work_that_has_nothing_to_save_ends_at_once(number, code):
    process = start(STALLED % "pass")
    process.send_signal(number)
    assert outcome(process) == (code, "", "interrupted.\n")


@pytest.mark.parametrize("saving, saved", [
    ("stop.save = lambda: print('saved', flush=True)", "saved\n"),
    ("stop.save = lambda: session.run(nothing)", ""),  # it stalls as well
])
def test_stalled_work_is_saved_and_ended(saving, saved):
    process = start(STALLED % saving)
    process.send_signal(signal.SIGTERM)
    assert outcome(process) == (143, saved, "stalled: the process ended without waiting.\n")


def test_a_second_signal_ends_stalled_work_at_once():
    process = start((STALLED % "stop.save = lambda: print('saved')").replace("1.0, 3.0", "100.0, 100.0"))
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    code, output, errors = outcome(process)
    assert code in (130, 143) and (output, errors) == ("", "interrupted.\n")  # two signals at hand come in any order


def test_a_checkpoint_is_saved_while_a_step_is_stalled(tmp_path):
    process = start(TRAINING, str(tmp_path))
    process.send_signal(signal.SIGTERM)
    code, _, errors = outcome(process)
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
