"""What is behind the page: files are judged, refused and deleted; a microphone is heard to its end."""

import asyncio
import os
import re
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import dfx
from dfx.app import __main__ as command
from dfx.app import answer_html, live, server, visitors
from dfx.app.analysis import answer_file
from dfx.app.file_check import FileLimits
from dfx.app.live import LiveRecordings
from dfx.app.model_card import model_card
from dfx.app.visitors import Visitors
from dfx.detector.answers import DecisionRule
from dfx.detector.input_statistics import InputReference
from dfx.tracking import runs
from setups import type_command

LIMITS = FileLimits(1, 20)


def words(html):
    return " ".join(re.sub("<[^>]*>", " ", html).split())


@pytest.mark.parametrize("fake", [False, True])
def test_a_file_has_a_verdict_of_each_detector(system, sounds, tmp_path, fake):
    path = sounds("<b>odd & even.wav", 3, fake, rate=48000)
    answer = answer_file([system, replace(system, name="other")], path, LIMITS, tmp_path)
    html = answer_html.file_html([system, replace(system, name="other")], answer)
    said = words(html)
    assert said.count("SPOOF fake speech" if fake else "BONA FIDE genuine speech") == 2
    assert said.count("probability of spoof") == 2
    assert "&lt;b&gt;odd &amp; even.wav" in html
    assert "<b>odd" not in html
    for shown in ("Mean pitch", "48 kHz, mono", "3.00 s", "data:audio/ogg;base64,", system.name, "other"):
        assert shown in html
    assert answer.answers[0].score == pytest.approx(answer.answers[1].score)
    assert list(tmp_path.iterdir()) == []


def test_warnings_are_shown(system, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000), 16000)
    answer = answer_file([system], tmp_path / "silence.wav", LIMITS, tmp_path)
    html = answer_html.file_html([system], answer)
    assert "UNSURE no decision" in words(html)
    assert "there is nothing to judge" in html


def test_refusals_are_sentences(system, sounds, tmp_path):
    broken, empty = tmp_path / "broken.wav", tmp_path / "empty.mp3"
    broken.write_bytes(b"RIFF" + bytes(range(200)))
    empty.touch()
    refused = {
        broken: "no decoder recognises it",
        empty: "the file is empty",
        sounds("long.wav", 21): "The recording is longer than 20 s",
        sounds("large.wav", 40): "at most 1 MiB are taken here",
    }
    for path, sentence in refused.items():
        with pytest.raises(ValueError, match=sentence) as error:
            answer_file([system], path, LIMITS, tmp_path)
        assert str(tmp_path) not in str(error.value)


def test_a_rule_in_words():
    rule = DecisionRule(0.0, -1.0, 1.0, True, 0.5, "EER on dev")
    assert answer_html.rule_sentence(rule).startswith("BONA FIDE below 26.9 %, SPOOF from 73.1 %; UNSURE between")
    assert answer_html.rule_sentence(replace(rule, low=0.0, high=0.0)) == "SPOOF from 50.0 %, else BONA FIDE."
    plain = answer_html.rule_sentence(replace(rule, calibrated=False))
    assert plain.startswith("BONA FIDE at a score above 1.00, SPOOF at a score up to -1.00")
    assert "no verdict" in answer_html.rule_sentence(replace(rule, threshold=float("nan")))
    assert "unsure about every recording" in answer_html.rule_sentence(replace(rule, tells_nothing=True))


def test_the_card_says_how_the_detector_was_made(system, monkeypatch):
    (detector,) = system.detectors
    reference = InputReference({"bandwidth": (3000.0, 5000.0, 7000.0)}, 1.0)
    detector = replace(detector, card=replace(detector.card, reference=reference))
    card = model_card(replace(system, detectors=[detector]))
    for shown in ("LFCC, MLP, BCE", "Equal error rate", "Calibration", "3000 to 7000 Hz", "16 kHz", "SHA-256"):
        assert shown in card
    monkeypatch.setattr(runs, "model_description", lambda place: "# As it is registered")
    assert "# As it is registered" in model_card(replace(system, places=["models:/dfx@champion"]))


