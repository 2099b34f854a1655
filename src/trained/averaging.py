"""The mean of a model's checkpoints, variable by variable."""
import logging

import numpy as np
import tensorflow as tf

from src.common import atomic
from src.common.errors import InputError
from src.trained import checkpoints
from src.trained import forward
from src.trained import model_flags

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")


def model_variables(path):
    """{name: shape} of the model's variables in a checkpoint, without the optimizer's slots.

    A slot is named VARIABLE/SLOT.
    """
    with checkpoints.reading(path) as name:
        shapes = tf.train.load_checkpoint(name).get_variable_to_shape_map()
    return {name: shape for name, shape in shapes.items()
            if name.startswith(forward.SCOPE + "/") and name.rsplit("/", 1)[0] not in shapes}


def common_variables(paths):
    """{name: shape} of the model that all checkpoints hold.

    Raises:
      InputError: they hold different models, or none.
    """
    first, *others = map(model_variables, paths)
    if not first:
        raise InputError("%s holds no model: average checkpoints that train.py wrote." % paths[0])
    for path, other in zip(paths[1:], others):
        for name in sorted(set(first) | set(other)):
            if first.get(name) != other.get(name):
                raise InputError("%s and %s are of different models, %s is %s and %s: average checkpoints of one model."
                                 % (paths[0], path, name, first.get(name, "missing"), other.get(name, "missing")))
    return first


def mean(paths, name):
    """float64 mean of a variable over checkpoints.

    Raises:
      InputError: a checkpoint is damaged.
    """
    total = 0.0
    for path in paths:
        with checkpoints.reading(path) as readable:
            total = total + tf.train.load_variable(readable, name).astype(np.float64)
    return total / len(paths)


def write(folder, values, paths, exporter=None):
    """Writes the mean of checkpoints to a new folder, which later programs take as a --train_dir.

    Memory: see `save_mean`.

    Args:
      folder: is replaced when the mean is written.
      values: of model_flags.json.
      paths: of the checkpoints.
      exporter: `export.InferenceModelExporter`, or None for no inference model.

    Returns:
      The mean's path in the folder, model.ckpt-N; N is the highest step averaged.

    Raises:
      InputError: the checkpoints hold different models, or none, or are damaged, or the folder cannot be written.
    """
    step, shapes = max(map(checkpoints.step_of, paths)), common_variables(paths)
    log.info("averaging %s", ", ".join(paths))
    with atomic.replacing_folder(folder) as temporary:
        atomic.write_json(model_flags.path(temporary), values)
        save_mean(paths, shapes, step, temporary)
        if exporter:
            exporter.export(checkpoints.path(temporary, step), temporary)
    return checkpoints.path(folder, step)


def is_same(path, other):
    """Whether two checkpoints hold the same model with the same weights.

    Raises:
      InputError: one is damaged.
    """
    shapes = model_variables(path)
    if shapes != model_variables(other):
        return False
    with checkpoints.reading(path) as one, checkpoints.reading(other) as another:
        readers = tf.train.load_checkpoint(one), tf.train.load_checkpoint(another)
        return all(np.array_equal(*(reader.get_tensor(name) for reader in readers)) for name in shapes)


def save_mean(paths, shapes, step, folder):
    """Writes the mean of checkpoints as `folder/model.ckpt-STEP`; shapes as of `common_variables`.

    Memory: one model and a few float64 copies of its largest variable, for any number of checkpoints.
    """
    with tf.Graph().as_default(), tf1.Session(config=tf1.ConfigProto(device_count={"GPU": 0})) as session:
        checkpoints.create_global_step().load(step, session)
        for name, shape in sorted(shapes.items()):
            variable = tf1.get_variable(name, shape, tf.float32, tf1.zeros_initializer())
            variable.load(mean(paths, name), session)
        saver = tf1.train.Saver(save_relative_paths=True)  # the folder will be renamed
        saver.save(session, checkpoints.path(folder, step), write_meta_graph=False)
