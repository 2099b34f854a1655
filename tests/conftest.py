"""Every test builds its own graph, the longest files begin first, and no files remain if all is well."""
import shutil

import pytest
import tensorflow as tf

LONGEST = {"test_models.py", "test_kills.py", "test_cluster.py", "test_train.py", "test_context.py",
           "test_both_tensorflows.py"}


@pytest.fixture(autouse=True)
def fresh_graph():
    with tf.Graph().as_default():
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_left(request, tmp_path_factory):
    """Removes this process's temporary folders unless a test failed; pytest keeps those of three runs, of GBs each."""
    yield
    if not request.session.testsfailed:
        shutil.rmtree(str(tmp_path_factory.getbasetemp()))


def pytest_configure(config):
    config.option.loadscopereorder = False  # today's xdist would begin with the files of the most tests


def pytest_collection_modifyitems(items):
    """Leaves no long file to the end, when the other workers have nothing to do."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
