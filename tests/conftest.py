"""Every test builds its own graph, and the longest files begin first."""
import pytest
import tensorflow as tf

LONGEST = {"test_models.py", "test_kills.py", "test_cluster.py", "test_train.py"}


@pytest.fixture(autouse=True)
def fresh_graph():
    with tf.Graph().as_default():
        yield


def pytest_collection_modifyitems(items):
    """Leaves no long file to the end, when the other workers have nothing to do."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
