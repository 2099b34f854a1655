"""Every test builds its own graph."""
import pytest
import tensorflow as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    with tf.Graph().as_default():
        yield
