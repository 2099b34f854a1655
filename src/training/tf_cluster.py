"""This process's task in a cluster, as TF_CONFIG describes it, and how the tasks learn of each other's end.

Between-graph replication: parameter servers hold the variables, the chief and the workers train on them without waiting
for each other, and the chief alone saves the model. TensorFlow 1.15's servers never end by themselves. Therefore the
chief marks each parameter server when it is done, and the others check whether the chief still answers. A worker that
has made its last step waits until the chief has saved it: without that save the training is lost.
"""
import contextlib
import logging
import socket
import threading
import time

import tensorflow as tf

from src.common import runtime
from src.common import tf_config
from src.common.errors import InputError
from src.trained import checkpoints

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")

GONE_SECONDS = 60.0  # without an answer until the chief counts as gone, in case it is started again
SAY_SECONDS = 30.0  # between log lines about missing tasks
_CALL_SECONDS = 5.0  # a call to another task
_WORKERS_SECONDS = 30.0  # for the workers to end before their parameter servers do
_SAVE_SECONDS = 2.0  # between looks for the chief's last checkpoint


class Task(object):
    """This process's task in the cluster that TF_CONFIG describes; without a cluster, or as its only task, it is alone.

    Args:
      text: TF_CONFIG, JSON as AI Platform and Vertex AI set it, or None.

    Raises:
      InputError: TF_CONFIG is malformed, or the task cannot serve at its address.
    """

    def __init__(self, text):
        config = _parsed(text)
        cluster, self.job, self.index = config
        self.cluster_spec = self.server = None
        self.target, self.prefix = "", ""
        self.is_chief = True
        if config.num_tasks > 1:
            _check(config)
            self.is_chief = config.is_chief
            self._cluster = cluster
            self.cluster_spec = tf.train.ClusterSpec(cluster)
            self.prefix = "/job:%s/task:%d" % (self.job, self.index)
            address = cluster[self.job][self.index]
            try:
                self.server = tf.distribute.Server(self.cluster_spec, job_name=self.job, task_index=self.index)
            except tf.errors.OpError as error:
                raise InputError("TF_CONFIG's task %s %d cannot serve at %s (%s): is the port in use? Give another one."
                                 % (self.job, self.index, address, runtime.message(error).split("\n")[0]))
            self.target = self.server.target

    def others(self, *jobs):
        """Addresses of the tasks of some jobs."""
        return [address for job in jobs for address in self._cluster.get(job, [])]


def _parsed(text):
    """The Config of the tasks that train."""
    config = tf_config.parse(text)
    config.cluster.pop("evaluator", None)
    if config.job == "evaluator" and config.cluster:
        raise InputError("TF_CONFIG makes this task an evaluator, for which train.py has nothing to do: run eval.py "
                         "--norun_once there instead.")
    return config


def _check(config):
    """Checks a cluster of several tasks.

    Raises:
      InputError: the cluster cannot train, or this task is not in it.
    """
    tf_config.check_one_chief(config)
    if not (config.chiefs and config.cluster.get("ps")):
        raise InputError("TF_CONFIG has several tasks, but not both a master (or chief), which saves the model, and "
                         "a parameter server (ps): add them.")
    tf_config.check_addresses(config)


def _answers(address):
    """Whether a task listens at its address."""
    with contextlib.suppress(OSError), contextlib.closing(
            socket.create_connection(tf_config.host_and_port(address), timeout=_CALL_SECONDS)):
        return True
    return False


class _Marks(object):
    """Marks on the parameter servers that training has ended."""

    def __init__(self, task):
        self._task, self._graph, self._sessions = task, tf.Graph(), {}
        with self._graph.as_default():
            self._marks = []
            for index in range(task.cluster_spec.num_tasks("ps")):
                with tf.device("/job:ps/task:%d/cpu:0" % index):
                    self._marks.append(tf1.get_variable("training_ended_%d" % index, [], tf.bool,
                                                        tf1.zeros_initializer(), use_resource=False))
            self._set = [tf1.assign(mark, True) for mark in self._marks]

    def set(self, index):
        """Sets the mark on a parameter server; waits until it answers."""
        self._run(index, self._set[index])

    def is_set(self, index):
        """Whether the mark on a parameter server is set; waits until it answers."""
        return bool(self._run(index, self._marks[index]))

    def _run(self, index, fetch):
        """Runs a fetch; None if that fails, such as while the mark is not initialized because it was never set."""
        try:
            if index not in self._sessions:
                # Without the filter the session would wait for the other parameter servers, too.
                config = tf1.ConfigProto(device_filters=["/job:ps/task:%d" % index, self._task.prefix])
                self._sessions[index] = tf1.Session(self._task.target, self._graph, config)
            return self._sessions[index].run(fetch)
        except tf.errors.FailedPreconditionError:
            return None
        except tf.errors.OpError:
            self._sessions.pop(index, None)
            return None


