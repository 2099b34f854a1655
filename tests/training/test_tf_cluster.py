"""Valid and invalid TF_CONFIGs, and how the tasks of a cluster learn of each other's end."""
import json
import signal
import socket
import sys

import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.common.tf_config import JOBS
from src.training import stopping
from src.training import tf_cluster
from tests.programs import runner

TWO = {"master": ["a:1"], "ps": ["b:1"]}


def task(jobs, job, index=0):
    return json.dumps({"cluster": jobs, "task": {"type": job, "index": index}})


@pytest.mark.parametrize("tf_config, sentence", [
    ("{", "TF_CONFIG is not a JSON object with cluster and task: {."),
    ("[]", "TF_CONFIG is not a JSON object with cluster and task: []."),
    ("[" * 10 ** 5, "TF_CONFIG is not a JSON object with cluster and task: [[[["),
    ('{"cluster": {"master": 3}}', "TF_CONFIG is not a JSON object with cluster and task: "),
    ('{"task": {"index": "first"}}', "TF_CONFIG is not a JSON object with cluster and task: "),
    ('{"cluster": {"master": ["a:1"], "worker": ["b:1"]}}',
     "TF_CONFIG has several tasks, but not both a master (or chief), which saves the model, and a parameter server"),
    (task(TWO, "worker"), "TF_CONFIG's task worker 0 is not in its cluster."),
    (task(TWO, "master", -1), "TF_CONFIG's task master -1 is not in its cluster."),
    (task(TWO, "master", 1), "TF_CONFIG's task master 1 is not in its cluster."),
    (task(dict(TWO, chief=["c:1"]), "chief"), "TF_CONFIG has 2 chiefs, master a:1 and chief c:1, which would"),
    (task(dict(TWO, master=["a:1", "c:1"]), "master"), "TF_CONFIG has 2 chiefs, master a:1 and master c:1, "),
    (task({"master": ["a"], "ps": ["b:1"]}, "master"), "TF_CONFIG's task master 0 has the address a: give host:port."),
    (task({"master": ["a:1"], "ps": ["b:99999"]}, "ps"), "TF_CONFIG's task ps 0 has the address b:99999: "),
    (task({"master": ["a:1"], "ps": [7]}, "ps"), "TF_CONFIG's task ps 0 has the address 7: give host:port."),
    (task({"master": ["a:1"], "ps": ["a:1"]}, "ps"), "TF_CONFIG has the address a:1 twice: give each task its own."),
    (task(dict(TWO, tpu=["c:1"]), "master"), "TF_CONFIG has the job tpu: known are master, chief, "),
    (task(TWO, "boss"), "TF_CONFIG has the job boss: known are master, chief, worker, ps, evaluator."),
    (task(dict(TWO, evaluator=["c:1"]), "evaluator"), "TF_CONFIG makes this task an evaluator, for which train"),
    (task({"master": ["a:1"], "evaluator": ["c:1"]}, "evaluator"), "TF_CONFIG makes this task an evaluator"),
])
def test_a_cluster_that_cannot_train_is_refused(tf_config, sentence):
    with pytest.raises(InputError) as raised:
        tf_cluster.Task(tf_config)
    assert str(raised.value).startswith(sentence) and len(str(raised.value)) < 400


@pytest.mark.parametrize("tf_config", [None, "", "{}", '{"cluster": {}}'] + [
    task({job: ["localhost:1"]}, job) for job in JOBS])
def test_a_lone_task_trains(tf_config):
    alone = tf_cluster.Task(tf_config)
    assert alone.is_chief and alone.server is None and alone.cluster_spec is None and alone.target == ""


def test_a_master_beside_an_evaluator_trains_alone():
    alone = tf_cluster.Task(task({"master": ["a:1"], "evaluator": ["b:1"]}, "master"))
    assert alone.is_chief and alone.server is None


def test_a_port_in_use_gets_a_sentence():
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        address = "localhost:%d" % taken.getsockname()[1]
        with pytest.raises(InputError) as raised:
            tf_cluster.Task(task({"master": [address], "ps": ["localhost:1"]}, "master"))
    assert str(raised.value).startswith("TF_CONFIG's task master 0 cannot serve at %s (" % address)


class Task(object):
    """A task of a cluster in which nobody serves."""

    def __init__(self, job):
        self.job, self.is_chief = job, job == "chief"

    def others(self, *jobs):
        return [job + ":1" for job in ("chief", "ps") if job in jobs]


@pytest.fixture
def clock(monkeypatch):
    """A list of the current time, which only the test advances."""
    now = [0.0]
    monkeypatch.setattr(tf_cluster.time, "time", lambda: now[0])
    monkeypatch.setattr(tf_cluster.Watch, "_look_for_mark", lambda self, of_task: None)
    return now


@pytest.fixture
def watched_chief(monkeypatch, clock):
    """A worker's Watch, a list that ends with whether the chief answers, and a list of the time."""
    answers = []
    monkeypatch.setattr(tf_cluster, "_answers", lambda address: answers[-1])
    return tf_cluster.Watch(Task("worker"), "nowhere", 500), answers, clock


