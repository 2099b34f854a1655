"""Kills the programs at random moments, checks their files, and runs them again to the end.

  .venv/bin/python tests/faults/kill.py --times=20

Prints, for each program, how many kills left nothing half-written and how many of the next runs ended like an
uninterrupted one; exits with 1 if any did not.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback

if __name__ == "__main__":  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tests.faults.scenarios import SCENARIOS


def kill_at(scenario, work, seconds):
    """Runs a program and kills it after some seconds; returns whether it was still running."""
    with scenario.start(work) as run:
        deadline = time.time() + seconds
        while run.is_running and time.time() < deadline:
            time.sleep(.001)
        killed = run.is_running
        run.kill()
    return killed


def attempt(scenario, work, seconds):
    """[Whether the program was killed, nothing was half-written, the next run came to the end]."""
    killed = kill_at(scenario, work, seconds)
    outcome = [killed]
    for check in scenario.check_killed, scenario.finish:
        try:
            check(work)
            outcome.append(True)
        except AssertionError:
            traceback.print_exc()
            outcome.append(False)
    return outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="kills of each program")
    parser.add_argument("--seed", type=int, default=None, help="seed of the moments")
    parser.add_argument("--programs", nargs="*", default=list(SCENARIOS), choices=list(SCENARIOS))
    arguments = parser.parse_args()
    chance, all_good = random.Random(arguments.seed), True
    for name in arguments.programs:
        folder = tempfile.mkdtemp()
        try:
            scenario = SCENARIOS[name](os.path.join(folder, name))
            start = time.time()
            with scenario.start(scenario.new_work("timed")) as run:
                run.wait()
            duration = time.time() - start
            outcomes = [attempt(scenario, scenario.new_work(str(number)), chance.uniform(0, duration))
                        for number in range(arguments.times)]
        finally:
            shutil.rmtree(folder)
        killed, whole, finished = (sum(column) for column in zip(*outcomes))
        print("%-10s %d runs of %.1f s, %d killed; nothing half-written: %d of %d; the next run came to the end: %d of "
              "%d" % (name, arguments.times, duration, killed, whole, arguments.times, finished, arguments.times),
              flush=True)
        all_good = all_good and whole == finished == arguments.times
    sys.exit(0 if all_good else 1)


if __name__ == "__main__":
    main()
