"""Only the model is extracted from a tgz, and only into its own folder."""
import gzip
import io
import os
import tarfile

import pytest

from src.common.errors import InputError
from src.trained import bundle


def member(name, **values):
    info = tarfile.TarInfo(name)
    info.size = 4
    for key, value in values.items():
        setattr(info, key, value)
    return info


BAD = {
    "up": member("../evil"), "hidden up": member("inference_model.x/../../evil"), "absolute": member("/evil"),
    "folder": member("sub/evil"),
    "symlink": member("inference_model.meta", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
    "hard link": member("model_flags.json", type=tarfile.LNKTYPE, linkname="../evil", size=0),
    "fifo": member("inference_model.data", type=tarfile.FIFOTYPE, size=0)}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_an_archive_that_would_write_elsewhere_is_refused(tmp_path, bad):
    tgz = str(tmp_path / "model.tgz")
    with tarfile.open(tgz, "w:gz") as archive:
        for good in ("model_flags.json", "inference_model.index"):
            archive.addfile(member(good), io.BytesIO(b"text"))
        archive.addfile(bad, io.BytesIO(b"evil"))
    with pytest.raises(InputError) as raised:
        bundle.extract(tgz, str(tmp_path / "folder"))
    assert str(raised.value).startswith("%s holds %s, which would not become" % (tgz, bad.name))
    assert os.listdir(str(tmp_path)) == ["model.tgz"] and not os.path.exists("/evil")


def test_only_the_model_is_extracted(tmp_path):
    tgz, folder = str(tmp_path / "model.tgz"), tmp_path / "folder"
    with tarfile.open(tgz, "w:gz") as archive:
        for name in ("./model_flags.json", "inference_model.index", "train.py"):
            archive.addfile(member(name), io.BytesIO(b"text"))
    bundle.extract(tgz, str(folder))
    assert sorted(os.listdir(str(folder))) == ["inference_model.index", "model_flags.json"]
    assert (folder / "model_flags.json").read_text() == "text"


@pytest.mark.parametrize("names", [["model_flags.json"], ["inference_model.index"], ["sub/"]])
def test_an_archive_without_a_model_is_refused(tmp_path, names):
    tgz = str(tmp_path / "model.tgz")
    with tarfile.open(tgz, "w:gz") as archive:
        for name in names:
            archive.addfile(member(name, type=tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE),
                            io.BytesIO(b"text"))
    with pytest.raises(InputError, match="lacks model_flags.json or inference_model"):
        bundle.extract(tgz, str(tmp_path / "folder"))
    assert os.listdir(str(tmp_path)) == ["model.tgz"]


@pytest.mark.parametrize("content", ids=["text", "short", "damaged"], argvalues=[
    b"text", b"\x1f\x8b\x08\x00broken", b"\x1f\x8b\x08" + 7 * b"\x00" + 99 * b"\xff"])
def test_a_file_that_is_not_a_tgz_is_refused(tmp_path, content):
    (tmp_path / "model.tgz").write_bytes(content)
    with pytest.raises(InputError, match="model.tgz is not a readable tgz"):
        bundle.extract(str(tmp_path / "model.tgz"), str(tmp_path / "folder"))


# Hostile archives.


def write(tgz, *members):
    """Writes an archive of the model's parts and members: (TarInfo, content, which may be shorter than declared)."""
    with gzip.open(tgz, "wb", 1) as stream:
        parts = [(member(name), b"text") for name in ("model_flags.json", "inference_model.index")]
        for info, content in parts + list(members):
            stream.write(info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512))
        stream.write(bytes(1024))


BOMB = "model.tgz unpacks to more than 10000 files or 0.3 GB, as no model does: do not use this archive."
ELSEWHERE = "which would not become a plain file in its own folder"


@pytest.mark.parametrize("members, told", [
    ([(member("inference_model.meta", size=2 << 30), b"")], BOMB),
    ([(member("inference_model.data-00000-of-00001", size=1 << 62), b"")], BOMB),
    ([(member("junk", size=17 << 30), b"")], BOMB),
    ([(member("junk%d" % number, size=0), b"") for number in range(10001)], BOMB),
    ([(member("inference_model.meta", type=tarfile.GNUTYPE_SPARSE, size=0), b"")], ELSEWHERE),
    ([(member("inference_model.meta", size=-512), b"")], ELSEWHERE),
    ([(member("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=2 << 30), b"x")],
     "it has a header of 2147483648 bytes"),
    ([(member("x", type=tarfile.XHDTYPE, size=1 << 40), b"x")], "it has a header of 1099511627776 bytes"),
    ([(member("inference_model.meta", size=100000), b"short")], "is not a readable tgz (unexpected end of data)")],
    ids=["2 GB", "more than a disk", "junk", "files", "sparse", "backwards", "name", "header", "cut off"])
def test_a_hostile_archive_is_refused_before_anything_is_written(tmp_path, members, told):
    write(str(tmp_path / "model.tgz"), *members)
    with pytest.raises(InputError) as error:
        bundle.extract(str(tmp_path / "model.tgz"), str(tmp_path / "folder"))
    assert told in str(error.value) and os.listdir(str(tmp_path)) == ["model.tgz"]


def test_other_files_do_not_count(tmp_path):
    names = ["notes-\udcff", "inference_model.\udcff", "inference_model.old", "7" * 99]
    write(str(tmp_path / "model.tgz"), (member("junk", size=300 << 20), bytes(300 << 20)),
          *((member(name), b"text") for name in names))
    bundle.extract(str(tmp_path / "model.tgz"), str(tmp_path / "folder"))
    assert sorted(os.listdir(str(tmp_path / "folder"))) == ["inference_model.index", "model_flags.json"]


def test_names_that_are_not_utf8_can_be_shown(tmp_path):
    write(str(tmp_path / "model.tgz"), (member("../\udcff\n" + 80 * "x"), b"text"))
    with pytest.raises(InputError) as error:
        bundle.extract(str(tmp_path / "model.tgz"), str(tmp_path / "folder"))
    assert r"holds ../\xdcff\x0a" + 50 * "x" in str(error.value).encode("ascii").decode()