def announce_end(task):
    """The chief's message to all parameter servers that answer: training is done."""
    if task.cluster_spec:
        marks = _Marks(task)
        telling = [threading.Thread(target=marks.set, args=(index,), daemon=True)
                   for index in range(task.cluster_spec.num_tasks("ps"))]
        for thread in telling:
            thread.start()
        for thread in telling:
            thread.join(_CALL_SECONDS)


class Watch(object):
    """Function that returns whether the chief is done, and logs which tasks are missing before training begins.

    It waits without end for a chief or a parameter server that never answered.

    Args:
      task: this process's Task.
      train_dir: where the chief saves.
      max_steps: global step at which training ends; None: with the data.
      training: whether this task trains already. Then the chief was there, even if too shortly to answer.

    Raises:
      InputError: the chief was there, has not answered for GONE_SECONDS, and has not saved the last step.
    """

    def __init__(self, task, train_dir, max_steps):
        self._task, self._train_dir, self._max_steps, self._said = task, train_dir, max_steps, time.time()
        self._address, = task.others(*tf_config.CHIEFS)
        self._answered = None  # time of the chief's last answer
        self._done = threading.Event()
        if not task.is_chief:
            threading.Thread(target=self._look_for_mark, args=(task,), daemon=True).start()

    def _look_for_mark(self, task):
        """Waits for the mark on this parameter server, for a worker on the first; runs in a thread of its own."""
        marks = _Marks(task)
        while not marks.is_set(task.index if task.job == "ps" else 0):
            time.sleep(1.0)
        self._done.set()

    def __call__(self, training=False):
        if not training:
            self._say_for_whom()
        if self._done.is_set():
            return True
        if self._task.is_chief:
            return False
        if _answers(self._address) or (training and self._answered is None):
            self._answered = time.time()
        if self._answered is not None and time.time() - self._answered > GONE_SECONDS:
            if self._max_steps is not None and _saved_step(self._train_dir) >= self._max_steps:
                log.info("the chief at %s is gone: it has saved the last step", self._address)
                return True
            raise InputError("The chief at %s is gone: training ends, its last checkpoint stays. Start all tasks again."
                             % self._address)
        return False

    def _say_for_whom(self):
        if time.time() - self._said >= SAY_SECONDS:
            self._said = time.time()
            needed = [] if self._task.is_chief else [("chief", self._address)]
            if self._task.job != "ps":
                needed += [("parameter server", address) for address in self._task.others("ps")]
            missing = ["%s at %s" % (what, address) for what, address in needed if not _answers(address)]
            if missing:
                log.info("waiting for the %s", ", the ".join(missing))


def _saved_step(train_dir):
    """Step of the newest checkpoint; -1 if there is none, or if the folder cannot be listed at the moment."""
    with contextlib.suppress(InputError, tf.errors.OpError):
        return max(checkpoints.steps(train_dir), default=-1)
    return -1


def wait_for_save(stop, train_dir, step):
    """Waits on a worker until the chief has saved a step or is done, or until this process should stop.

    Meanwhile the Watch ends the process if the chief is gone.

    Args:
      stop: stopping.Stop.
      train_dir: where the chief saves.
      step: the last one of the training, as far as this worker knows.
    """
    said = None
    while not stop.requested and _saved_step(train_dir) < step:
        if said is None or time.time() - said >= SAY_SECONDS:
            said = time.time()
            log.info("step %d is done: waiting for the chief to save it", step)
        time.sleep(_SAVE_SECONDS)


def serve(task, train_dir, max_steps):
    """The work of a parameter server: returns when the chief is done and the workers have had time to end.

    Args:
      task: this process's Task.
      train_dir: where the chief saves.
      max_steps: global step at which training ends; None: with the data.

    Raises:
      InputError: the chief is gone.
    """
    chief_is_done = Watch(task, train_dir, max_steps)
    log.info("parameter server at %s: serving until the chief is done", task.others("ps")[task.index])
    while not chief_is_done():
        time.sleep(1.0)
    deadline = time.time() + _WORKERS_SECONDS
    while time.time() < deadline and any(map(_answers, task.others("worker", *tf_config.CHIEFS))):
        time.sleep(.5)
    log.info("the chief is done")
