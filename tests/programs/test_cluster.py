"""inference.py on a Dask cluster: the same bytes as from a single process, whatever happens to the workers."""
import os
import re
import signal
import subprocess
import sys

import distributed
import numpy as np
import pytest

from src.data import pipeline
from tests import records
from tests.programs import dask_processes
from tests.programs import runner
from tests.programs.conftest import make_video
from tests.programs.conftest import serialized

SHARDS = 4 * pipeline.GROUP_SHARDS - 1
SHIFTS = "-1,0,2"
TWICE = re.compile(r"video .* is in .* and again in .*: the first is kept")


def write_shards(folder):
    """Glob of new shards of two videos each; some videos occur twice."""
    for shard in range(SHARDS):
        videos = [make_video(2 * shard + number, 17 + 3 * number + shard % 7) for number in range(2)]
        if shard == 9:
            videos.insert(0, make_video(3, 40))  # also in shard 1, where it is shorter
        if shard == 11:
            videos.append(videos[0])
        records.write(folder / ("test%04d.tfrecord" % shard), map(serialized, videos))
    return str(folder / "test*.tfrecord")


@pytest.fixture(scope="module")
def flags(evaluated, data, tmp_path_factory):
    """Flags of inference.py that rank the segments, in batches of two videos."""
    return dict(train_dir=evaluated, input_data_pattern=write_shards(tmp_path_factory.mktemp("archive")),
                segment_labels=True, batch_size=120, segment_label_ids_file=data.label_ids, top_k=5,
                segment_max_pred=40, shift=SHIFTS)


def outputs(folder, **flags):
    """({name: content} of the files that inference.py writes, its standard error)."""
    said = runner.succeed("inference", output_file=folder / "out.csv", **flags)
    return {path.name: path.read_bytes() for path in folder.iterdir()}, said


@pytest.fixture(scope="module")
def alone(flags, tmp_path_factory):
    """The outputs of a single process."""
    return outputs(tmp_path_factory.mktemp("alone"), **flags)


@pytest.fixture(scope="module")
def cluster():
    with dask_processes.Cluster(num_workers=2) as started:
        yield started


def test_readers_ahead_change_nothing(flags, alone, tmp_path):
    assert sorted(alone[0]) == ["out.csv", "out_shift-1.csv", "out_shift2.csv"]
    assert outputs(tmp_path, num_readers=1, **flags)[0] == alone[0]


def test_a_cluster_ranks_as_one_process_does(flags, alone, cluster, tmp_path):
    written, said = outputs(tmp_path, scheduler=cluster.address, **flags)
    assert written == alone[0]
    assert len(TWICE.findall(said)) == 2 and set(TWICE.findall(said)) == set(TWICE.findall(alone[1]))
    segments = re.compile(r"inference: \d+ segments in")
    assert segments.findall(said) == segments.findall(alone[1])


@pytest.mark.parametrize("changed", [
    dict(output_prob=True), dict(skip_first_segments=1, skip_last_segments=1),
    dict(segment_labels=False, shift="0", batch_size=3)])
