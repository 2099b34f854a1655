"""The signals of the golden figures."""
import os

import numpy as np

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "extract")


def golden(name):
    """{name: array} of a file of golden figures."""
    with np.load(os.path.join(GOLDEN, name + ".npz")) as found:
        return dict(found)


def signals(rate, seconds):
    """{name: float64 [samples]}."""
    times = np.arange(int(round(rate * seconds))) / float(rate)
    return {"sine": np.sin(2 * np.pi * 1000 * times),
            "chirp": .5 * np.sin(2 * np.pi * (50 * times + (7900 - 50) / (2 * seconds) * times * times)),
            "noise": .1 * np.random.RandomState(0).standard_normal(len(times)),
            "silence": np.zeros(len(times))}


def stereo(rate):
    """The mean of two channels, float32 [samples], 2.5 s."""
    found = signals(rate, 2.5)
    channels = np.stack([.4 * found["chirp"] + found["noise"], .3 * found["sine"]], axis=1).astype(np.float32)
    return channels.mean(axis=1, dtype=np.float32)
