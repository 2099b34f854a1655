"""Models in a tgz: only the model is taken out of it, into its own folder."""
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
    assert str(raised.value).startswith("%s holds %s, which would not land" % (tgz, bad.name))
    assert os.listdir(str(tmp_path)) == ["model.tgz"] and not os.path.exists("/evil")


def test_only_the_model_is_taken_from_an_archive(tmp_path):
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
def test_a_file_that_is_no_tgz_is_refused(tmp_path, content):
    (tmp_path / "model.tgz").write_bytes(content)
    with pytest.raises(InputError, match="model.tgz is no readable tgz"):
        bundle.extract(str(tmp_path / "model.tgz"), str(tmp_path / "folder"))