def test_a_cluster_writes_scores_as_one_process_does(flags, changed, cluster, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    flags = dict(flags, **changed)
    assert outputs(here, **flags)[0] == outputs(there, scheduler=cluster.address, **flags)[0]


@pytest.fixture(scope="module")
def with_prior(flags, tmp_path_factory):
    """Flags with predictions for all videos but two."""
    path = tmp_path_factory.mktemp("videos") / "videos.csv"
    runner.succeed("inference", output_file=path, **dict(flags, segment_labels=False, shift="0", top_k=3862))
    path.write_text("".join(path.read_text().splitlines(True)[:-2]))
    return dict(flags, video_predictions=os.path.relpath(str(path)), candidates="1,4", prior_weight="0,0.5")


def test_a_cluster_takes_candidates_as_one_process_does(with_prior, cluster, tmp_path):
    lacking = re.compile(r"\d+ of the \d+ segments are of videos that")
    for name, flags, num_outputs in ("ranked", with_prior, 12), (
            "scored", dict(with_prior, output_prob=True, shift="0", candidates="4"), 2):  # one per prior
        here, there = tmp_path / name, tmp_path / (name + "_there")
        here.mkdir(), there.mkdir()
        written, said = outputs(here, **flags)
        assert len(written) == num_outputs
        written_there, said_there = outputs(there, scheduler=cluster.address, **flags)
        assert written_there == written
        assert lacking.findall(said_there) == lacking.findall(said) and len(lacking.findall(said)) == 1


def test_another_batch_size_swaps_only_what_differs_by_rounding(flags, alone, tmp_path):
    for name in "ranked", "scored":
        (tmp_path / name).mkdir()
    flags = dict(flags, shift="0", batch_size=420)  # seven videos
    ranked = outputs(tmp_path / "ranked", **flags)[0]["out.csv"]
    scored = outputs(tmp_path / "scored", output_prob=True, **dict(flags, top_k=9))[0]["out.csv"]
    scores = {}
    for line in scored.splitlines()[1:]:
        segment, pairs = line.split(b",")
        scores[segment] = dict(zip(pairs.split(b" ")[::2], map(float, pairs.split(b" ")[1::2])))
    rows = zip(ranked.splitlines()[1:], alone[0]["out.csv"].splitlines()[1:])
    for (label, here), (label_there, there) in ((row.split(b",") for row in pair) for pair in rows):
        values, values_there = ([scores[segment][label] for segment in row.split(b" ")] for row in (here, there))
        assert label == label_there
        np.testing.assert_allclose(values, values_there, rtol=1e-5)  # six digits are written


def test_workers_are_started_and_stopped_as_dask_does(flags, alone, tmp_path):
    path, dask = str(tmp_path / "scheduler.json"), os.path.join(os.path.dirname(sys.executable), "dask-")
    (tmp_path / "out").mkdir()
    common = dict(cwd=runner.PROJECT, env=dict(os.environ, PYTHONPATH="."), stdout=subprocess.DEVNULL,
                  stderr=subprocess.DEVNULL)
    scheduler = subprocess.Popen([dask + "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                  "--scheduler-file", path], **common)
    worker = subprocess.Popen([dask + "worker", "--scheduler-file", path, "--nthreads", "1", "--no-dashboard",
                               "--local-directory", str(tmp_path)], **common)
    try:
        runner.wait_until(lambda: os.path.exists(path) and os.path.getsize(path))
        address = re.search(r"tcp://[0-9.:]+", open(path).read()).group()
        assert outputs(tmp_path / "out", scheduler=address, **flags)[0] == alone[0]
    finally:
        for process in worker, scheduler:
            process.terminate()
            process.wait(30)


def test_one_worker_process_per_gpu(flags, alone, tmp_path):
    before = os.listdir(".")
    files, errors = outputs(tmp_path, num_gpu=2, **flags)
    assert files == alone[0]
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in errors.splitlines()), errors  # none is Dask's
    assert os.listdir(".") == before  # Dask's own default leaves a folder here


def test_a_killed_worker_changes_nothing(flags, alone, tmp_path):
    """faults/kill_workers.py kills them at random moments."""
    with dask_processes.Cluster(num_workers=2) as cluster:
        with runner.Run("inference", output_file=tmp_path / "out.csv", scheduler=cluster.address, **flags) as run:
            run.wait_to_say("of step")
            dask_processes.kill_after(.3, cluster)
            assert run.wait() == 0, run.errors
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == alone[0]


# One sentence per fault.


def sentence(folder, **flags):
    """The sentence of an inference.py that fails and writes nothing."""
    folder.mkdir(exist_ok=True)
    code, errors = runner.run("inference", output_file=folder / "out.csv", **flags)
    assert code == 1 and not list(folder.iterdir()), errors
    assert "Traceback" not in errors
    return errors.splitlines()[-1]


def test_a_corrupt_shard_gets_the_sentence_of_one_process(flags, data, cluster, tmp_path):
    pattern = write_shards(tmp_path)
    shard = tmp_path / "test0013.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-5])
    flags = dict(flags, input_data_pattern=pattern)
    told = sentence(tmp_path / "out", **flags)
    assert "test0013.tfrecord, record 1 (byte" in told
    assert sentence(tmp_path / "out", scheduler=cluster.address, **flags) == told


def test_no_scheduler_and_no_worker(flags, tmp_path):
    assert "No scheduler answers at tcp://127.0.0.1:1 (" in sentence(
        tmp_path, scheduler="tcp://127.0.0.1:1", cluster_timeout_secs=2, **flags)
    assert "No scheduler answers at nonsense://x (" in sentence(tmp_path, scheduler="nonsense://x", **flags)
    with dask_processes.Cluster() as cluster:
        assert "%s has had no worker for 2 s: start dask-worker" % cluster.address in sentence(
            tmp_path, scheduler=cluster.address, cluster_timeout_secs=2, **flags)


def test_a_worker_of_another_version_or_without_the_files(flags, with_prior, tmp_path):
    with dask_processes.Cluster() as cluster:
        other = cluster.add_worker(version="another")
        assert "runs another version of the code: start it in a copy" in sentence(
            tmp_path, scheduler=cluster.address, **flags)
        dask_processes.kill(other)
        for name in "test0000.tfrecord", "videos.csv":
            worker = cluster.add_worker(hidden=name)
            assert re.search("worker tcp://.* cannot read a file that this process can [(].*%s does not exist.*[)] "
                             "Give it the same files" % name,
                             sentence(tmp_path, scheduler=cluster.address, **with_prior))
            dask_processes.kill(worker)


def test_a_worker_without_the_code_beside_another(flags, cluster, tmp_path):
    worker = subprocess.Popen(
        [os.path.join(os.path.dirname(sys.executable), "dask-worker"), cluster.address, "--nthreads", "1", "--no-nanny",
         "--no-dashboard", "--local-directory", str(tmp_path)],
        cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    try:
        assert any("Registered to:" in line for line in worker.stdout)
        assert re.search("error: The worker tcp://.* cannot load the code [(]ModuleNotFoundError: No module named "
                         "'src'[)]: start dask-worker with PYTHONPATH=. in a copy of this project",
                         sentence(tmp_path / "out", scheduler=cluster.address, **flags))
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()


def test_a_paused_worker_is_named_and_not_waited_for_without_end(flags, tmp_path):
    with dask_processes.Cluster() as cluster:
        cluster.add_worker(memory_limit=200 * 10 ** 6)  # less than TensorFlow takes
        assert re.search("error: No worker of %s has worked for 3 s: tcp://.* is paused, as it holds [0-9]+ MB of its "
                         "memory limit of 200 MB. To go on, give dask-worker a larger --memory-limit" % cluster.address,
                         sentence(tmp_path, scheduler=cluster.address, cluster_timeout_secs=3, **flags))


def test_a_worker_that_is_lost_before_it_is_ready_is_no_scheduler_that_is_gone(flags, alone, tmp_path):
    with dask_processes.Cluster(num_workers=1) as cluster:
        with distributed.Client(cluster.address, set_as_default=False) as client:
            client.wait_for_workers(1, runner.TIMEOUT)
        os.kill(cluster.workers[0].pid, signal.SIGSTOP)  # so that it is never ready
        with runner.Run("inference", output_file=tmp_path / "out.csv", scheduler=cluster.address, **flags) as run:
            run.wait_to_say("waiting for a worker of %s to load the code: it has 1" % cluster.address)
            dask_processes.kill(cluster.workers[0])
            run.wait_to_say("is gone: the cluster has 0")
            cluster.add_worker()
            assert run.wait() == 0, run.errors
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == alone[0]


def test_a_scheduler_that_is_killed(flags, tmp_path):
    with dask_processes.Cluster() as cluster:
        with runner.Run("inference", output_file=tmp_path / "out.csv", scheduler=cluster.address,
                        cluster_timeout_secs=3, **flags) as run:
            run.wait_to_say("of step")
            cluster.add_worker()
            dask_processes.kill_after(.3, cluster, scheduler=True)
            assert run.wait() == 1
            assert re.search("error: (The scheduler at %s is gone: start it|No scheduler answers at %s )" % (
                cluster.address, cluster.address), run.errors), run.errors  # depends on the moment
            assert "Traceback" not in run.errors
    assert not list(tmp_path.iterdir())
