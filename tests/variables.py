"""Assigns a test's values to variables."""


def assign(session, values):
    """Assigns values, {variable: array}, in one run.

    TensorFlow examines the whole graph for each new set of operations. One run per variable, as in Variable.load, would
    take most of the time of a large model's test.
    """
    session.run([variable.initializer for variable in values],
                {variable.initializer.inputs[1]: value for variable, value in values.items()})
