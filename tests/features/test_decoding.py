"""Films that ffmpeg makes: which frames are taken, how the sound follows them, and what is said of unusable films."""
import os
import shutil
import stat

import numpy as np
import pytest

from src.common.errors import InputError
from src.features import decoding
from src.features import ffmpeg
from src.features import log_mel
from src.features import resampling
from tests.features import stand_ins

pytestmark = stand_ins.needs_ffmpeg
LOSSLESS = ["-c:v", "ffv1", "-c:a", "pcm_s16le"]
TOOLS = ffmpeg.Tools("ffmpeg", "ffprobe")
USUAL = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]


def picture(seconds, size="96x32", rate=25):
    return ["-f", "lavfi", "-i", "testsrc=size=%s:rate=%s:duration=%s" % (size, rate, seconds)]


def decode(path, **options):
    """(numbers that the frames show, patches, Decoded) of a film."""
    numbers, patches = [], []

    def give(name, value):
        if name == "rgb":
            assert value.shape == (299, 299, 3) and value.dtype == np.float32
            numbers.append(stand_ins.number(value))
        else:
            patches.append(value)

    decoded = decoding.decode(ffmpeg.probe(TOOLS, str(path)), decoding.Options(TOOLS, **options), give)
    return numbers, np.array(patches), decoded


def sentence(path, **options):
    with pytest.raises(InputError) as caught:
        decode(path, **options)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)[len(str(path)):]


@pytest.mark.parametrize("rate, seconds, expected", [
    ("25", 3, [0, 25, 50]), ("25", 3.04, [0, 25, 50, 75]), ("25", .2, [0]),
    ("24000/1001", 4.004, [0, 24, 48, 72]),  # frame 24 is at 1.001, and frame 23 at .959
    ("30000/1001", 4.004, [0, 30, 60, 90]), ("60", 2.5, [0, 60, 120]),
    ("1/2", 6, [0, 0, 1, 1, 2, 2]), ("1/3", 9, [0, 0, 0, 1, 1, 1, 2, 2, 2])])
def test_the_frame_nearest_to_each_second_is_taken(tmp_path, rate, seconds, expected):
    stand_ins.ffmpeg(*stand_ins.numbered(rate, seconds), *LOSSLESS, tmp_path / "film.mkv")
    numbers, _, decoded = decode(tmp_path / "film.mkv")
    assert numbers == expected and decoded.seconds == len(expected)


def test_frames_at_a_variable_rate(tmp_path):
    path = tmp_path / "film.mkv"
    stand_ins.ffmpeg(*stand_ins.numbered("25", 6), "-vf", "select='lt(n,10)+gt(n,100)'", "-vsync", "vfr", *LOSSLESS,
                     path)
    numbers, _, _ = decode(path)  # there is none from .36 to 4.04
    assert numbers == [0, 9, 9, 9, 101, 125]


def test_a_long_gap_at_a_slow_rate_shows_the_frame_before(tmp_path):
    path = tmp_path / "film.mkv"
    stand_ins.ffmpeg(*stand_ins.numbered("25", 6), "-vf", "select='eq(n,0)+eq(n,70)+eq(n,140)'", "-vsync", "vfr",
                     *LOSSLESS, path)  # at 0, 2.8, 5.6
    assert decode(path)[0] == [0, 0, 0, 70, 70, 70]  # 2.8 is nearer to 2 than to 0, but not within half a second


def test_a_container_that_starts_with_the_sound_s_priming_moves_no_frame(tmp_path):
    stand_ins.ffmpeg(*stand_ins.numbered("25", 3), *stand_ins.tone(3), *LOSSLESS[:2], "-c:a", "aac",
                     tmp_path / "film.mkv")
    numbers, _, decoded = decode(tmp_path / "film.mkv")
    assert (numbers, decoded.remarks) == ([0, 25, 50], [])


