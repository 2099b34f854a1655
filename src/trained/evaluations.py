"""A model's results.csv: the figures of its evaluated checkpoints, and which checkpoint they make the best."""
import csv
import os

from src.common import files
from src.common import text
from src.common.errors import InputError
from src.data import shards

_FIGURES = {"step": int, "examples": int, "hit_at_one": float, "perr": float, "map": float, "gap": float, "loss": float}
_TYPE_OF = {"segment_labels": "True".__eq__, "holdout_shards": shards.parse_recorded, "eval_data_pattern": str,
            "top_k": int, "max_frames": int, "feature_names": str}
KIND = list(_TYPE_OF)  # how the figures were measured: only rows that agree in all of these are compared
COLUMNS = list(_FIGURES) + KIND + ["checkpoint_crc32"]
_FEWER = COLUMNS[:COLUMNS.index("top_k")]  # of files older than the other columns


def path(train_dir):
    """Path of a model's results.csv."""
    return os.path.join(train_dir, "eval", "results.csv")


def read(train_dir):
    """Reads the rows of a model's results.csv as dicts of text, the latest evaluation last; [] without the file.

    Raises:
      InputError: the file is damaged.
    """
    if not files.exists(path(train_dir)):
        return []
    lines = [line.decode("utf-8", "replace") for _, line in text.lines(path(train_dir))]
    reader = csv.DictReader(lines, restval="", strict=True)
    try:
        rows = list(reader)
        well_formed = reader.fieldnames in (COLUMNS, _FEWER) and not any(None in row for row in rows)
        for row in rows:
            well_formed &= all(0 <= kind(row[name]) < 1e9 for name, kind in _FIGURES.items())
            row.update((name, "") for name in COLUMNS if name not in row)
            _typed_kind(row)
    except (csv.Error, KeyError, ValueError):
        well_formed = False
    if not well_formed:
        raise InputError("%s is damaged: move it away to start a new one." % path(train_dir))
    return rows


def is_kind(row, kind):
    """Whether a row was measured as `kind` says: {name: value} of some of KIND."""
    return all(row[name] == str(value) for name, value in kind.items())


def _typed_kind(row):
    """{name: value} of those of KIND that a row has."""
    return {name: type_of(row[name]) for name, type_of in _TYPE_OF.items() if row[name]}


def ranked(rows, steps):
    """The evaluated checkpoints: by MAP of segments, as in the challenge; until these are evaluated, by GAP of videos.

    Only rows of the same kind as the latest one count.

    Args:
      rows: see `read`.
      steps: of the checkpoints that exist; training may have removed some.

    Returns:
      Rows, the best first, and the metric's name; of equal values, the lower step comes first.
    """
    of_segments = [row for row in rows if row["segment_labels"] == "True"]
    metric = "map" if of_segments else "gap"
    kind = {name: (of_segments or rows)[-1][name] for name in KIND} if rows else {}
    row_of = {row["step"]: row for row in rows if is_kind(row, kind) and int(row["step"]) in steps}
    return sorted(row_of.values(), key=lambda row: (-float(row[metric]), int(row["step"]))), metric


def best(rows, steps):
    """The best checkpoint; arguments as of `ranked`.

    Returns:
      dict of `step`, `checkpoint`, `metric`, its `value`, and KIND; None if there is none.
    """
    found, metric = ranked(rows, steps)
    if not found:
        return None
    step = int(found[0]["step"])
    return dict(_typed_kind(found[0]), step=step, checkpoint="model.ckpt-%d" % step, metric=metric,
                value=float(found[0][metric]))
