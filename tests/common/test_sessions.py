"""Sessions carry the options that TensorFlow documents for mixed precision and XLA."""
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from src.common import sessions

RewriterConfig = rewriter_config_pb2.RewriterConfig


def test_mixed_precision_is_what_tensorflows_own_switch_sets():
    def switched_on(session):
        return session._config.graph_options.rewrite_options.auto_mixed_precision == RewriterConfig.ON

    with tf.Graph().as_default():
        assert not switched_on(tf.compat.v1.Session(config=sessions.config()))
        assert switched_on(tf.compat.v1.Session(config=sessions.config(sessions.Options(True, False))))
        tf.compat.v1.train.experimental.enable_mixed_precision_graph_rewrite(tf.compat.v1.train.AdamOptimizer())
        try:
            assert switched_on(tf.compat.v1.Session(config=tf.compat.v1.ConfigProto()))
        finally:
            tf.compat.v1.train.experimental.disable_mixed_precision_graph_rewrite()


def test_xla_is_the_global_jit():
    level = [sessions.config(sessions.Options(False, xla)).graph_options.optimizer_options.global_jit_level
             for xla in (False, True)]
    assert level == [tf.compat.v1.OptimizerOptions.DEFAULT, tf.compat.v1.OptimizerOptions.ON_1]
