"""Paths that lead nowhere, and buckets that do not answer, are named at once."""
import time

from absl import flags
import pytest
import tensorflow as tf

from src.common import program
from src.common import storage
from src.common.errors import InputError


def parse(**values):
    """Flags of all types, as a program has them."""
    parsed = flags.FlagValues()
    flags.DEFINE_string("output_file", "", "", flag_values=parsed)
    flags.DEFINE_string("no_default", None, "", flag_values=parsed)
    flags.DEFINE_list("input_files", [], "", flag_values=parsed)
    flags.DEFINE_integer("top_k", 20, "", flag_values=parsed)
    return parsed(["program"] + ["--%s=%s" % pair for pair in values.items()]) and parsed


@pytest.fixture
def asked(monkeypatch):
    """The list of questions to buckets; each bucket answers that it holds nothing."""
    names = []
    monkeypatch.setattr(tf.io.gfile, "exists", lambda path: names.append(path))
    monkeypatch.setattr(storage, "_answered", set())
    return names


@pytest.mark.parametrize("path", ["a", "/a/b", "", "a:b/c", "/a://b", "./https://x", "file:///a"])
def test_what_is_on_this_machine_is_not_asked_for(asked, path):
    storage.check(path, path)
    assert storage.local(path) == path.replace("file://", "") and not asked


@pytest.mark.parametrize("path", ["https://host/a", "nosuch://a", "s3://b/a", "hdfs://h/a", "HTTP://a", "gs://",
                                  "gs:///a"])
@pytest.mark.parametrize("flag, before", [("output_file", ""), ("input_files", ""), ("input_files", "a,/b*,")])
def test_storage_that_programs_cannot_use_is_named_with_its_flag(asked, path, flag, before):
    with pytest.raises(InputError) as error:
        program.check_paths(parse(**{flag: before + path}))
    assert str(error.value) == (
        "--%s=%s is neither on this machine nor in a bucket: give a local path, or gs://BUCKET/..." % (flag, path))
    assert not asked


def test_each_bucket_is_asked_once(asked):
    program.check_paths(parse(output_file="gs://one/x", input_files="gs://one/y*,gs://two/z"))
    program.check_paths(parse(output_file="gs://two/x"))
    assert sorted(asked) == ["gs://one/", "gs://two/"]


@pytest.mark.parametrize("kind", [tf.errors.NotFoundError, tf.errors.PermissionDeniedError,
                                  tf.errors.UnauthenticatedError])
def test_a_refusal_is_an_answer(asked, monkeypatch, kind):
    def refuse(path):
        raise kind(None, None, "no")

    monkeypatch.setattr(tf.io.gfile, "exists", refuse)
    storage.check("gs://bucket/x", "x")


def test_a_bucket_that_cannot_be_reached_is_named(asked, monkeypatch):
    def fail(path):
        raise tf.errors.AbortedError(None, None, "Couldn't resolve host\n\t when reading metadata")

    monkeypatch.setattr(tf.io.gfile, "exists", fail)
    with pytest.raises(InputError) as error:
        program.check_paths(parse(output_file="gs://bucket/x"))
    assert str(error.value) == ("--output_file=gs://bucket/x cannot be reached, Couldn't resolve host: check the name, "
                                "the network and your credentials.")


def test_a_bucket_that_is_silent_is_not_waited_for(asked, monkeypatch):
    monkeypatch.setattr(tf.io.gfile, "exists", lambda path: time.sleep(10))
    monkeypatch.setattr(storage, "ANSWER_SECONDS", 1)
    with pytest.raises(InputError, match="--output_file=gs://bucket/x cannot be reached, no answer from gs://bucket "
                       "within 1 seconds: check the name, the network and your credentials."):
        program.check_paths(parse(output_file="gs://bucket/x"))


def test_names_that_are_not_utf8_are_refused():
    with pytest.raises(InputError, match=r"--output_file='a\\udcff' holds bytes that are not UTF-8: rename the file."):
        program.check_paths(parse(output_file="a\udcff"))
    program.check_paths(parse(output_file="\u3042\u3000\u00a0"))
