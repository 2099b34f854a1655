"""A film -> the inputs of the two networks, one of each per second."""
import concurrent.futures
import typing

from src.common.errors import InputError
from src.features import ffmpeg
from src.features import log_mel
from src.features import resampling
from src.features import resize

SILENCE, OMIT, REFUSE = "silence", "omit", "refuse"  # what becomes of films without sound
LEAST_SECOND = log_mel.WINDOW - log_mel.STEP + 1  # samples of the shortest second that has a patch
TOLERATED_SECONDS = 1  # of a film that breaks off, or of silence at its end, without a word


class Options(typing.NamedTuple):
    """How films are decoded."""
    tools: ffmpeg.Tools
    missing_audio: str = SILENCE  # of SILENCE, OMIT, REFUSE
    max_seconds: int = 0  # of a film; 0: all
    accept_damaged: bool = False  # whether to take films that break off


class Decoded(typing.NamedTuple):
    """What a film was."""
    seconds: int
    has_sound: bool
    remarks: list  # sentences about what was damaged or filled up


def decode(film, options, give):
    """Decodes a film, at its full rate and size; each frame is resized at once.

    Memory: a full frame, some seconds of sound.

    Args:
      film: ffmpeg.Film.
      options: Options.
      give: function of a feature's name and an input of its network, which is called for each second in order: "rgb"
        with a resized frame, "audio" with a log-mel patch. There may be more patches than frames at the end. Called
        from two threads.

    Returns:
      Decoded.

    Raises:
      InputError: the film cannot be decoded, breaks off, or has no sound where that is refused.
      Whatever `give` raises.
    """
    if not film.has_sound and options.missing_audio == REFUSE:
        raise InputError("%s has no sound: leave it out, or pass --missing_audio=silence." % film.path)
    with ffmpeg.Decoder(options.tools, film, options.max_seconds, film.has_sound) as decoder:
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            listening = executor.submit(_listen, decoder, give) if film.has_sound else None
            seconds = 0
            try:
                for frame in decoder.frames():
                    give("rgb", resize.resize(frame))
                    seconds += 1
            except BaseException:
                decoder.kill()  # ends the other thread
                raise
            patches = listening and listening.result()
            said = decoder.finish()
    _check_length(film, options, seconds, said)
    remarks = ["%s is damaged, %d complaints such as: %s" % (film.path, said.count, said.last)] * bool(said.count)
    if patches:
        silent = seconds - patches.num_samples / log_mel.RATE
        if silent > TOLERATED_SECONDS and said.count and not options.accept_damaged:
            raise InputError("%s: its sound breaks off %.1f seconds before its picture (%s): replace it, or pass "
                             "--accept_damaged." % (film.path, silent, said.last))
        if silent > TOLERATED_SECONDS:
            remarks.append("%s: its sound ends %.1f seconds before its picture, silence follows" % (film.path, silent))
        _finish(patches, film, seconds, give)
    return Decoded(seconds, film.has_sound, remarks)


def _listen(decoder, give):
    """Gives the patches of the sound; returns the `log_mel.Patches`, which hold its last second."""
    try:
        patches = log_mel.Patches()
        rate, blocks = decoder.sound()
        if rate:
            resampler = resampling.Resampler(rate)
            for samples in blocks:
                _give_each(patches.feed(resampler.feed(samples)), give)
            _give_each(patches.feed(resampler.finish()), give)
        return patches
    except BaseException:
        decoder.kill()  # ends the other thread, too: ffmpeg would wait for a reader
        raise


def _give_each(patches, give):
    for patch in patches:
        give("audio", patch)


def _finish(patches, film, seconds, give):
    """Gives the last patches, of the sound and of silence up to the end of the picture: at least `seconds` in all."""
    end = seconds if film.seconds is None else min(film.seconds, seconds)
    least = (seconds - 1) * log_mel.RATE + LEAST_SECOND
    _give_each(patches.finish(max(int(end * log_mel.RATE), least)), give)


def _check_length(film, options, seconds, said):
    """Checks that a film has been decoded to its end.

    Raises:
      InputError: it breaks off.
    """
    if not seconds:
        raise InputError("%s has no frame that can be decoded (%s): replace or remove it." % (
            film.path, said.last or "it has no packets"))
    expected = min(film.seconds or 0, options.max_seconds or float("inf"))
    # The length of the longest stream proves nothing without a complaint.
    if (seconds < expected - TOLERATED_SECONDS and (film.is_of_picture or said.count) and not options.accept_damaged):
        raise InputError("%s breaks off after %d of %d seconds%s: replace it, or pass --accept_damaged." % (
            film.path, seconds, round(expected), " (%s)" % said.last if said.last else ""))
