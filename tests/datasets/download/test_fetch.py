"""Downloads against a server on the loopback interface that resumes, cannot resume, drops, lies and refuses."""

import contextlib
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from dfx import files
from dfx.datasets.download import fetch, transfer

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


REDIRECTS = {"ftp": "ftp://127.0.0.1/LA.zip", "file": "file:///etc/passwd"}


class Server(ThreadingHTTPServer):
    """Serves `content` under every path; the first part of the path says how it misbehaves."""

    daemon_threads = True
    content = CONTENT
    etag = '"one"'

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []  # (path, Range) of each request

    def url(self, behaviour, file="LA.zip"):
        return f"http://127.0.0.1:{self.server_address[1]}/{behaviour}/{file}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        behaviour = self.path.split("/")[1]
        asked = self.headers.get("Range", "")
        self.server.asked.append((self.path, asked))
        count = len(self.server.asked)
        content = self.server.content
        if behaviour == "missing":
            return self.send_error(404)
        if behaviour in REDIRECTS:
            self.send_response(302)
            self.send_header("Location", REDIRECTS[behaviour])
            return self.end_headers()
        if behaviour == "endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(100):
                    self.wfile.write(content)
            return None
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

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def source(url, **changes):
    return fetch.parse_fetch_source({"url": url, "md5": MD5, **changes})


@pytest.mark.parametrize("checksum", [{"md5": MD5}, {"sha256": SHA256}, {"md5": MD5.upper()}])
def test_a_file_is_fetched_once(server, tmp_path, checksum):
    wanted = fetch.parse_fetch_source({"url": server.url("ranges"), **checksum})
    path = fetch.fetch_file(wanted, tmp_path / "new")
    assert path == tmp_path / "new" / "LA.zip"
    assert path.read_bytes() == CONTENT
    assert fetch.fetch_file(wanted, tmp_path / "new") == path
    assert len(server.asked) == 1  # the second call looks at the file only
    assert [entry.name for entry in path.parent.iterdir()] == ["LA.zip"]


@pytest.mark.parametrize(
    ("behaviour", "file", "content", "asked"),
    [
        ("ranges", "LA.zip.part", CONTENT[:123_456], ["bytes=123456-"]),  # an interrupted download continues
        ("weak", "LA.zip.part", CONTENT[:123_456], ["bytes=123456-"]),
        ("whole", "LA.zip.part", b"x" * 1000, ["bytes=1000-"]),  # a server that cannot resume begins anew
        ("missing", "LA.zip.part", CONTENT, []),  # a whole part is only checked
        ("drops", "", b"", ["", "bytes=150000-", "bytes=225000-", "bytes=262500-"]),
        ("whole-drops", "", b"", None),
        ("busy", "", b"", ["", "", ""]),
        ("shifted", "LA.zip.part", CONTENT[:1000], None),  # a range that was not asked for
        ("ranges", "LA.zip.part", b"x" * 1000, None),  # a part of another file
        ("ranges", "LA.zip.part", b"x" * len(CONTENT), None),
        ("ranges", "LA.zip.part", b"x" * (len(CONTENT) + 5), None),
        ("ranges", "LA.zip", b"another archive of that name", None),
    ],
)
def test_the_file_arrives_whatever_the_server_does(server, tmp_path, behaviour, file, content, asked):
    if file:
        (tmp_path / file).write_bytes(content)
    assert fetch.fetch_file(source(server.url(behaviour)), tmp_path).read_bytes() == CONTENT
    assert asked is None or [header for _, header in server.asked] == asked


def test_an_edition_that_changes_between_two_connections_is_fetched_whole(server, tmp_path):
    server.content = b"old" + CONTENT[3:]

    class Changing(Handler):
        def do_GET(self):
            super().do_GET()
            self.server.content, self.server.etag = CONTENT, '"two"'

    server.RequestHandlerClass = Changing
    assert fetch.fetch_file(source(server.url("drops")), tmp_path).read_bytes() == CONTENT
    assert server.asked[1][1].startswith("bytes=")


