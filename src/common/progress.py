"""Progress of long work as log lines: share done, rate, time left."""
import logging
import time

log = logging.getLogger("yt8m")


def duration(seconds):
    """Seconds in words: 42 s, 7 min, 3 h 5 min."""
    seconds = int(round(seconds))
    if seconds < 100:
        return "%d s" % seconds
    minutes = int(round(seconds / 60.0))
    return "%d min" % minutes if minutes < 100 else "%d h %d min" % divmod(minutes, 60)


class Progress(object):
    """Logs a line every `every` seconds while work goes on, and one at its end.

    Args:
      what: name of the work, e.g. "inference".
      unit: counted things, plural, e.g. "videos".
      total: number of units, or None if unknown.
      first: number of units done before.
      every: seconds between lines.
    """

    def __init__(self, what, unit, total=None, first=0, every=10.0):
        self._what, self._unit, self._total, self._first, self._every = what, unit, total, first, every
        self._start = self._last = time.time()
        self.done = first

    def add(self, count, note="", share=None):
        """Counts units as done and logs a line if one is due.

        Args:
          count: number of units.
          note: end of the line.
          share: share of the work that is done, 0..1, if `total` is unknown.
        """
        self.done += count
        if time.time() - self._last >= self._every:
            self.report(note, share)

    def report(self, note="", share=None):
        """Logs a line now."""
        self._last = time.time()
        elapsed = max(self._last - self._start, 1e-6)
        rate = (self.done - self._first) / elapsed
        parts = ["%d %s" % (self.done, self._unit)]
        left = None
        if self._total:
            parts[0] = "%d of %d %s" % (self.done, self._total, self._unit)
            share, left = self.done / self._total, (self._total - self.done) / max(rate, 1e-6)
        elif share:
            left = elapsed * (1 - share) / share
        if left is not None:
            parts[0] += " (%.0f%%)" % (100 * share)
        if rate:
            parts.append("%.3g %s/s" % (rate, self._unit))
            if left is not None:
                parts.append("%s left" % duration(left))
        log.info("%s: %s", self._what, ", ".join(parts + [note] * bool(note)))

    def finish(self, note=""):
        """Logs the closing line."""
        elapsed = time.time() - self._start
        rate = (self.done - self._first) / max(elapsed, 1e-6)
        log.info("%s: %s", self._what, ", ".join(
            ["%d %s in %s" % (self.done - self._first, self._unit, duration(elapsed)),
             "%.3g %s/s" % (rate, self._unit)] + [note] * bool(note)))
