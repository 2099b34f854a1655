"""Validation of checkpoints while a model trains."""
import logging
import os

import tensorflow as tf

from src.common import tensorboard
from src.trained import export

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")


class Validator(object):
    """Logs the metrics of checkpoints and shows them in TensorBoard.

    Args:
      evaluator: `evaluator.Evaluator` of the records to validate on.
      train_dir: folder of the training; the summaries are written to its eval/valid.
    """

    def __init__(self, evaluator, train_dir):
        self._evaluator = evaluator
        self._writer = tf1.summary.FileWriter(os.path.join(train_dir, "eval", "valid"))

    def __call__(self, checkpoint, step):
        """Evaluates a checkpoint of a global step."""
        result = self._evaluator.evaluate(
            lambda session: export.restore_model(session, checkpoint, self._evaluator.variables))
        log.info("validation at step %d: %s", step, ", ".join("%s %.4f" % point for point in result.points))
        self._writer.add_summary(tensorboard.numbers("valid/", result.points), step)
        self._writer.flush()
