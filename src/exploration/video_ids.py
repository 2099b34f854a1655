"""YouTube's ids of the data set's videos; YouTube-8M's site returns them one by one."""
import re

from src.common import text
from src.common.errors import InputError
from src.data import segment_ids

_LINE = re.compile(rb"(%b),([0-9A-Za-z_-]{11})" % segment_ids.VIDEO.pattern)


def read(path):
    """dict of a file's lines `abcd,YOUTUBEID`: the video's id as bytes -> YouTube's id; {} for "".

    Raises:
      InputError: the file is missing or malformed; names the line.
    """
    found = {}
    for number, line in text.lines(path) if path else ():
        matched = _LINE.fullmatch(line.strip())
        if not matched:
            raise InputError("%s, line %d: %s is not a video of the data set, a comma and YouTube's id of eleven "
                             "characters, such as abcd,dQw4w9WgXcQ: correct it." % (path, number, text.quoted(line)))
        video, on_youtube = matched.group(1), matched.group(2).decode()
        if found.setdefault(video, on_youtube) != on_youtube:
            raise InputError("%s, line %d: the video %s has another YouTube id in a line above: delete one of the two."
                             % (path, number, text.quoted(video)))
    return found
