"""The error that bad input raises."""


class InputError(ValueError):
    """Bad input: one sentence that says what is wrong, where, and the remedy.

    Programs print the sentence and exit with code 1, without a traceback.
    """
