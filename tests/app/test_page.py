"""The real page in a real browser: visitors drop, record and speak, at once, and nothing of them stays on disk."""

import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from browser import Browser
from setups import artifacts, start_dfx, train_run

pytestmark = pytest.mark.slow
UPLOAD = "#sound input[type=file]"
FILES_AT_ONCE, SECONDS = 2, 180


class PageProcess:
    """The command in a process of its own."""

    def __init__(self, folder, *arguments):
        self.folder, self.log = folder, folder / "app.log"
        with self.log.open("w") as output:
            self.process = start_dfx(folder, "app", "port=0", "max_mib=1", "max_seconds=20", *arguments, output=output)
        end = time.monotonic() + SECONDS
        while not (ready := re.search(r"Ready: (\S+)", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, "the page does not start"
            time.sleep(0.2)
        self.address = ready[1]

    def files(self):
        """Files of visitors on disk, and decoded audio."""
        return [path for path in (self.folder / "cache" / "app").glob("*/**/*") if path.is_file()]

    def wait_until_empty(self, seconds=40):
        end = time.monotonic() + seconds
        while self.files():
            assert time.monotonic() < end, f"{self.files()} are left"
            time.sleep(0.2)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@pytest.fixture(scope="module")
def page(checkpoint, corpus, home, tmp_path_factory):
    """The page with two detectors."""
    other = artifacts(train_run("other", corpus, home, "model=mlp", "feature=mfcc", "data.batch_size=4"))
    folder = tmp_path_factory.mktemp("page")
    started = PageProcess(folder, f"model={checkpoint}", f"compare={other}/checkpoint/best.ckpt")
    yield started
    started.process.kill()
    started.process.wait()


def test_drop_record_and_speak(page, sounds, tmp_path):
    spoof, broken, large = sounds("spoof.wav", 3, fake=True), tmp_path / "broken.wav", sounds("large.wav", 40)
    broken.write_bytes(b"RIFF" + bytes(range(200)))
    with Browser(tmp_path, microphone=sounds("mic.wav", 15)) as browser:
        tab = browser.open(page.address)
        tab.upload(UPLOAD, spoof)
        shown = tab.wait_text("#result", "Audio statistics")
        assert "spoof.wav" in shown
        assert "SPOOF" in shown
        assert shown.count("probability of spoof") == 2
        assert tab.run("[...document.querySelectorAll('#result img')].every(image => image.naturalWidth > 300)")
        assert tab.wait("document.querySelector('#result audio').duration > 2.9")
        assert page.files() == []

        tab.upload(UPLOAD, broken)
        tab.wait_text("#result", "This file cannot be judged: no decoder recognises it")
        tab.upload(UPLOAD, large)
        tab.wait_text("body", "maximum allowed size")

        tab.click('#sound button[aria-label="Record audio"]')
        tab.click("#sound button.record-button")
        time.sleep(3)
        tab.click("#sound button.stop-button")
        assert "audio.wav" in tab.wait_text("#result", "Audio statistics")
        assert page.files() == []

        tab.click("button[role=tab]", "Live")
        tab.click("#live button", "Record")
        begin = time.monotonic()
        tab.wait_text("#live", "Since the start, 4 s")
        tab.click("#live button", "Stop")
        tab.wait_text("#live", "Record")
        heard = int(re.search(r"Since the start, (\d+) s", tab.text("#live"))[1])
        assert heard == pytest.approx(time.monotonic() - begin, abs=4)
        assert "probability of spoof" in tab.text("#live")

        tab.click("button[role=tab]", "Model card")
        tab.wait_text("body", "SHA-256 of the file")
        assert [url for url in browser.requests if not url.startswith((page.address, "data:", "blob:"))] == []
        assert browser.messages == []
    page.wait_until_empty()
    assert "Traceback" not in page.log.read_text()


def test_ten_visitors_at_once(page, sounds, tmp_path):
    clips = [sounds(f"visitor{number}.wav", 2, fake=number % 2 == 1) for number in range(8)]
    clips += [sounds("same.wav", 2)] * 2
    with Browser(tmp_path) as browser:
        tabs = [browser.open(page.address) for _ in clips]
        for tab in tabs:
            tab.wait(f"!!document.querySelector('{UPLOAD}')")
        for tab, clip in zip(tabs, clips, strict=True):
            tab.upload(UPLOAD, clip)
        for tab, clip in zip(tabs, clips, strict=True):
            shown = tab.wait_text("#result", "Audio statistics", SECONDS)
            assert clip.name in shown
            first = shown.split("probability of spoof")[0]
            assert ("SPOOF" in first) == (int(clip.stem[-1:].isdigit() and clip.stem[-1]) % 2 == 1)
    page.wait_until_empty()


def test_cancelled_and_left(page, sounds, tmp_path):
    clip = sounds("waits.wav", 18)
    with Browser(tmp_path) as browser:
        tabs = [browser.open(page.address) for _ in range(FILES_AT_ONCE + 2)]
        for tab in tabs:
            tab.wait(f"!!document.querySelector('{UPLOAD}')")
        for tab in tabs:
            tab.upload(UPLOAD, clip)
        *busy, cancelled, left = tabs
        left.wait_text("#result", "Listening")
        left.close()
        cancelled.click("#cancel", "Cancel")
        cancelled.wait_text("#result", "Cancelled; the file was deleted.")
        for tab in busy:
            tab.wait_text("#result", "Audio statistics", SECONDS)
        page.wait_until_empty()
        assert "Cancelled" in cancelled.text("#result")


def test_requests_that_the_page_does_not_make(page):
    def status(path, **options):
        try:
            with urllib.request.urlopen(urllib.request.Request(page.address + path, **options)) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    code, headers, _ = status("/")
    assert code == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    for path in ("file=/etc/passwd", "process_recording", "proxy=http://127.0.0.1/", "openapi.json", "vibe-code"):
        assert status(f"/gradio_api/{path}")[0] == 404
    # The body is not sent: the refusal does not wait for it.
    code, _, text = status("/gradio_api/upload", data=b"x", headers={"Content-Length": 3 << 20}, method="POST")
    assert (code, text) == (413, b"A file has at most 1 MiB here: send a smaller one.")
    assert status("/live/x?rate=1&last=0", data=bytes(2), method="POST")[0] == 400
    assert status("/live/x?rate=16000&last=1", data=bytes(2), method="POST")[0] == 200


def test_the_end_removes_everything(checkpoint, tmp_path):
    started = PageProcess(tmp_path, f"model={checkpoint}")
    upload = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\nabc\r\n--x--\r\n'
    for _ in range(2):  # equal files are apart
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        urllib.request.urlopen(urllib.request.Request(f"{started.address}/gradio_api/upload", upload, kind)).close()
    assert len(started.files()) == 2
    assert started.end() == 128 + signal.SIGTERM
    assert list((tmp_path / "cache" / "app").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.log", "cache"]
