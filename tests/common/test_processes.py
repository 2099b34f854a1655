"""A function over items by forked processes: order, errors, and what a kill leaves."""
import multiprocessing
import os
import random
import signal
import threading
import time

import numpy as np
import pytest

from src.common import processes
from src.common.errors import InputError

PROCESSES = 2


def test_values_come_in_the_order_of_the_items():
    last_ones_first = processes.map_in_order(lambda item: (time.sleep(.01 * (20 - item)), item)[1], range(20), 4)
    assert list(last_ones_first) == list(range(20))


def test_an_error_comes_in_its_items_place():
    def inverse(item):
        if not item:
            raise InputError("0 has no inverse.")
        return 1 / item

    values = processes.map_in_order(inverse, [1, 2, 0, 4], PROCESSES)
    assert [next(values), next(values)] == [1, .5]
    with pytest.raises(InputError, match="^0 has no inverse.$"):
        next(values)
    assert not multiprocessing.active_children()


def test_no_more_than_two_items_a_process_are_under_way():
    taken = []
    values = processes.map_in_order(lambda item: item, (taken.append(item) or item for item in range(100)), PROCESSES)
    for item in range(10):
        assert next(values) == item
        assert len(taken) <= item + 1 + 2 * PROCESSES
    values.close()
    assert not multiprocessing.active_children()


def map_and_lose_one(seed):
    """Exits with 0 if the loss of a process at a random moment gives the sentence, and leaves no other."""
    at = random.Random(seed).uniform(.05, .5)
    values = processes.map_in_order(lambda item: np.full(1 << 19, item), iter(int, 1), PROCESSES)  # 4 MB each, forever
    next(values)
    threading.Timer(at, lambda: os.kill(random.choice(multiprocessing.active_children()).pid, signal.SIGKILL)).start()
    with pytest.raises(InputError, match="One of the 2 processes at work was killed"):
        for _ in values:
            pass
    assert not multiprocessing.active_children()


def test_a_killed_process_is_noticed_whatever_it_was_at():
    for seed in range(16):
        run = multiprocessing.get_context("fork").Process(target=map_and_lose_one, args=[seed])
        run.start()
        run.join(30)
        assert run.exitcode == 0, "still waiting" if run.exitcode is None else "failed"
