"""Drives a headless Chromium, if there is one, through its DevTools protocol over a pair of pipes."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

import pytest

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
TIMEOUT = 20  # seconds, far more than anything takes


def find():
    """The browser's path; skips the test if there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("there is no browser: install Debian's package chromium")
    return path


class Browser(object):
    """A browser with one page, for a `with` block."""

    def __init__(self):
        path = find()
        self._profile = tempfile.mkdtemp()
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # The protocol goes through the file descriptors 3 and 4; the shell puts the pipes there.
        self._process = subprocess.Popen(
            ["bash", "-c", 'exec "$0" "$@" 3<&%d 4>&%d' % (theirs_in, theirs_out), path, "--headless",
             "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe",
             "--user-data-dir=" + self._profile, "about:blank"], pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer, self._number, self._session, self.complaints = b"", 0, None, []

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log", "Network":
            self.call(domain + ".enable")
        return self

    def __exit__(self, *unused):
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method, **params):
        """The result of a method of the protocol."""
        self._number += 1
        message = dict(id=self._number, method=method, params=params)
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(answer["params"])

    def _receive(self):
        while b"\0" not in self._buffer:
            assert select.select([self._in], [], [], TIMEOUT)[0], "the browser does not answer"
            read = os.read(self._in, 1 << 16)
            assert read, "the browser has ended"
            self._buffer += read
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message.decode())

    def look(self, width, height=900, dark=False):
        """Sets the page's size in pixels, that of a phone if `width` is below 600, and its light or dark colours."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, url, until):
        """Opens a page and waits until an expression of JavaScript is true."""
        self.call("Page.navigate", url=url)
        self.wait_for(until)

    def evaluate(self, expression):
        """The value of an expression of JavaScript."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression):
        """Waits until an expression of JavaScript is true."""
        deadline = time.time() + TIMEOUT
        while not self.evaluate(expression):
            assert time.time() < deadline, expression
            time.sleep(.02)

    def press(self, key, code=None):
        """Presses a key: Enter, Tab, ArrowRight, .."""
        codes = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, " ": 32}
        common = dict(key=key, code=code or key, windowsVirtualKeyCode=codes[key])
        text = {"Enter": "\r", " ": " "}.get(key)
        self.call("Input.dispatchKeyEvent", type="keyDown", **dict(common, **({"text": text} if text else {})))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        """Types text into the element with the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector):
        """Clicks on the middle of an element."""
        x, y = self.evaluate("(() => { const box = document.querySelector(%s); box.scrollIntoView({block: 'center'});"
                             " const at = box.getBoundingClientRect();"
                             " return [at.left + at.width / 2, at.top + at.height / 2]; })()" % json.dumps(selector))
        for kind in "mousePressed", "mouseReleased":
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path, whole=False):
        """Writes a PNG of the visible part, or of the whole page."""
        with open(path, "wb") as stream:
            stream.write(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))
