"""People's ratings of segments: whether a class is present in these five seconds or not."""
import re
import typing

from absl import flags
import numpy as np
import pandas as pd

from src.common import atomic
from src.common import files
from src.common import text
from src.common.errors import InputError
from src.data import forms
from src.data import pipeline
from src.data import segment_ids
from src.data import segments
from src.data import shards

_HEADER = b"segment_id,label,score"
_LINE = re.compile(rb"(" + segment_ids.FORM.pattern + rb"),([0-9]{1,9}),([01])(?:\.0*)?")


class Ratings(typing.NamedTuple):
    """Ratings of segments: arrays [ratings]. `create` keeps one rating per segment and class."""
    segment_ids: np.ndarray  # bytes
    labels: np.ndarray  # int64 classes
    scores: np.ndarray  # float32, 1 (present) or 0 (absent)


def define_flags():
    """Defines the flags that name the ratings' files; those of `shards.define_flags` select the holdout."""
    forms.define_flags()
    flags.DEFINE_string("eval_data_pattern", "", "Glob of the TFRecords of 3/frame/validate. The ratings of "
                        "their holdout are read.")
    flags.DEFINE_string("label_cache", "", "File of ratings, one segment_id,label,score per line (the first may "
                        "be this header). If it exists, it is read instead of the records, else it is written. So "
                        "the next run is fast.")


def find(args):
    """Reads the Ratings from the cache that the flags name or, if there is none, from the records.

    Raises:
      InputError: there is neither, or it is damaged.
    """
    if args.label_cache and files.exists(args.label_cache):
        return read_cache(args.label_cache, args.num_classes)
    if not args.eval_data_pattern:
        raise InputError("There are no ratings to evaluate against: give --eval_data_pattern, or the "
                         "--label_cache of an earlier run.")
    paths = shards.holdout(files.find(args.eval_data_pattern, "eval_data_pattern"), shards.split(args))
    if args.label_cache:
        atomic.check_writable(args.label_cache)
    found = create(*pipeline.read_ratings(paths, num_classes=args.num_classes))
    between = np.flatnonzero(segment_ids.split(found.segment_ids)[1] % segments.SEGMENT_FRAMES)
    if between.size:
        raise InputError("--eval_data_pattern=%s: the segment %s is rated, but segments start only every %d seconds: "
                         "replace the shard of this video." % (
                             args.eval_data_pattern, text.quoted(found.segment_ids[between[0]]),
                             segments.SEGMENT_FRAMES))
    if args.label_cache:
        write_cache(args.label_cache, found)
    return found


def create(ids, labels, scores):
    """Creates Ratings; of several ratings of a segment and class, the last is kept.

    Args:
      ids: bytes array [n].
      labels: classes, ints [n].
      scores: 0 or 1, [n].
    """
    pairs = pd.DataFrame({"segment": np.asarray(ids, object), "label": labels})
    last = ~pairs.duplicated(keep="last").values
    return Ratings(np.asarray(ids, "S")[last], np.asarray(labels, np.int64)[last],
                   np.asarray(scores, np.float32)[last])


def read_cache(path, num_classes=forms.NUM_CLASSES):
    """Reads Ratings from lines such as abcd:35,1135,1; the first may be the header `segment_id,label,score`.

    Raises:
      InputError: the file is missing, empty or malformed, or a label is not below `num_classes`. The error names the
        line.
    """
    rows = []
    for number, line in text.lines(path, _HEADER):
        matched = _LINE.fullmatch(line.strip())
        if not matched or len(matched.group(1)) > segment_ids.MAX_BYTES:
            raise InputError("%s, line %d: %s is not segment_id,label,score such as abcd:35,1135,1, the start a "
                             "multiple of 5: correct it, or delete the file to rebuild it."
                             % (path, number, text.quoted(line)))
        if int(matched.group(2)) >= num_classes:
            raise InputError("%s, line %d: the label %d is outside 0..%d: check --num_classes, or delete the file to "
                             "rebuild it." % (path, number, int(matched.group(2)), num_classes - 1))
        rows.append(matched.groups())
    if not rows:
        raise InputError("%s holds no ratings: delete it to rebuild it." % path)
    names, labels, scores = np.array(rows).T
    return create(names, labels.astype(np.int64), scores.astype(np.float32))


def write_cache(path, ratings):
    """Writes Ratings as `read_cache` reads them.

    Raises:
      InputError: the file cannot be written.
    """
    with atomic.replacing(path, "wb") as stream:
        for rating in zip(*(column.tolist() for column in ratings)):
            stream.write(b"%b,%d,%d\n" % rating)
