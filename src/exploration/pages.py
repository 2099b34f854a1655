"""The folder of pages: index.html, its style and scripts, and scripts of data that the pages load when needed.

A page opened from a disk may load scripts, but not fetch files. So each class and each video has a script that hands
over its data: `explorer.receive("class/387", {..})`. The scripts of videos have numbers, not ids, in their names: ids
may differ only in capitals, which some file systems do not distinguish.
"""
import json
import os

import jinja2
import numpy as np
import tensorflow as tf

from src.common import files
from src.common import text
from src.common.errors import InputError
from src.common.progress import Progress
from src.data import segments
from src.exploration import collecting
from src.exploration import maps
from src.submission import ranked_csv

_HERE = os.path.dirname(os.path.abspath(__file__))
_STATIC = sorted(os.listdir(os.path.join(_HERE, "static")))
MARK = "pages.json"  # in the folder: list of all that was written there


def check_folder(output_dir):
    """Checks that a folder may be replaced by pages: it is new, empty, or holds only what MARK lists.

    Raises:
      InputError: it is a file, or holds anything else.
    """
    if not output_dir.strip("/"):
        raise InputError("--output_dir is empty: say where the pages go.")
    others = _found(output_dir) - _listed(os.path.join(output_dir, MARK))
    if others or files.exists(output_dir) and not tf.io.gfile.isdir(output_dir):
        raise InputError("--output_dir=%s exists already and holds more than pages of this program%s: give a new "
                         "folder." % (output_dir, ", such as " + text.shown(min(others)) if others else ""))


def _found(folder):
    """Set of the paths of everything below a folder, relative to it."""
    return {os.path.relpath(os.path.join(top, name), folder) for top, inside, names in tf.io.gfile.walk(folder)
            for name in (inside + names)}


def _listed(mark):
    """Set of the relative paths that a MARK lists; empty without the file."""
    if not files.exists(mark):
        return set()
    listed = files.read_json(mark)
    if not isinstance(listed, list) or not all(isinstance(path, str) for path in listed):
        raise InputError("%s is no list of files: give a new folder." % mark)
    return set(listed)


def titles(paths):
    """The files' titles on the pages: their names without .csv, and the folders needed to tell them apart."""
    parts = [os.path.splitext(path)[0].split("/") for path in paths]
    for length in range(1, max(map(len, parts), default=0) + 1):
        found = ["/".join(one[-length:]) for one in parts]
        if len(set(found)) == len(found):
            return found
    return list(paths)


def blend_of(names):
    """Index of the file to compare with the others: the first named blend.., or the last; None for a single file."""
    if len(names) < 2:
        return None
    named = [index for index, name in enumerate(names) if os.path.basename(name).startswith("blend")]
    return (named or [len(names) - 1])[0]


class Folder(object):
    """Writes a folder of pages.

    Args:
      folder: a new one, local or gs://.
      paths: ranked CSVs, in the order of `collecting.ClassView`.
      score_paths: files of scores.
      names: dict class -> name.
    """

    def __init__(self, folder, paths, score_paths, names):
        self._folder, self._paths, self._score_paths, self._names = folder, paths, score_paths, names
        self._rows, self._precisions, self._longest, self._written = [], [], 1, ["data"]
        tf.io.gfile.makedirs(os.path.join(folder, "data"))

    def add_class(self, label, view):
        """Writes a class; see `collecting.collect`."""
        self._rows.append([label, self._names.get(label, ""), view.ratings, view.positives]
                          + [None if ap is None else round(ap, 4) for ap in view.precisions])
        self._precisions.append(view.precisions)
        self._longest = max(self._longest, *view.lengths)
        self._write("class_%d.js" % label, "class/%d" % label, {
            "lengths": view.lengths, "heads": list(map(_joined, view.heads)), "found": _joined(view.found),
            "absent": _joined(view.absent), "points": [points.tolist() for points in view.points],
            "missed": [[_text(name), rank and int(rank), None if rank is None else int(of_file)]
                       for name, rank, of_file in view.missed],
            "numMissed": view.num_missed})

    def add_videos(self, table, ratings, on_youtube):
        """Writes the videos.

        Args:
          table: `maps.Maps`.
          ratings: see `ratings.create`.
          on_youtube: dict id -> id on YouTube.
        """
        rated, progress = _by_video(ratings), Progress("writing videos", "videos", len(table.videos))
        for number, video in enumerate(table.videos.tolist()):
            labels, levels = table.of_video(number)
            self._write("video_%d.js" % number, "video/%d" % number, {
                "classes": labels.tolist(), "ratings": rated[video], "youtube": on_youtube.get(video),
                "maps": [[maps.as_text(row) for row in of_source] for of_source in levels.swapaxes(0, 1)]})
            progress.add(1)
        progress.finish()

    def finish(self, table, unranked):
        """Writes the page, its scripts, the data of its first view, and MARK.

        Args:
          table: `maps.Maps`.
          unranked: `ranking_metrics.Unranked` that met all lists.
        """
        names = titles(self._paths)
        self._write("index.js", "index", {
            "files": names, "scores": titles(self._score_paths), "blend": blend_of(names), "classes": self._rows,
            "videos": _joined(table.videos), "seconds": segments.SEGMENT_FRAMES, "head": collecting.HEAD,
            "levels": maps.LEVELS, "mostRanks": ranked_csv.MAX_SEGMENTS, "longest": self._longest})
        template = jinja2.Environment(loader=jinja2.FileSystemLoader(os.path.join(_HERE, "templates")), autoescape=True,
                                      trim_blocks=True, lstrip_blocks=True).get_template("index.html")
        known = [precisions for precisions in self._precisions if None not in precisions]
        means = np.mean(known, axis=0) if known else [None] * len(self._paths)
        self._put("index.html", template.render(
            warnings=unranked.sentences("All files"), head=collecting.HEAD,
            files=list(zip(names, self._paths, means)), score_files=list(zip(titles(self._score_paths),
                                                                             self._score_paths))))
        for name in _STATIC:
            with open(os.path.join(_HERE, "static", name), encoding="utf-8") as stream:
                self._put(name, stream.read())
        self._put(MARK, json.dumps(sorted(self._written + [MARK])))

    def _write(self, name, key, value):
        self._put(os.path.join("data", name), "explorer.receive(%s, %s);\n" % (
            json.dumps(key), json.dumps(value, separators=(",", ":"))))

    def _put(self, name, content):
        self._written.append(name)
        with tf.io.gfile.GFile(os.path.join(self._folder, name), "w") as stream:
            stream.write(content)


def _text(name):
    """An id as text; bytes that are not UTF-8 become replacement characters."""
    return name.decode("utf-8", "replace")


def _joined(ids):
    return _text(b" ".join(ids.tolist()))


def _by_video(ratings):
    """dict video -> list of [class, start, 0 or 1]."""
    found = {}
    for name, label, score in zip(*(column.tolist() for column in ratings)):
        video, _, start = name.rpartition(b":")
        found.setdefault(video, []).append([label, int(start), int(score)])
    return found
