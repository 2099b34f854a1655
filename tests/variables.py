"""A test's variables: their values, and what a training saves of them."""
import tensorflow as tf


def assign(session, values):
    """Assigns values, {variable: array}, in one run.

    TensorFlow examines the whole graph for each new set of operations. One run per variable, as in Variable.load, would
    take most of the time of a large model's test.
    """
    session.run([variable.initializer for variable in values],
                {variable.initializer.inputs[1]: value for variable, value in values.items()})


def with_adam(variables, trainable):
    """{name: (dtype, shape)} of a training's checkpoint."""
    names = dict(variables, beta1_power=[], beta2_power=[])
    names.update((name + slot, variables[name]) for name in trainable for slot in ("/Adam", "/Adam_1"))
    return dict({name: (tf.float32, shape) for name, shape in names.items()}, global_step=(tf.int32, []))
