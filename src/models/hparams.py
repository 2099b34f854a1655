"""Hyperparameters: each is declared once, with its bounds, beside the model code that it configures."""
import re
import typing

from src.common import text
from src.common.errors import InputError

MOST = 65536  # of any number: with more of anything, no model could be trained
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # characters that no file name can hold


class Hparam(typing.NamedTuple):
    """A hyperparameter of one model or several, and the flag that sets it."""

    name: str  # of the hyperparameter and of its flag
    default: typing.Union[bool, int, float, str]  # of the type that every value must have
    help: str  # of the flag, without the allowed values
    low: float = -MOST  # the smallest number allowed
    high: float = MOST  # the largest number allowed
    below: typing.Optional[float] = None  # numbers must be less than this; None: only `high` bounds them
    choices: typing.Tuple[str, ...] = ()  # the strings allowed; empty: any

    def allowed(self):
        """The allowed numbers or choices in words, such as "a number from 1 to 100"."""
        if self.choices:
            return "one of %s" % ", ".join(self.choices)
        return "a number from %s to %s" % (self.low, self.high if self.below is None else "below %s" % self.below)

    def check(self, value):
        """Checks the type and the bounds of a value, whether a flag or a file gave it.

        Raises:
          InputError: it is not allowed; names the flag, the value and what is allowed.
        """
        kind, given = type(self.default), "--%s=%s" % (self.name, text.shown(value))
        is_number = kind in (int, float)
        if isinstance(value, bool) != (kind is bool) or not isinstance(value, (float, int) if kind is float else kind):
            raise InputError("%s is not of the type %s: give one such as %s." % (given, kind.__name__, self.default))
        if kind is str and (len(value) > MOST or _UNWRITABLE.search(value)):
            raise InputError("%s is too long, or holds characters that no file name can: give text such as %s."
                             % (given, self.default))
        if self.choices and value not in self.choices:
            raise InputError("%s is unknown: choose %s." % (given, self.allowed()))
        if is_number and not (self.low <= value <= self.high and (self.below is None or value < self.below)):
            raise InputError("%s is out of range: give %s." % (given, self.allowed()))
