"""The errors that bad input raises."""


class InputError(ValueError):
    """Bad input: one sentence that says what is wrong, where, and the remedy.

    Programs print the sentence and exit with code 1, without a traceback.
    """


class MachineError(InputError):
    """An input cannot be read, or an output not be written, for a limit of this machine: the input may be good."""