@pytest.fixture
def kept(tmp_path):
    """Visitors, and what uploads a file as Gradio does it."""
    found = Visitors(tmp_path)

    def upload(name="clip.wav", folder="0123"):
        (found.uploads / folder).mkdir(exist_ok=True)
        (found.uploads / folder / name).write_text(folder)
        return {"path": str(found.uploads / folder / name)}

    def files():
        return [path for path in tmp_path.rglob("*") if path.is_file()]

    return SimpleNamespace(visitors=found, upload=upload, files=files)


def test_files_of_visitors_are_kept_apart_and_deleted(kept):
    kept.visitors.claim("anna", kept.upload(folder="a"))
    kept.visitors.claim("bea", kept.upload(folder="b"))
    kept.visitors.claim("cleo", kept.upload(folder="c"))
    assert not list(kept.visitors.uploads.iterdir())
    with kept.visitors.taken("bea") as path:
        assert (path.name, path.read_text()) == ("clip.wav", "b")
    with kept.visitors.taken("bea") as path:
        assert path is None
    kept.visitors.claim("anna", kept.upload(folder="d"))  # a second file takes the place of the first
    assert len(kept.files()) == 2
    kept.visitors.leave("cleo")
    with kept.visitors.taken("anna") as path:
        assert path.read_text() == "d"
    assert kept.files() == []


def test_a_visitor_names_uploads_only(kept, tmp_path):
    (tmp_path / "secret.wav").touch()
    gone = kept.upload()
    kept.visitors.claim("anna", gone)
    for path in (
        tmp_path / "secret.wav",
        "/etc/passwd",
        kept.visitors.uploads / "0123" / ".." / ".." / "secret.wav",
        "",
    ):
        with pytest.raises(ValueError, match="did not arrive"):
            kept.visitors.claim("bea", {"path": str(path)})
    with pytest.raises(ValueError, match="did not arrive"):
        kept.visitors.claim("bea", gone)


def test_what_nobody_claims_is_swept(kept):
    old, new = kept.upload(folder="old"), kept.upload(folder="new")
    kept.visitors.claim("anna", kept.upload(folder="waits"))
    before = time.time() - visitors.UNCLAIMED_SECONDS - 1
    for path in (old["path"], kept.visitors.uploads / "old"):
        os.utime(path, (before, before))
    kept.visitors.sweep()
    assert [path.name for path in kept.visitors.uploads.iterdir()] == ["new"]
    assert new["path"] in map(str, kept.files())
    with kept.visitors.taken("anna") as path:
        assert path.exists()


def test_leaving_deletes_the_file_that_is_judged(kept):
    kept.visitors.claim("anna", kept.upload(folder="a"))
    kept.visitors.claim("bea", kept.upload(folder="b"))
    with kept.visitors.taken("anna") as path:
        kept.visitors.leave("anna")
        assert not path.exists()
        assert len(kept.files()) == 1


def test_sweeping_goes_on(kept, monkeypatch, capsys):
    old = kept.upload(folder="old")
    os.utime(old["path"], (0, 0))
    walk, errors = os.walk, [FileNotFoundError("vanished")]

    def walk_with_error(*arguments, **options):
        if errors:
            raise errors.pop()
        return walk(*arguments, **options)

    monkeypatch.setattr(os, "walk", walk_with_error)
    monkeypatch.setattr(visitors, "SWEEP_SECONDS", 0.01)

    async def serve():
        async with kept.visitors.sweeping(None):
            while kept.files():
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(serve(), 60))
    assert "could not be swept (FileNotFoundError('vanished'))" in capsys.readouterr().err


