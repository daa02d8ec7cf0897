"""A browser that tests drive: Chromium without a window, over its DevTools protocol."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

SECONDS = 120  # that a page may take: test machines are busy
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")


class Browser:
    """Chromium in a profile of its own; `microphone` is a WAV file that its microphone plays."""

    def __init__(self, folder, microphone=None):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("there is no Chromium to look at the page with")
        flags = [*FLAGS, *QUIET, f"--user-data-dir={folder}/profile"]
        if microphone:
            fakes = "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
            flags += [*fakes, f"--use-file-for-fake-audio-capture={microphone}"]
        (first, self._write), (self._read, second) = os.pipe(), os.pipe()
        # Chromium reads its descriptor 3 and writes 4. These may be ours, so both ends move out of the way first.
        read, write = (fcntl.fcntl(end, fcntl.F_DUPFD, 50) for end in (first, second))
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{read} 4>&{write}', "bash", program, *flags, "about:blank"],
            pass_fds=(read, write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": str(folder)},
        )
        for end in (first, second, read, write):
            os.close(end)
        self._answers, self._number, self._news = {}, 0, threading.Condition()
        self.requests = []  # addresses, of all pages
        self.messages = []  # of their consoles: errors and exceptions
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.wait()
        os.close(self._write)

    def _listen(self):
        rest = b""
        while data := os.read(self._read, 1 << 20):
            *messages, rest = (rest + data).split(b"\0")
            for text in messages:
                message = json.loads(text)
                with self._news:
                    if "id" in message:
                        self._answers[message["id"]] = message
                    elif message["method"] == "Network.requestWillBeSent":
                        self.requests.append(message["params"]["request"]["url"])
                    elif message["method"] == "Runtime.exceptionThrown":
                        self.messages.append(message["params"]["exceptionDetails"])
                    self._news.notify_all()

    def send(self, method, session=None, **params):
        """The answer to a command of the protocol."""
        with self._news:
            self._number += 1
            number = self._number
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        with self._news:
            assert self._news.wait_for(lambda: number in self._answers, SECONDS), f"Chromium does not answer: {method}"
            answer = self._answers.pop(number)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def open(self, address, width=1280, height=1000):
        """A new page that shows an address, as of another visitor: with connections and storage of its own."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        for domain in ("Page", "Network", "Runtime"):
            page.send(f"{domain}.enable")
        page.resize(width, height)
        page.send("Page.navigate", url=address)
        return page


class Page:
    """A page of the browser."""

    def __init__(self, browser, target, session):
        self._browser, self._target, self._session = browser, target, session

    def send(self, method, **params):
        return self._browser.send(method, self._session, **params)

    def close(self):
        self._browser.send("Target.closeTarget", targetId=self._target)

    def resize(self, width, height=1000):
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def run(self, script):
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script, seconds=SECONDS):
        """The value of a JavaScript expression, as soon as it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.2)
        raise AssertionError(f"{script} did not become true; the page says: {self.text('body')[:2000]}")

    def text(self, selector):
        """What an element shows; empty if it is not there."""
        return self.run(f"document.querySelector({selector!r})?.innerText ?? ''")

    def wait_text(self, selector, words, seconds=SECONDS):
        """What an element shows, as soon as these words are in it."""
        found = f"(document.querySelector({selector!r})?.innerText ?? '')"
        return self.wait(f"{found}.includes({words!r}) && {found}", seconds)

    def click(self, selector, words=""):
        """Click the first element that shows these words, as soon as it is there."""
        found = f"[...document.querySelectorAll({selector!r})].find(e => e.innerText.includes({words!r}))"
        self.wait(f"!!{found}")
        self.run(f"{found}.click()")

    def upload(self, selector, *paths):
        """Choose files in an input."""
        self.wait(f"!!document.querySelector({selector!r})")
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(Path(path).absolute()) for path in paths])

    def screenshot(self, path):
        """Write the whole page as a PNG file."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        Path(path).write_bytes(base64.b64decode(data))