def test_the_chief_is_waited_for_then_missed(watched_chief):
    watch, answers, now = watched_chief
    for seconds, answer in [(0, False), (1e6, False), (1, True), (tf_cluster.GONE_SECONDS, False), (0, True),
                            (tf_cluster.GONE_SECONDS, False)]:
        now[0] += seconds
        answers.append(answer)
        assert watch() is False
    now[0] += 1
    with pytest.raises(InputError, match="The chief at chief:1 is gone: training ends, its last checkpoint stays"):
        watch()


@pytest.mark.parametrize("job, there, missing", [
    ("worker", [], "the chief at chief:1, the parameter server at ps:1"),
    ("worker", ["chief:1"], "the parameter server at ps:1"),
    ("worker", ["chief:1", "ps:1"], None),
    ("chief", [], "the parameter server at ps:1"),
    ("ps", [], "the chief at chief:1")])
def test_who_waits_says_for_whom(job, there, missing, monkeypatch, clock, caplog):
    monkeypatch.setattr(tf_cluster, "_answers", lambda address: address in there)
    monkeypatch.setattr(tf_cluster.log, "propagate", True)
    watch = tf_cluster.Watch(Task(job), "nowhere", None)
    with caplog.at_level("INFO", "yt8m"):
        for _ in range(61):
            assert watch() is False
            clock[0] += 1
    assert caplog.messages == ["waiting for " + missing] * 2 if missing else not caplog.messages


def test_a_chief_that_is_gone_before_it_answered_is_missed_by_those_who_train(watched_chief):
    watch, answers, now = watched_chief
    answers.append(False)
    assert watch(training=True) is False
    now[0] += tf_cluster.GONE_SECONDS + 1
    with pytest.raises(InputError, match="The chief at chief:1 is gone"):
        watch(training=True)


@pytest.mark.parametrize("saved, max_steps", [(None, 500), (499, 500), (500, 500), (512, 500), (512, None)])
def test_a_chief_that_has_saved_the_last_step_may_go(saved, max_steps, monkeypatch, clock, tmp_path):
    if saved is not None:
        (tmp_path / ("model.ckpt-%d.index" % saved)).write_text("")
    answers = [True]
    monkeypatch.setattr(tf_cluster, "_answers", lambda address: answers[-1])
    for job in "worker", "ps":
        answers[:] = [True]
        watch = tf_cluster.Watch(Task(job), str(tmp_path), max_steps)
        assert watch() is False
        answers.append(False)
        clock[0] += tf_cluster.GONE_SECONDS + 1
        if saved is not None and max_steps is not None and saved >= max_steps:
            assert watch() is True
        else:
            with pytest.raises(InputError, match="The chief at chief:1 is gone"):
                watch()


@pytest.mark.parametrize("end", ["saved", "chief is done", "SIGTERM", "folder cannot be listed"])
def test_a_worker_waits_until_its_last_step_is_saved(end, monkeypatch, clock, tmp_path, caplog):
    stop, waited = stopping.Stop(), []
    (tmp_path / "model.ckpt-499.index").write_text("")

    def sleep(seconds):
        waited.append(seconds)
        clock[0] += seconds
        if clock[0] < 50:
            return
        if end == "saved":
            (tmp_path / "model.ckpt-501.index").write_text("")
        elif end == "SIGTERM":
            stop.signal = signal.SIGTERM
        else:
            stop.ended = True

    def fail(folder):
        raise tf.errors.UnavailableError(None, None, "the bucket does not answer")

    monkeypatch.setattr(tf_cluster.time, "sleep", sleep)
    monkeypatch.setattr(tf_cluster.log, "propagate", True)
    if end == "folder cannot be listed":
        monkeypatch.setattr(tf_cluster.checkpoints, "steps", fail)
    with caplog.at_level("INFO", "yt8m"):
        tf_cluster.wait_for_save(stop, str(tmp_path), 500)
    assert 50 <= sum(waited) < 60 and max(waited) <= 5
    assert caplog.messages == ["step 500 is done: waiting for the chief to save it"] * 2


def test_a_worker_does_not_wait_for_what_is_saved(monkeypatch, tmp_path):
    (tmp_path / "model.ckpt-500.index").write_text("")
    monkeypatch.setattr(tf_cluster.time, "sleep", lambda seconds: pytest.fail("it waits"))
    tf_cluster.wait_for_save(stopping.Stop(), str(tmp_path), 500)


def _end(jobs):
    """Exits with 0 if a parameter server's mark is set once the chief has announced the end, and not before."""
    chief, server = (tf_cluster.Task(task(jobs, job)) for job in ("master", "ps"))
    marks = tf_cluster._Marks(server)
    before = marks.is_set(0)
    tf_cluster.announce_end(chief)
    sys.exit(0 if (before, marks.is_set(0)) == (False, True) else 1)


def test_the_chiefs_end_is_marked_on_the_parameter_server():
    jobs = dict(zip(("master", "ps"), ([address] for address in runner.free_addresses(2))))
    process = runner.start(_end, jobs)  # servers never end
    process.join(60)
    assert process.exitcode == 0
