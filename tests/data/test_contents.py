"""The quick reader of serialized records finds what protobuf finds."""
from google.protobuf.message import DecodeError
import numpy as np
import pytest

from src.data import contents
from src.data import survey
from tests import records

RATINGS = [(0, 7, 1), (5, 9, 0)]
RGB, AUDIO = records.random_frames(1, 12)


def video(rgb=RGB, audio=AUDIO, **context):
    return records.frame_level(b"abcd", rgb, audio, **context)


def outcome(read, serialized):
    """The content that a reader finds in a record, in a form that can be compared."""
    try:
        found = read(serialized, survey.FRAME_LEVEL)
    except DecodeError:
        return "no protocol buffer"
    return ({name: (feature.kind, np.array(feature.values).tolist()) for name, feature in found.context.items()},
            found.frames, found.wrong_frames)


def test_the_quick_reader_finds_what_protobuf_finds():
    """Also where some of the first bytes of a record, which describe the others, are wrong."""
    random = np.random.RandomState(3)
    originals = [video(labels=[5, 9], ratings=RATINGS), video([], []), video(audio=None), video(rgb=RGB[:, :7]),
                 video(audio=list(AUDIO[:3]) + [b"", b"x" * 256]), b"", video() + video(),
                 records.video_level(b"abcd", np.ones(1024), np.ones(128), [])]
    for original in originals:
        assert outcome(contents.read_quickly, original) == outcome(contents.read, original)
        for _ in range(150 if original else 0):
            changed_bytes = bytearray(original)
            for position in random.randint(0, min(len(original), 300), random.randint(1, 4)):
                changed_bytes[position] = random.randint(256)
            changed_bytes = bytes(changed_bytes[:random.choice([len(original), random.randint(len(original))])])
            assert outcome(contents.read_quickly, changed_bytes) == outcome(contents.read, changed_bytes)


@pytest.mark.parametrize("record", [video(labels=[5, 9], ratings=RATINGS), video(*records.random_frames(2, 300)),
                                    records.video_level(b"abcd", np.ones(1024), np.ones(128), [3])],
                         ids=["rated", "long", "video-level"])
def test_the_quick_reader_needs_no_other_for_usual_records(monkeypatch, record):
    expected = outcome(contents.read, record)
    monkeypatch.setattr(contents, "read", None)
    assert outcome(contents.read_quickly, record) == expected
