"""Download a file over HTTP, and resume the download after a dropped connection."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from dfx import console

CHUNK = 1 << 20
TIMEOUT = 60.0  # seconds without a byte, after which a connection is given up
MAX_FAILURES = 8  # attempts in a row without new bytes
PAUSE = 1.0  # seconds after the first connection without new bytes; doubled for each further one
LONGEST_PAUSE = 60.0  # seconds between two attempts
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # answers to repeat the request; any other error is final

MOST_SURPLUS = 1.1  # of the size that the corpus gives: sizes on web pages are rounded

Report = Callable[[int, int], object]  # (bytes so far, bytes in all or 0)


class DroppedTransferError(Exception):
    """Error for a connection that ended early; `wait` is the pause in seconds that the server demands."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class PartialTransfer:
    """Partly downloaded file, with the checksum of the bytes received so far.

    It starts with the bytes of an existing file.

    Args:
        path: of the partial file.
        url: address of the file.
        algorithm: of the checksum, a name of `hashlib`.
        total: expected bytes, 0 if unknown; a server that sends more than a tenth beyond them is cut off.
        report: called with (bytes so far, bytes in all or 0).
    """

    def __init__(self, path: Path, url: str, algorithm: str, total: int, report: Report) -> None:
        self.path = path
        self.url = url
        self.algorithm = algorithm
        self.size = 0
        self.total = total
        self.etag = ""  # version of the file on the server, if known
        self.mixed = False  # whether the part may hold bytes of two versions
        self.kind = "unknown type"
        self._report = report
        self._hash = hashlib.new(algorithm)
        self._most = int(total * MOST_SURPLUS)
        # Not through a symbolic link, which another user of the machine may have put there.
        self._file: IO[bytes] = os.fdopen(
            os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644), "a+b"
        )
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            self._count(chunk)

    def __enter__(self) -> PartialTransfer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def digest(self) -> str:
        """Checksum of the bytes received so far, in hexadecimal digits."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append received bytes to the file."""
        self._file.write(chunk)
        self._count(chunk)

    def restart(self) -> None:
        """Delete all received bytes, so that the download starts again."""
        self._file.truncate(0)
        self.size, self.etag, self.mixed = 0, "", False
        self._hash = hashlib.new(self.algorithm)

    def expect(self, total: int) -> None:
        """Set the total size of the file, as the server gives it; a ValueError if the disk has no room for it."""
        self.total = total
        free = shutil.disk_usage(self.path.parent).free
        if total - self.size > free:
            raise ValueError(
                f"{self.url} has {total - self.size:,} bytes more to send, but {self.path.parent} has {free:,} free: "
                "make room; the same command continues."
            )

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)
        self._report(self.size, self.total)
        if 0 < self._most < self.size:
            raise ValueError(
                f"{self.url} sends more than {self._most:,} bytes, a tenth more than the corpus gives: compare the "
                f"address with the page of the corpus, and delete {self.path}."
            )


def transfer_file(part: PartialTransfer) -> None:
    """Download the rest of a partly downloaded file.

    It starts from the beginning if the server cannot resume.

    Raises:
        ValueError: if the server refuses or stays silent, or the disk is too small.
    """
    furthest, failures = part.size, 0
    while True:
        try:
            _continue(part)
            return
        except DroppedTransferError as drop:
            # Only new bytes are progress: a server that cannot resume sends the first ones again each time.
            failures = 1 if part.size > furthest else failures + 1
            furthest = max(furthest, part.size)
            if failures >= MAX_FAILURES:
                raise ValueError(
                    f"{part.url} could not be fetched: {drop}, {failures} times in a row. The "
                    f"{part.size:,} bytes received are kept: the same command continues."
                ) from drop
            wait = min(max(PAUSE * 2 ** (failures - 1), drop.wait), LONGEST_PAUSE)
            if wait >= 1:
                console.say(f"{part.url}: {drop}; again in {wait:.0f} s")
            time.sleep(wait)


def _continue(part: PartialTransfer) -> None:
    """Send one request for the missing bytes, and append the answer to the file."""
    headers = {"User-Agent": "dfx", "Accept-Encoding": "identity"}  # the checksum is of the file without compression
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        if part.etag:
            headers["If-Range"] = part.etag  # the server then sends another version from the beginning
    with _open(urllib.request.Request(part.url, headers=headers), part) as response:
        begins = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if response.status != http.client.PARTIAL_CONTENT or not begins:
            part.restart()  # the server cannot resume, or has another version now
        elif int(begins.group(1)) != part.size:
            part.restart()
            raise DroppedTransferError("the server sent another part of the file")
        elif not part.etag:
            part.mixed = True
        etag = response.headers.get("ETag", "")
        part.etag = "" if etag.startswith("W/") else etag
        part.kind = response.headers.get_content_type()
        length = response.headers.get("Content-Length", "")
        total = part.size + int(length) if length.isdigit() else 0
        if total:
            part.expect(total)
        while chunk := _read(response):
            part.write(chunk)
    if part.size < total:
        raise DroppedTransferError(f"the connection closed after {part.size:,} of {total:,} bytes")


class _WebRedirects(urllib.request.HTTPRedirectHandler):
    """Redirect handler that follows only http and https addresses, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.startswith("https://" if req.full_url.startswith("https://") else ("http://", "https://")):
            raise ValueError(
                f"{req.full_url} redirects to {newurl[:200]!r}, which is not as safe as https: see the page of the "
                "corpus for another address."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_WebRedirects)


def _open(request: urllib.request.Request, part: PartialTransfer) -> Any:
    try:
        return _OPENER.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and part.size:
            part.restart()
            raise DroppedTransferError("the file on the server is shorter than the part that is here") from error
        if error.code in TEMPORARY:
            after = error.headers.get("Retry-After", "")
            wait = float(after) if after.isdigit() else 0.0
            raise DroppedTransferError(f"the server answered {error.code} {error.reason}", wait) from error
        raise ValueError(
            f"{part.url} answered {error.code} {error.reason}: the file was moved or is no longer public; "
            "see the page of the corpus."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise ValueError(
                f"The certificate of {part.url} is not trusted ({reason.verify_message}): correct the clock or "
                "the certificates of this machine."
            ) from error
        raise DroppedTransferError(_words(reason)) from error


def _read(response: Any) -> bytes:
    try:
        chunk: bytes = response.read1(CHUNK)  # keeps the received bytes of an incomplete chunk
        return chunk
    except (OSError, http.client.HTTPException) as error:
        raise DroppedTransferError(_words(error)) from error


def _words(reason: object) -> str:
    return str(reason) or type(reason).__name__