def requested(guard, method, path, length=0):
    """Status and text with which a guard answers a request."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [(b"content-length", str(length).encode())]}
    asyncio.run(guard(scope, None, send))
    return sent[0]["status"], sent[1]["body"].decode()


async def answer_with_path(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def test_only_requests_of_the_page_are_answered(kept):
    guard = server.RequestGuard(answer_with_path, kept.visitors, 1000)
    refused = """
        POST /gradio_api/process_recording, GET /gradio_api/deep_link, GET /gradio_api/vibe-code,
        GET /gradio_api/proxy=http://127.0.0.1/, POST /gradio_api/stream/1, GET /gradio_api/openapi.json, POST /login,
        GET /gradio_api/file=/etc/passwd, POST /gradio_api/component_server, GET /gradio_api/info, GET /monitoring,
        POST /gradio_api/upload/, GET /gradio_api/upload, POST /gradio_api/vibe-edit, POST /gradio_api/call/claim
    """
    for request in refused.split(","):
        assert requested(guard, *request.split())[0] == 404, request
    for request in (
        "GET /",
        "GET /assets/index.js",
        "POST /gradio_api/upload",
        "POST /live/0a",
        "POST /gradio_api/queue/join",
    ):
        assert requested(guard, *request.split()) == (200, request.split()[1])


def test_the_files_of_all_visitors_have_a_limit(kept):
    guard = server.RequestGuard(answer_with_path, kept.visitors, 1000)
    file = kept.upload()
    os.truncate(file["path"], server.MOST_FILES * 1000 + server.MORE_BYTES - 20_000)
    assert requested(guard, "POST", server.UPLOAD, 500)[0] == 200
    kept.visitors.claim("anna", file)
    assert requested(guard, "POST", server.UPLOAD, 30_000) == (
        503,
        "The page holds as many recordings as it can at the moment: try again in a minute.",
    )
    kept.visitors.leave("anna")
    assert requested(guard, "POST", server.UPLOAD, 30_000)[0] == 200
    assert requested(guard, "POST", server.UPLOAD, 2_000_000)[0] == 413


def test_sentences_have_no_path_of_the_server(kept, monkeypatch):
    page = pytest.importorskip("dfx.app.page")
    handlers = page.PageHandlers([], kept.visitors, LIMITS, kept.visitors.temporary)

    def fail(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", str(kept.visitors.uploads / "0123"))

    monkeypatch.setattr(kept.visitors, "claim", fail)
    said = words(handlers.claim(kept.upload(), SimpleNamespace(session_hash="a"))[1])
    assert said.startswith("There is no such file or folder.")
    assert str(kept.visitors.uploads) not in said


def chunks(seconds, fake=False, rate=48000, size=4000):
    time_axis = np.arange(round(seconds * rate)) / rate
    samples = 0.1 * np.random.default_rng(0).standard_normal(len(time_axis))
    if fake:
        samples += 0.1 * np.sin(2 * np.pi * 1000 * time_axis)
    whole = np.rint(32767 * samples).astype("<i2")
    return [whole[first : first + size] for first in range(0, len(whole), size)]


def test_live_recordings_are_heard_to_the_end_and_apart(system):
    recordings = LiveRecordings([system], 20)
    pieces = {"real": chunks(2), "fake": chunks(2, fake=True)}
    for number in range(len(pieces["real"])):
        for name, parts in pieces.items():
            heard = recordings.add(name, parts[number].tobytes(), 48000, last=number == len(parts) - 1)
            if number == 0:
                assert "the first answer comes after 0.5 s" in answer_html.live_html(heard)
            if number == len(parts) - 1:
                stream = dfx.StreamingDetector(system.detectors[0], 48000, 0.5)
                scores = [window.llr for part in parts for window in stream.add(part)]
                assert [score for _, score in heard.answers[0].windows] == pytest.approx(scores, abs=1e-6)
                said = words(answer_html.live_html(heard))
                assert said.startswith("SPOOF" if name == "fake" else "BONA FIDE")
                assert "Since the start, 2 s" in said


def test_silence_and_short_live_recordings(system):
    recordings = LiveRecordings([system], 20)
    silent = recordings.add("a", bytes(2 * 16000), 16000, last=False)
    assert "silence: there is nothing to judge" in answer_html.live_html(silent)
    short = recordings.add("b", chunks(0.2, rate=16000, size=3200)[0].tobytes(), 16000, last=True)
    assert "probability of spoof" in answer_html.live_html(short)
    nothing = recordings.add("c", b"", 16000, last=True)
    assert "0.0 s heard" in answer_html.live_html(nothing)


def test_limits_of_live_recordings(system, monkeypatch):
    recordings = LiveRecordings([system], 1)
    recordings.add("a", bytes(2 * 16000), 16000, last=False)
    with pytest.raises(ValueError, match="has reached 1 s"):
        recordings.add("a", bytes(2), 16000, last=False)
    with pytest.raises(ValueError, match="sample rate"):
        recordings.add("b", bytes(2), 1, last=True)
    for name in range(live.MOST_RECORDINGS):
        recordings.add(str(name), b"", 16000, last=False)
    with pytest.raises(ValueError, match="8 others are recording"):
        recordings.add("one more", b"", 16000, last=False)
    monkeypatch.setattr(live, "FORGOTTEN_SECONDS", -1.0)
    recordings.add("one more", b"", 16000, last=False)


def test_limits_of_live_chunks(system):
    recordings = LiveRecordings([system], 20)
    with pytest.raises(ValueError, match=r"A chunk has 30\.0 s, and at most 10 s are taken"):
        recordings.add("a", bytes(2 * 16000 * 30), 16000, last=False)
    for _ in range(2):
        recordings.add("a", bytes(2 * 16000 * 9), 16000, last=False)
    with pytest.raises(ValueError, match="has reached 20 s"):
        recordings.add("a", bytes(2 * 16000 * 9), 16000, last=False)


def test_live_chunks_of_a_recording_come_one_after_the_other(system, monkeypatch):
    recordings, begun, go_on = LiveRecordings([system], 20), threading.Event(), threading.Event()
    monkeypatch.setattr(live.LiveRecording, "add", lambda *_: (begun.set(), go_on.wait(60)))
    first = threading.Thread(target=recordings.add, args=("a", b"", 16000, False))
    first.start()
    begun.wait(60)
    with pytest.raises(ValueError, match="still judged"):
        recordings.add("a", b"", 16000, last=False)
    go_on.set()
    first.join()
    recordings.add("a", b"", 16000, last=True)


def test_a_detector_that_takes_whole_clips_says_so_live(system):
    fused = replace(system, detectors=system.detectors * 2)
    detector = system.detectors[0]
    trimmed = replace(detector, config=detector.config | {"conditioning": {"trim_db": 40.0}})
    recordings = LiveRecordings([system, fused, replace(system, detectors=[trimmed])], 20)
    heard = recordings.add("a", chunks(2, rate=16000, size=32000)[0].tobytes(), 16000, last=False)
    said = words(answer_html.live_html(heard))
    assert "start the page with a single model" in said
    assert "cannot score a stream" in said
    assert "BONA FIDE" in said


def test_options_are_refused_with_a_sentence(checkpoint, home, monkeypatch):
    monkeypatch.chdir(home)
    with server.open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        sentence = type_command(command.main, f"model={checkpoint}", f"port={port}")
    assert f"port={port} is taken on 127.0.0.1" in sentence
    assert "the limits of a file are above 0" in type_command(command.main, "max_mib=0")
    assert "a port is a number" in type_command(command.main, "port=-1")
    assert "cannot be listened on" in type_command(command.main, "host=192.0.2.1")
    assert "there is none called models:/dfx@champion" in type_command(command.main, "port=0")
    assert "There is no detector 'absent.ckpt'" in type_command(
        command.main, f"model={checkpoint}", "compare=absent.ckpt", "port=0"
    )
    assert not list((home / "cache" / "app").glob("*"))
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "dfx.app needs Gradio, which is not installed" in type_command(command.main, "model=absent.ckpt")


def test_help_teaches(capsys):
    type_command(command.main, "--help")
    shown = capsys.readouterr().out
    for word in ("compare=runs:/B", "max_seconds=300", "http://127.0.0.1:7860", "deleted after its answer"):
        assert word in shown
