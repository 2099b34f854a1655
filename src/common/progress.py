"""Progress of long work as log lines: share done, rate, time left."""
import logging
import time

log = logging.getLogger("yt8m")


def duration(seconds):
    """Seconds as a person says them: 42 s, 7 min, 3 h 5 min."""
    seconds = int(round(seconds))
    if seconds < 100:
        return "%d s" % seconds
    minutes = int(round(seconds / 60.0))
    return "%d min" % minutes if minutes < 100 else "%d h %d min" % divmod(minutes, 60)


class Progress(object):
    """Logs a line every `every` seconds while work goes on, and one at its end.

    Args:
      what: what is being done, e.g. "inference".
      unit: what is counted, plural, e.g. "videos".
      total: how many there are in all, or None when unknown.
      every: seconds between lines.
    """

    def __init__(self, what, unit, total=None, every=10.0):
        self._what, self._unit, self._total, self._every = what, unit, total, every
        self._start = self._last = time.time()
        self.done = 0

    def add(self, count, note=""):
        """Counts `count` more as done; `note` is appended when a line is due."""
        self.done += count
        now = time.time()
        if now - self._last >= self._every:
            self._last = now
            self._log(now, note)

    def finish(self, note=""):
        """Logs the closing line."""
        elapsed = time.time() - self._start
        log.info("%s: %d %s in %s (%.1f/s)%s", self._what, self.done, self._unit, duration(elapsed),
                 self.done / max(elapsed, 1e-6), note)

    def _log(self, now, note):
        rate = self.done / max(now - self._start, 1e-6)
        if self._total:
            log.info("%s: %d of %d %s (%.0f%%), %.1f/s, %s left%s", self._what, self.done, self._total,
                     self._unit, 100.0 * self.done / self._total, rate,
                     duration((self._total - self.done) / max(rate, 1e-6)), note)
        else:
            log.info("%s: %d %s, %.1f/s%s", self._what, self.done, self._unit, rate, note)
