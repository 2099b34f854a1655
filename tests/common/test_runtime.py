"""What TensorFlow 2 says while it loads, and in its errors."""
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from src.common import runtime

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STAND_IN = """
import os, sys, types
os.write(2, b'''WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795896139.306817   27906 port.cc:153] oneDNN custom operations are on.
E0000 00:00:1758131045.203198 3722035 cuda_dnn.cc:8579] Unable to register cuDNN factory
2025-09-17 14:44:05.157831: I external/local_xla/xla/tsl/cuda/cudart_stub.cc:32] Could not find cuda drivers
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.
F0000 00:00:1795896139.306817   27906 port.cc:153] no memory
''')
compat = types.SimpleNamespace(v1=types.SimpleNamespace(disable_v2_behavior=lambda: print("as 1.15")))
sys.modules["tensorflow.python.training.saver"] = types.SimpleNamespace()
"""


@pytest.mark.skipif(not runtime.IS_2, reason="TensorFlow 1.15 loads without a word")
@pytest.mark.parametrize("level, lines", [(None, 1), ("0", 6)])
def test_only_fatal_errors_are_shown_while_tensorflow_loads_unless_asked(level, lines, tmp_path):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(STAND_IN)
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    if level:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), PROJECT])
    script = "import src, tensorflow, os; os.write(2, b'after\\n')"
    done = subprocess.run([sys.executable, "-c", script], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert (done.returncode, done.stdout) == (0, "as 1.15\n")
    *told, fatal, after = done.stderr.splitlines()
    assert len(told) == lines - 1 and fatal.endswith("no memory") and after == "after"


def test_a_graphs_error_is_told_without_the_stack_of_its_op():
    with tf.compat.v1.Session() as session, pytest.raises(tf.errors.InvalidArgumentError) as raised:
        session.run(tf.raw_ops.Assert(condition=tf.constant(False), data=["the sentence"]))
    assert runtime.message(raised.value).startswith("assertion failed: [the sentence]")