def test_a_wrong_checksum_is_a_sentence_and_the_file_is_kept_aside(server, tmp_path):
    wanted = source(server.url("page"))
    with pytest.raises(ValueError, match=r"LA.zip does not have its published checksum.*26 bytes of text/html"):
        fetch.fetch_file(wanted, tmp_path)
    assert (tmp_path / "LA.zip.bad").read_bytes().startswith(b"<html>")
    assert not (tmp_path / "LA.zip").exists()
    assert not (tmp_path / "LA.zip.part").exists()


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    with pytest.raises(ValueError, match=r"answered 404 Not Found: the file was moved"):
        fetch.fetch_file(source(server.url("missing")), tmp_path)
    assert len(server.asked) == 1


def test_a_server_that_sends_nothing_is_given_up_and_the_part_kept(server, tmp_path):
    (tmp_path / "LA.zip.part").write_bytes(CONTENT[:1000])
    with pytest.raises(
        ValueError, match=r"could not be fetched: the connection closed after 1,000 of 300,000 bytes, 8"
    ):
        fetch.fetch_file(source(server.url("silent")), tmp_path)
    assert (tmp_path / "LA.zip.part").read_bytes() == CONTENT[:1000]
    assert len(server.asked) == transfer.MAX_FAILURES


def test_a_server_that_is_not_there_is_a_sentence(server, tmp_path):
    wanted = source(server.url("ranges"))
    server.shutdown()
    server.server_close()
    with pytest.raises(ValueError, match=r"could not be fetched: .*refused.*the same command continues"):
        fetch.fetch_file(wanted, tmp_path)


def test_a_full_disk_is_noticed_before_anything_is_written(server, tmp_path, free_bytes):
    free_bytes(299_999)
    with pytest.raises(ValueError, match=r"300,000 bytes more to send, but .* has 299,999 free: make room"):
        fetch.fetch_file(source(server.url("ranges")), tmp_path)
    assert (tmp_path / "LA.zip.part").stat().st_size == 0


def test_two_at_once_fetch_once(server, tmp_path):
    def job():
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
        ({"url": "http://127.0.0.1/..%2f..%2fevil", "md5": MD5, "file": "../evil"}, "cannot be kept as '../evil'"),
        ({"url": "http://127.0.0.1/a/..", "md5": MD5}, "cannot be kept as '..'"),
    ],
)
def test_an_entry_that_cannot_be_checked_or_kept_is_refused(entry, sentence):
    with pytest.raises(ValueError, match=sentence):
        fetch.parse_fetch_source(entry)


def test_the_name_of_the_file_follows_from_the_address():
    address = "https://example.org/records/1/files/a%20b.tar.gz?download=1"
    assert source(address).file == "a b.tar.gz"
    assert source("https://example.org/bitstreams/0-1/content", file="PA.zip").file == "PA.zip"


@pytest.mark.parametrize("behaviour", REDIRECTS)
def test_redirects_to_other_protocols_are_not_followed(server, tmp_path, behaviour):
    with pytest.raises(ValueError, match=f"(redirects to|302.*) '{behaviour}:.*see the page of the corpus"):
        fetch.fetch_file(source(server.url(behaviour)), tmp_path)


def test_a_server_that_sends_far_more_than_the_corpus_has_is_cut_off(server, tmp_path):
    with pytest.raises(ValueError, match="a tenth more than the corpus gives"):
        fetch.fetch_file(source(server.url("endless"), bytes=len(CONTENT)), tmp_path)
    assert (tmp_path / "LA.zip.part").stat().st_size < 10 * len(CONTENT)


def test_a_symbolic_link_is_not_written_through(server, tmp_path):
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "LA.zip.part").symlink_to(tmp_path / "mine")
    with pytest.raises(ValueError, match="is a symbolic link"):
        fetch.fetch_file(source(server.url("ranges")), tmp_path)
    assert (tmp_path / "mine").read_text() == "kept"