def test_max_seconds(tmp_path):
    stand_ins.ffmpeg(*stand_ins.numbered("25", 5), *stand_ins.tone(5), *LOSSLESS, tmp_path / "film.mkv")
    numbers, patches, decoded = decode(tmp_path / "film.mkv", max_seconds=2)
    assert (numbers, len(patches), decoded.seconds) == ([0, 25], 2, 2)


def patches_of(samples, rate, num_samples=0):
    patches, resampler = log_mel.Patches(), resampling.Resampler(rate)
    parts = [resampler.feed(samples), resampler.finish()]
    return np.array([one for part in parts for one in patches.feed(part)] + list(patches.finish(num_samples)))


@pytest.mark.parametrize("rate, channels", [(44100, 2), (48000, 6)])
def test_sound_is_the_mean_of_its_channels(tmp_path, rate, channels):
    samples = np.random.RandomState(0).randint(-9000, 9000, (3 * rate, channels)).astype("<i2")
    (tmp_path / "sound.raw").write_bytes(samples.tobytes())
    stand_ins.ffmpeg(*picture(3), "-f", "s16le", "-ar", rate, "-ac", channels, "-i", tmp_path / "sound.raw", *LOSSLESS,
                     tmp_path / "film.mkv")
    _, patches, _ = decode(tmp_path / "film.mkv")
    mean = (samples.astype(np.float64) / 32768).mean(axis=1).astype(np.float32)
    np.testing.assert_allclose(patches[:3], patches_of(mean, rate)[:3], rtol=0, atol=1e-3)


def loudness(patches):
    """Whether each second is silent."""
    return [bool(np.median(patch) > -4) for patch in patches]


def test_a_late_sound_stays_late_and_a_late_picture_repeats_its_first_frame(tmp_path):
    late = ["-itsoffset", "2.4"]
    stand_ins.ffmpeg(*stand_ins.numbered("25", 4), *late, "-f", "lavfi", "-i", "anoisesrc=duration=1.6", *LOSSLESS,
                     tmp_path / "sound.mkv")
    numbers, patches, _ = decode(tmp_path / "sound.mkv")
    assert (numbers, loudness(patches[:2]), loudness(patches[3:4])) == ([0, 25, 50, 75], [False, False], [True])
    stand_ins.ffmpeg(*late, *stand_ins.numbered("25", 1.6), "-f", "lavfi", "-i", "anoisesrc=duration=4", *LOSSLESS,
                     tmp_path / "picture.mkv")
    numbers, patches, _ = decode(tmp_path / "picture.mkv")
    assert (numbers, loudness(patches[:4])) == ([0, 0, 0, 15], [True] * 4)


def test_a_sound_that_ends_early_is_filled_up_and_named(tmp_path):
    path = tmp_path / "film.mp4"
    stand_ins.ffmpeg(*picture(4), "-f", "lavfi", "-i", "anoisesrc=duration=2", *USUAL, path)
    _, patches, decoded = decode(path)
    assert loudness(patches[:4]) == [True, True, False, False]
    assert decoded.remarks == ["%s: its sound ends 2.0 seconds before its picture, silence follows" % path]


@pytest.mark.parametrize("missing_audio", ["silence", "omit"])
def test_a_film_without_sound(tmp_path, missing_audio):
    stand_ins.ffmpeg(*picture(1), *USUAL[:-2], tmp_path / "film.mp4")
    _, patches, decoded = decode(tmp_path / "film.mp4", missing_audio=missing_audio)
    assert (len(patches), decoded.has_sound, decoded.seconds) == (0, False, 1)


def test_colours_are_converted_as_by_opencv_whatever_a_film_is_tagged(tmp_path):
    means = []
    for tags in [], ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]:
        stand_ins.ffmpeg("-f", "lavfi", "-i", "color=green:size=64x64:duration=0.2", "-c:v", "libx264", "-pix_fmt",
                         "yuv420p", *tags, tmp_path / "film.mp4")
        with ffmpeg.Decoder(TOOLS, ffmpeg.probe(TOOLS, str(tmp_path / "film.mp4")), 0, False) as decoder:
            frame, = decoder.frames()
        means.append(frame.mean(axis=(0, 1)))
    np.testing.assert_allclose(means[0], means[1], atol=.5)
    np.testing.assert_allclose(means[0], [0, 128, 0], atol=2)


