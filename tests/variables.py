"""Gives variables values of a test's own."""


def assign(session, values):
    """Gives variables their values, {variable: array}, in one run.

    TensorFlow looks at the whole graph anew for each set of operations that it is to run, so a run a variable,
    as Variable.load has it, takes most of the time of a test of a large model.
    """
    session.run([variable.initializer for variable in values],
                {variable.initializer.inputs[1]: value for variable, value in values.items()})
