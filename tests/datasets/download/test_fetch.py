"""Downloads against a server on the loopback interface that resumes, cannot resume, drops, lies and refuses."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from dfx import files
from dfx.datasets.download import fetch, transfer

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content` under every path; the first part of the path says how it misbehaves."""

    daemon_threads = True
    content = CONTENT
    etag = '"one"'

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str]] = []  # (path, Range) of each request

    def url(self, behaviour: str, file: str = "LA.zip") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{behaviour}/{file}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        behaviour = self.path.split("/")[1]
        asked = self.headers.get("Range", "")
        self.server.asked.append((self.path, asked))
        count = len(self.server.asked)
        content = self.server.content
        if behaviour == "missing":
            return self.send_error(404)
        if behaviour == "busy" and count < 3:
            return self.send_error(503)
        if behaviour == "page":
            content = b"<html>please log in</html>"
        start = int(asked[6:-1]) if asked and behaviour not in ("whole", "whole-drops") else 0
        if start and self.headers.get("If-Range", self.server.etag) != self.server.etag:
            start = 0
        if start >= len(content):
            return self.send_error(416)
        if behaviour == "shifted" and start:
            start += 5
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if behaviour != "weak":
            self.send_header("ETag", self.server.etag)
        self.send_header("Content-Type", "text/html" if behaviour == "page" else "application/zip")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content)
        if behaviour in ("drops", "whole-drops") and count < 4:
            stop = start + (len(content) - start) // 2
        if behaviour == "silent":
            stop = start
        self.wfile.write(content[start:stop])
        self.close_connection = True
        return None

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def source(url: str, **changes: Any) -> fetch.FetchSource:
    return fetch.parse_fetch_source({"url": url, "md5": MD5, **changes})


@pytest.mark.parametrize("checksum", [{"md5": MD5}, {"sha256": SHA256}, {"md5": MD5.upper()}])
def test_a_file_is_fetched_once(server: Server, tmp_path: Path, checksum: dict[str, str]) -> None:
    wanted = fetch.parse_fetch_source({"url": server.url("ranges"), **checksum})
    path = fetch.fetch_file(wanted, tmp_path / "new")
    assert path == tmp_path / "new" / "LA.zip"
    assert path.read_bytes() == CONTENT
    assert fetch.fetch_file(wanted, tmp_path / "new") == path
    assert len(server.asked) == 1  # the second call looks at the file only
    assert [entry.name for entry in path.parent.iterdir()] == ["LA.zip"]


@pytest.mark.parametrize("behaviour", ["ranges", "weak"])
def test_an_interrupted_download_continues(server: Server, tmp_path: Path, behaviour: str) -> None:
    (tmp_path / "LA.zip.part").write_bytes(CONTENT[:123_456])
    assert fetch.fetch_file(source(server.url(behaviour)), tmp_path).read_bytes() == CONTENT
    assert server.asked == [(f"/{behaviour}/LA.zip", "bytes=123456-")]


def test_a_server_that_cannot_resume_begins_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "LA.zip.part").write_bytes(b"x" * 1000)
    assert fetch.fetch_file(source(server.url("whole")), tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_whole_part_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "LA.zip.part").write_bytes(CONTENT)
    assert fetch.fetch_file(source(server.url("missing")), tmp_path).read_bytes() == CONTENT
    assert server.asked == []


