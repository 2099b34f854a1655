"""Every test builds its own graph."""
import pytest
import tensorflow as tf

tf.compat.v1.logging.set_verbosity("ERROR")


@pytest.fixture(autouse=True)
def fresh_graph():
    with tf.Graph().as_default():
        yield
