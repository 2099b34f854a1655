"""Summaries for TensorBoard: numbers, and the flags of a run as text."""
import sys

from tensorboard.plugins.text import summary
import tensorflow as tf

tf1 = tf.compat.v1


def flags_table(parsed, adopted=()):
    """The program's flags as a Markdown table; flags that differ from their default come first, in bold.

    Args:
      parsed: the parsed flags; see `program.run`.
      adopted: dict of values that replace the flags' own, such as those of model_flags.json.
    """
    rows = []
    for flag in parsed.get_key_flags_for_module(sys.argv[0]):
        value = dict(adopted).get(flag.name, flag.value)
        is_default = value == flag.default
        shown = str(value).replace("|", "\\|").replace("`", "'")
        rows.append((is_default, flag.name, "%s | `%s`" % (flag.name if is_default else "**%s**" % flag.name, shown)))
    return "\n".join(["flag | value", "--- | ---"] + [row for _, _, row in sorted(rows)])


def text(tag, markdown):
    """A serialized summary for `tf.summary.FileWriter.add_summary`."""
    return summary.pb(tag, markdown).SerializeToString()


def numbers(prefix, values):
    """A summary of [(name, number)]; the tags are the names after a prefix."""
    return tf1.Summary(value=[tf1.Summary.Value(tag=prefix + name, simple_value=value) for name, value in values])