def test_dropped_connections_are_taken_up_where_they_broke(server: Server, tmp_path: Path) -> None:
    assert fetch.fetch_file(source(server.url("drops")), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ["", "bytes=150000-", "bytes=225000-", "bytes=262500-"]


def test_drops_without_ranges_end_too(server: Server, tmp_path: Path) -> None:
    assert fetch.fetch_file(source(server.url("whole-drops")), tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    assert fetch.fetch_file(source(server.url("busy")), tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_range_that_was_not_asked_for_is_not_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "LA.zip.part").write_bytes(CONTENT[:1000])
    assert fetch.fetch_file(source(server.url("shifted")), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("rest", [b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 5)])
def test_a_part_of_another_file_is_not_mixed_in(server: Server, tmp_path: Path, rest: bytes) -> None:
    (tmp_path / "LA.zip.part").write_bytes(rest)
    assert fetch.fetch_file(source(server.url("ranges")), tmp_path).read_bytes() == CONTENT


def test_an_edition_that_changes_between_two_connections_is_fetched_whole(server: Server, tmp_path: Path) -> None:
    server.content = b"old" + CONTENT[3:]

    class Changing(Handler):
        def do_GET(self) -> None:
            super().do_GET()
            self.server.content, self.server.etag = CONTENT, '"two"'

    server.RequestHandlerClass = Changing
    assert fetch.fetch_file(source(server.url("drops")), tmp_path).read_bytes() == CONTENT
    assert server.asked[1][1].startswith("bytes=")


def test_a_wrong_checksum_is_a_sentence_and_the_file_is_kept_aside(server: Server, tmp_path: Path) -> None:
    wanted = source(server.url("page"))
    with pytest.raises(ValueError, match=r"LA.zip does not have its published checksum.*26 bytes of text/html"):
        fetch.fetch_file(wanted, tmp_path)
    assert (tmp_path / "LA.zip.bad").read_bytes().startswith(b"<html>")
    assert not (tmp_path / "LA.zip").exists()
    assert not (tmp_path / "LA.zip.part").exists()


def test_a_finished_file_that_is_wrong_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "LA.zip").write_bytes(b"another archive of that name")
    assert fetch.fetch_file(source(server.url("ranges")), tmp_path).read_bytes() == CONTENT


def test_a_missing_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"answered 404 Not Found: the file was moved"):
        fetch.fetch_file(source(server.url("missing")), tmp_path)
    assert len(server.asked) == 1


def test_a_server_that_sends_nothing_is_given_up_and_the_part_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "LA.zip.part").write_bytes(CONTENT[:1000])
    with pytest.raises(
        ValueError, match=r"could not be fetched: the connection closed after 1,000 of 300,000 bytes, 8"
    ):
        fetch.fetch_file(source(server.url("silent")), tmp_path)
    assert (tmp_path / "LA.zip.part").read_bytes() == CONTENT[:1000]
    assert len(server.asked) == transfer.MAX_FAILURES


def test_a_server_that_is_not_there_is_a_sentence(server: Server, tmp_path: Path) -> None:
    wanted = source(server.url("ranges"))
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match=r"could not be fetched: .*refused.*the same command continues"):
        fetch.fetch_file(wanted, tmp_path)


def test_a_full_disk_is_noticed_before_anything_is_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int = 299_999

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    with pytest.raises(ValueError, match=r"300,000 bytes more to send, but .* has 299,999 free: make room"):
        fetch.fetch_file(source(server.url("ranges")), tmp_path)
    assert (tmp_path / "LA.zip.part").stat().st_size == 0


def test_two_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    def job() -> None:
        with files.locked_folder(tmp_path, "downloading into", print):
            fetch.fetch_file(source(server.url("ranges")), tmp_path)

    threads = [threading.Thread(target=job) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"url": "file:///dfx-evil", "md5": MD5}, "an address that begins with https://"),
        ({"url": "http://127.0.0.1/a.zip"}, "has no md5"),
        ({"url": "http://127.0.0.1/a.zip", "md5": SHA256}, "has no md5"),
        ({"url": "http://127.0.0.1/", "md5": MD5}, "cannot be kept as ''"),
        (
            {"url": "http://127.0.0.1/..%2f..%2fevil", "md5": MD5, "file": "../evil"},
            "cannot be kept as '../evil'",
        ),
        ({"url": "http://127.0.0.1/a/..", "md5": MD5}, "cannot be kept as '..'"),
    ],
)
def test_an_entry_that_cannot_be_checked_or_kept_is_refused(entry: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fetch.parse_fetch_source(entry)


def test_the_name_of_the_file_follows_from_the_address() -> None:
    address = "https://example.org/records/1/files/a%20b.tar.gz?download=1"
    assert source(address).file == "a b.tar.gz"
    assert source("https://example.org/bitstreams/0-1/content", file="PA.zip").file == "PA.zip"
