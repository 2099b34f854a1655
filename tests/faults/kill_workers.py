"""Kills a worker of a Dask cluster at random moments of an inference, and compares the CSVs with a single process's.

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


def is_same(scenario, cluster, work, seconds):
    """Whether an inference writes the same if a worker is killed after some seconds; None kills none."""
    with runner.Run("inference", scheduler=cluster.address, **scenario.flags(work)) as run:
        if seconds is not None:
            dask_processes.kill_after(seconds, cluster)
        if run.wait():
            print(run.errors)
            return False
    scenario.check_finished(work)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="workers to kill")
    parser.add_argument("--seed", type=int, default=None, help="seed of the moments")
    arguments = parser.parse_args()
    folder, chance = tempfile.mkdtemp(), random.Random(arguments.seed)
    try:
        scenario = Inference(os.path.join(folder, "inference"))
        with dask_processes.Cluster(num_workers=2) as cluster:
            start = time.time()
            assert is_same(scenario, cluster, scenario.new_work("timed"), None)
            duration = time.time() - start
            same = sum(is_same(scenario, cluster, scenario.new_work(str(number)), chance.uniform(0, duration))
                       for number in range(arguments.times))
    finally:
        shutil.rmtree(folder)
    print("%d inferences of %.1f s, a worker killed in each: %d the same" % (
        arguments.times, duration, same))
    sys.exit(0 if same == arguments.times else 1)


if __name__ == "__main__":
    main()
