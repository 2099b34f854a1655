"""Kills or stops a worker of a Dask cluster at random moments of an inference, from its first second on.

Each time the CSVs are compared with a single process's. A stopped worker (SIGSTOP) keeps its connections but does not
answer; it loses its tasks to the others after some seconds.

  .venv/bin/python tests/faults/kill_workers.py --times=20

Prints how many of the inferences wrote the same bytes; exits with 1 if any did not.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests import records
from tests.faults import scenarios
from tests.programs import dask_processes
from tests.programs import runner

SHARDS, VIDEOS = 40, 2
TIMEOUT_SECS = 5  # of a stopped worker


class Inference(scenarios.Inference):
    """Ranks the segments of several groups of shards."""

    def prepare(self):
        super(Inference, self).prepare()
        for shard in range(SHARDS):
            records.write(os.path.join(self.folder, "archive%04d.tfrecord" % shard),
                          [records.random_record(VIDEOS * shard + number, 100) for number in range(VIDEOS)])

    def flags(self, work):
        return dict(super(Inference, self).flags(work), shift="0,1", segment_max_pred=500,
                    input_data_pattern=os.path.join(self.folder, "archive*.tfrecord"))

    def check_finished(self, work):
        for name in "out.csv", "out_shift1.csv":
            with open(os.path.join(work, name)) as stream, open(os.path.join(self.reference, name)) as expected:
                assert stream.read() == expected.read()


def is_same(scenario, cluster, work, fault=None, seconds=0):
    """Whether an inference writes the same if a worker has a fault after some seconds.

    Args:
      fault: a function of the seconds and the cluster that kills or stops a worker, or None.
    """
    with runner.Run("inference", scheduler=cluster.address, cluster_timeout_secs=TIMEOUT_SECS,
                    **scenario.flags(work)) as run:
        if fault:
            fault(seconds, cluster)
        if run.wait():
            print(run.errors)
            return False
    scenario.check_finished(work)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="workers to kill, and as many to stop")
    parser.add_argument("--seed", type=int, default=None, help="seed of the moments")
    arguments = parser.parse_args()
    folder, chance = tempfile.mkdtemp(), random.Random(arguments.seed)
    try:
        scenario = Inference(os.path.join(folder, "inference"))
        with dask_processes.Cluster(num_workers=2) as cluster:
            start = time.time()
            assert is_same(scenario, cluster, scenario.new_work("timed"))
            duration = time.time() - start
        same = 0
        for fault in dask_processes.kill_after, dask_processes.stop_after:
            for number in range(arguments.times):
                with dask_processes.Cluster(num_workers=2) as cluster:  # whose workers have to load the model, too
                    same += is_same(scenario, cluster, scenario.new_work("%s%d" % (fault.__name__, number)), fault,
                                    chance.uniform(0, duration))
    finally:
        shutil.rmtree(folder)
    print("%d inferences of %.1f s, a worker killed or stopped in each: %d the same" % (
        2 * arguments.times, duration, same))
    sys.exit(0 if same == 2 * arguments.times else 1)


if __name__ == "__main__":
    main()
