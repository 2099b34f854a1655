"""Options of TensorFlow's sessions."""
import typing

from absl import flags
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2


class Options(typing.NamedTuple):
    """How TensorFlow computes."""
    mixed_precision: bool = False  # multiply in float16 on GPUs with tensor cores
    xla: bool = False  # compile with XLA


PLAIN = Options()


def define_flags():
    flags.DEFINE_bool("mixed_precision", False, "Have TensorFlow compute in float16 what suits it, on GPUs with tensor "
                      "cores such as the RTX 2080 Ti; variables stay float32.")
    flags.DEFINE_bool("xla", False, "Have XLA compile what suits it, on GPUs.")


def options(args):
    """The Options that flags say."""
    return Options(args.mixed_precision, args.xla)


def config(of=PLAIN, log_device_placement=False):
    """The ConfigProto of Options."""
    result = tf.compat.v1.ConfigProto(allow_soft_placement=True, log_device_placement=log_device_placement)
    result.gpu_options.allow_growth = True
    if of.mixed_precision:
        result.graph_options.rewrite_options.auto_mixed_precision = rewriter_config_pb2.RewriterConfig.ON
    if of.xla:
        result.graph_options.optimizer_options.global_jit_level = tf.compat.v1.OptimizerOptions.ON_1
    return result