def test_a_rotated_film_is_upright(tmp_path):
    stand_ins.ffmpeg(*picture(.2), *USUAL[:-2], tmp_path / "film.mp4")
    stand_ins.ffmpeg("-i", tmp_path / "film.mp4", "-c", "copy", "-metadata:s:v:0", "rotate=90", tmp_path / "turned.mp4")
    with ffmpeg.Decoder(TOOLS, ffmpeg.probe(TOOLS, str(tmp_path / "turned.mp4")), 0, False) as decoder:
        assert [frame.shape for frame in decoder.frames()] == [(96, 32, 3)]


def test_frames_of_two_sizes(tmp_path):
    for name, size in ("a", "96x32"), ("b", "64x64"):
        stand_ins.ffmpeg(*picture(1, size), *USUAL[:-2], tmp_path / (name + ".ts"))
    (tmp_path / "film.ts").write_bytes(b"".join((tmp_path / name).read_bytes() for name in ("a.ts", "b.ts")))
    assert decode(tmp_path / "film.ts")[2].seconds >= 2


@pytest.fixture(scope="module", name="long_film")
def film_of_eight_seconds(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "long.mkv"
    stand_ins.ffmpeg(*picture(8), *stand_ins.tone(8), *USUAL, "-g", "25", path)
    return path


def test_a_film_that_breaks_off_is_named_and_not_taken_unless_it_is_accepted(tmp_path, long_film):
    path, content = tmp_path / "cut.mkv", long_film.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    assert sentence(path) == (" breaks off after 4 of 8 seconds (File ended prematurely): replace it, or pass "
                              "--accept_damaged.")
    numbers, patches, decoded = decode(path, accept_damaged=True)
    assert len(numbers) == 4 and len(patches) >= 4
    assert decoded.remarks[0] == "%s is damaged, 1 complaints such as: File ended prematurely" % path
    assert decode(path, max_seconds=3)[2].seconds == 3  # it has as much


def test_a_film_with_damaged_packets_is_taken_and_named(tmp_path, long_film):
    content, random = bytearray(long_film.read_bytes()), np.random.RandomState(0)
    for offset in random.randint(2000, len(content) - 10, 60):
        content[offset] = random.randint(256)
    (tmp_path / "bad.mkv").write_bytes(content)
    _, _, decoded = decode(tmp_path / "bad.mkv")
    assert decoded.seconds == 8 and " is damaged, " in decoded.remarks[0]


def write_sound_alone(path):
    stand_ins.ffmpeg(*stand_ins.tone(1), "-c:a", "aac", path)


def write_cover_art(path):
    stand_ins.ffmpeg(*stand_ins.tone(1), "-f", "lavfi", "-i", "color=red:size=64x64:duration=0.04", "-map", "0:a",
                     "-map", "1:v", "-c:v", "mjpeg", "-frames:v", "1", "-disposition:v:0", "attached_pic", path)


def write_half_an_mp4(path):
    stand_ins.ffmpeg(*picture(1), *USUAL, path)
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize("write, expected", [
    (write_sound_alone, " has no video: remove it, or narrow --videos."),
    (write_cover_art, " has no video: remove it, or narrow --videos."),
    (write_half_an_mp4, " cannot be read as a film (moov atom not found; Invalid data found when processing input): "
                        "replace or remove it."),
    (lambda path: path.write_text("hello"), " cannot be read as a film (moov atom not found; Invalid data found when "
                                            "processing input): replace or remove it."),
    (lambda path: path.mkdir(), " cannot be read as a film (Is a directory): replace or remove it."),
    (lambda path: None, " cannot be read as a film (No such file or directory): replace or remove it.")],
    ids=["sound alone", "cover art", "half an mp4", "text", "folder", "missing"])
def test_what_is_no_film_is_named(tmp_path, write, expected):
    path = tmp_path / "film: 1.mp4"
    write(path)
    assert sentence(path) == expected


def test_sound_that_cannot_be_decoded_is_no_silence(tmp_path):
    path = tmp_path / "film.mkv"
    stand_ins.ffmpeg(*picture(2), *stand_ins.tone(2), *LOSSLESS, path)
    content = path.read_bytes()
    assert content.count(b"A_PCM/INT/LIT") == 1
    path.write_bytes(content.replace(b"A_PCM/INT/LIT", b"A_UNKNOWN/123"))
    assert sentence(path).startswith(" cannot be decoded (")


def test_sound_whose_packets_are_damaged_to_the_end_is_no_silence(tmp_path):
    stand_ins.ffmpeg(*picture(2), *stand_ins.tone(2), *LOSSLESS[:2], "-c:a", "ac3", tmp_path / "whole.mkv")
    stand_ins.ffmpeg("-i", tmp_path / "whole.mkv", "-c", "copy", "-bsf:a", "noise=amount=1", tmp_path / "film.mkv")
    found = sentence(tmp_path / "film.mkv")
    assert found.startswith(": its sound breaks off 2.0 seconds before its picture (")
    assert found.endswith("): replace it, or pass --accept_damaged.")
    assert decode(tmp_path / "film.mkv", accept_damaged=True)[2].seconds == 2


def test_a_film_without_sound_may_be_refused(tmp_path):
    stand_ins.ffmpeg(*picture(.2), *USUAL[:-2], tmp_path / "film.mp4")
    assert sentence(tmp_path / "film.mp4", missing_audio="refuse") == (
        " has no sound: leave it out, or pass --missing_audio=silence.")


def test_an_error_of_the_one_who_takes_the_frames_ends_ffmpeg(tmp_path, long_film):
    class Enough(Exception):
        pass

    for unwanted in "rgb", "audio":
        def give(name, value, unwanted=unwanted):
            if name == unwanted:
                raise Enough

        with pytest.raises(Enough):
            decoding.decode(ffmpeg.probe(TOOLS, str(long_film)), decoding.Options(TOOLS), give)


# The programs.


def test_ffmpeg_is_not_found(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="^ffmpeg is not found: install it with apt-get install ffmpeg or conda "
                                         "install ffmpeg, or give its path in --ffmpeg.$"):
        ffmpeg.find("")


@pytest.mark.parametrize("content, words", [
    (None, "does not run (No such file or directory)"), ("", "does not run (Exec format error)"),
    ("#!/bin/sh\necho hello\n", "is no working ffmpeg or ffprobe (hello)"),
    ("#!/bin/sh\nexit 1\n", "is no working ffmpeg or ffprobe (ffmpeg)")], ids=["missing", "empty", "another", "fails"])
def test_what_is_no_ffmpeg_is_named(tmp_path, content, words):
    path = tmp_path / "ffmpeg"
    if content is not None:
        path.write_text(content)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(InputError) as caught:
        ffmpeg.find(str(path))
    assert str(caught.value).startswith("--ffmpeg=%s %s: install it with" % (path, words))


def test_ffprobe_is_beside_ffmpeg_or_on_the_path(tmp_path):
    os.symlink(shutil.which("ffmpeg"), str(tmp_path / "ffmpeg"))
    assert ffmpeg.find(str(tmp_path / "ffmpeg")) == ffmpeg.Tools(str(tmp_path / "ffmpeg"), shutil.which("ffprobe"))
    os.symlink(shutil.which("ffprobe"), str(tmp_path / "ffprobe"))
    assert ffmpeg.find(str(tmp_path / "ffmpeg")).ffprobe == str(tmp_path / "ffprobe")
