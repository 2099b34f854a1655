"""Names of classes: YouTube-8M's vocabulary.csv, in both published forms.

The 3,862 classes are published with the header Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,Vertical1,.., the
1,000 classes rated at segment level with Index,KnowledgeGraphId,Name,PositiveSegmentCount,TotalSegmentCount. Only the
columns Index and Name are read, in any position.
"""
import csv
import logging
import os
import unicodedata

from absl import flags

from src.common import files
from src.common import text
from src.common.errors import InputError

log = logging.getLogger("yt8m")

DEFAULT = "vocabulary.csv"
HEADER = ["Index", "TrainVideoCount", "KnowledgeGraphId", "Name", "WikiUrl", "Vertical1", "Vertical2", "Vertical3",
          "WikiDescription"]
# Zero-width joiner and non-joiner, which change how letters and emoji look; the tags of which emoji of flags consist.
_JOINERS = {"\u200c", "\u200d"} | set(map(chr, range(0xe0020, 0xe0080)))
_FOLDERS = 4  # that may hold it: the folder of the records, such as 3/frame/validate, and the three above it


def define_flags():
    flags.DEFINE_string("vocabulary_file", "", "YouTube-8M's vocabulary.csv, of all classes or of those rated at "
                        "segment level, for their names. Empty: vocabulary.csv in the current folder or in the data's "
                        "folder; without one, classes have only numbers.")


def find(given, data_pattern=""):
    """The names of classes for a program's output.

    Args:
      given: the flag --vocabulary_file.
      data_pattern: glob of records; vocabulary.csv may be in their folder or in the three above it.

    Returns:
      dict class -> name, empty without a vocabulary.

    Raises:
      InputError: the file is malformed, or it was given and is missing.
    """
    folder, folders = os.path.dirname(data_pattern), [""]
    while folder and folder != "/" and len(folders) <= _FOLDERS and not files.is_glob(folder):
        folders.append(folder)
        folder = os.path.dirname(folder)
    found = given or next((path for path in (os.path.join(one, DEFAULT) for one in folders)
                           if files.exists(path)), None)
    if not found:
        return {}
    names = read(found)
    log.info("names of %d classes: %s", len(names), found)
    return names


def name_of(names, label):
    """The text for a class: its name, or its number if it has no name."""
    return names.get(label) or "class %d" % label


def normalized(name):
    """A name in the form in which names are compared and shown, whatever program wrote it.

    Letters and their accents are composed (Unicode NFC). Runs of blanks and control characters become one blank.
    Characters that show nothing, such as soft hyphens, are removed, but for those that join letters or emoji.
    """
    kept = []
    for character in unicodedata.normalize("NFC", name):
        kind = unicodedata.category(character)
        if kind == "Cc":
            kept.append(" ")
        elif kind != "Cf" or character in _JOINERS:
            kept.append(character)
    return " ".join("".join(kept).split())


def labels_of(names):
    """Inverts {class: name} -> {name: ascending list of its classes}."""
    found = {}
    for label, name in sorted(names.items()):
        found.setdefault(name, []).append(label)
    return found


def read(path):
    """dict class -> name, of the classes with names; see `normalized`.

    Raises:
      InputError: the file is missing, not UTF-8 or malformed; names the line.
    """
    rows, names = _rows(path), {}
    number, header = next(rows, (1, []))
    if not {"Index", "Name"} <= set(header):
        raise InputError("%s, line %d: there is no header with the columns Index and Name, which YouTube-8M's "
                         "vocabulary.csv has: fetch that file." % (path, number))
    for number, row in rows:
        if len(row) != len(header):
            raise _malformed(path, number, "%d columns, where the header has %d" % (len(row), len(header)))
        index, name = row[header.index("Index")].encode(), row[header.index("Name")]
        label = text.whole_number(index)
        if label is None:
            raise _malformed(path, number, "%s is no class" % text.quoted(index))
        if label in names:
            raise _malformed(path, number, "class %d occurs twice" % label)
        names[label] = normalized(name)
    if not names:
        raise InputError("%s holds no class: fetch the file again." % path)
    return {label: name for label, name in names.items() if name}


def _malformed(path, number, flaw):
    return InputError("%s, line %d: %s: correct the line, or fetch the file again." % (path, number, flaw))


def _rows(path):
    """Yields (number of the first line, fields) of each row of a CSV."""
    numbers = []  # of the lines of the current row

    def lines():
        for number, line in text.lines(path):
            numbers.append(number)
            try:
                decoded = line.decode()
            except UnicodeDecodeError:
                raise _malformed(path, number, "it is not UTF-8")
            if "\0" in decoded:  # which later releases of Python take
                raise _malformed(path, number, "it is no line of a CSV, as it holds a NUL byte")
            yield decoded + "\n"

    reader = csv.reader(lines(), strict=True)
    while True:
        numbers.clear()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _malformed(path, numbers[0], "it is no line of a CSV, %s" % error)
        yield numbers[0], [field.strip() for field in row]
