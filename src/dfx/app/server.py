"""Server of the page: detectors that visitors share, a folder that is removed at the end, no call to the internet."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import re
import secrets
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from dfx import files
from dfx.app import answer_html
from dfx.app.file_check import FileLimits
from dfx.app.live import LiveRecordings
from dfx.app.visitors import Visitors
from dfx.audio.speech_properties import measure_speech
from dfx.console import say
from dfx.detector.answers import ThresholdChoice
from dfx.detector.datamodule import Batch
from dfx.detector.detection_system import DetectionSystem, open_detection_system
from dfx.detector.file_detection import DetectionOptions
from dfx.detector.scoring import SavedDetector, ScoringNetwork
from dfx.features.base import Feature

# The browser loads from this page only: no font, script or picture of another server.
CONTENT_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"
UPLOAD = "/gradio_api/upload"
# All that the page asks for. Gradio has more: it would keep recordings, and hand out what visitors sent.
PAGE_REQUESTS = re.compile(
    r"GET /|GET /(assets|static)/.+|GET /(theme\.css|favicon\.ico)|POST /live/[^/]+"
    r"|GET /gradio_api/(heartbeat/[^/]+|queue/data|upload_progress|app_id)"
    r"|POST /gradio_api/(upload|run/predict|queue/join|cancel|reset)"
)
MORE_BYTES = 1 << 20  # of a request, beside its file
MOST_FILES = 20  # of the largest size, that visitors together may have here
END_SECONDS = 3  # for requests that are under way when the command is ended


class SharedNetwork:
    """Network that several threads use: one batch at a time."""

    def __init__(self, network: ScoringNetwork) -> None:
        self._network, self._lock = network, threading.Lock()

    @property
    def feature(self) -> Feature | None:
        """See `ScoringNetwork`."""
        return self._network.feature

    def score_batch(self, batch: Batch) -> Tensor:
        """See `ScoringNetwork`."""
        with self._lock:
            return self._network.score_batch(batch)

    def score_and_embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """See `ScoringNetwork`."""
        with self._lock:
            return self._network.score_and_embed(batch)


def run_app(cfg: DictConfig) -> None:
    """Open the detectors of the configuration, and show the page until the command is ended.

    Raises:
        ValueError: if there is no such detector, an option is invalid, the port is taken or Gradio is not installed.
    """
    limits = FileLimits(cfg.max_mib, cfg.max_seconds)
    if not (limits.mib > 0 and limits.seconds > 0):
        raise ValueError(f"max_mib={cfg.max_mib}, max_seconds={cfg.max_seconds}: the limits of a file are above 0.")
    if not all(importlib.util.find_spec(name) for name in ("gradio", "uvicorn")):
        raise ValueError("dfx.app needs Gradio, which is not installed: pip install 'dfx[app]'.")
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)
    with ExitStack() as stack:
        door = stack.enter_context(open_socket(cfg.host, cfg.port))
        systems = open_systems(cfg)
        folder = stack.enter_context(files.temporary_folder(files.cache_dir(cfg.cache) / "app"))
        server = page_server(systems, limits, folder)
        # The first measure of pitch takes seconds; the first visitor need not wait for it.
        threading.Thread(target=measure_speech, args=(np.ones(16_000, np.float32), 16_000)).start()
        host, port = door.getsockname()[:2]
        say(f"Ready: http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C ends it)")
        try:
            server.run([door])
        except KeyboardInterrupt:
            say("Ended; nothing of the visitors is kept.")


def open_socket(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Raises:
        ValueError: if it is taken, or no address of this machine.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port={port}: a port is a number from 1024 to 65535, or 0 for any free one.")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"port={port} is taken on {host}, perhaps by another dfx.app: choose another, such as port={port + 1}."
            ) from error
        raise ValueError(
            f"host={host} port={port} cannot be listened on ({error}): give an address of this machine, such as "
            "127.0.0.1, and a port from 1024 to 65535."
        ) from error


def open_systems(cfg: DictConfig) -> list[DetectionSystem]:
    """Open the detector of the page, and the one beside it, and read their weights.

    Raises:
        ValueError: if there is no such detector.
    """
    options = DetectionOptions(cache=cfg.cache)
    models = [cfg.model] if cfg.compare is None else [cfg.model, cfg.compare]
    systems = [open_detection_system(model, cfg.trust, ThresholdChoice(), options) for model in models]
    systems = [replace(one, detectors=[_shared(detector) for detector in one.detectors]) for one in systems]
    for detector in (detector for system in systems for detector in system.detectors):
        detector.network  # noqa: B018  (read now, not for the first visitor)
    return systems


def _shared(detector: SavedDetector) -> SavedDetector:
    return replace(detector, read_network=lambda device: SharedNetwork(detector.read_network(device)))


def page_server(systems: Sequence[DetectionSystem], limits: FileLimits, folder: Path) -> Any:
    """Make the server of the page (`uvicorn.Server`).

    Args:
        systems: one detector, or two side by side.
        limits: of a file.
        folder: of all files of the page.
    """
    visitors = Visitors(folder)
    # Read by Gradio when it is imported: its folder, and no call to the internet.
    os.environ |= {"GRADIO_TEMP_DIR": str(visitors.uploads), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    tempfile.tempdir = str(visitors.temporary)  # of all that libraries write: it is removed at the end
    import gradio
    import uvicorn
    from fastapi import FastAPI
    from gradio import route_utils

    from dfx.app.page import build_page

    class OwnFolderUpload(route_utils.GradioUploadFile):
        """Upload with a folder of its own: Gradio writes equal files of several visitors to the same path."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.sha.update(secrets.token_bytes(16))

    route_utils.GradioUploadFile = OwnFolderUpload
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=visitors.sweeping)
    app.add_route("/live/{name}", live_answers(LiveRecordings(systems, limits.seconds)), methods=["POST"])
    app.add_middleware(RequestGuard, visitors=visitors, most_bytes=int(limits.mib * 2**20))
    gradio.mount_gradio_app(
        app,
        build_page(systems, visitors, limits, folder),
        path="/",
        max_file_size=int(limits.mib * 2**20),
        theme=gradio.themes.Base(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace"]),
        css=_text("page.css"),
        head=f"<script>{_text('page.js')}</script>",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        enable_monitoring=False,
        show_error=False,
    )
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=END_SECONDS))


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def live_answers(recordings: LiveRecordings) -> Callable[[Any], Awaitable[Any]]:
    """Make the function that answers a chunk of a live recording, 16-bit mono samples, with HTML."""
    from starlette.responses import HTMLResponse

    async def answer(request: Any) -> HTMLResponse:
        data = await request.body()
        query = request.query_params
        try:
            arguments = request.path_params["name"], data, int(query["rate"]), query["last"] == "1"
            recording = await asyncio.to_thread(recordings.add, *arguments)
        except (KeyError, ValueError) as error:
            return HTMLResponse(answer_html.refusal_html(str(error)), 400)
        return HTMLResponse(answer_html.live_html(recording))

    return answer


def _refuse(status: int, text: str) -> Any:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(text, status)


class RequestGuard:
    """ASGI middleware: a policy for the browser, requests that the page makes only, limits of what is sent.

    Args:
        app: what answers the requests.
        visitors: whose files count.
        most_bytes: of a file; all files together have at most `MOST_FILES` times as much.
    """

    def __init__(self, app: Any, visitors: Visitors, most_bytes: int) -> None:
        self._app, self._visitors, self._most_bytes = app, visitors, most_bytes
        self._arriving = 0  # bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not PAGE_REQUESTS.fullmatch(f"{scope['method']} {scope['path']}"):
            await _refuse(404, "The page has no such address.")(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"")
        if scope["method"] == "POST" and not (length.isdigit() and int(length) <= self._most_bytes + MORE_BYTES):
            text = f"A file has at most {self._most_bytes / 2**20:g} MiB here: send a smaller one."
            await _refuse(413, text)(scope, receive, send)
            return

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", CONTENT_POLICY.encode())
                message = {**message, "headers": [*message["headers"], policy]}
            await send(message)

        if scope["path"] != UPLOAD:
            await self._app(scope, receive, send_with_policy)
            return
        self._arriving += int(length)
        try:
            held = await asyncio.to_thread(self._visitors.held_bytes)
            if held + self._arriving > MOST_FILES * self._most_bytes + MORE_BYTES:
                text = "The page holds as many recordings as it can at the moment: try again in a minute."
                await _refuse(503, text)(scope, receive, send)
            else:
                await self._app(scope, receive, send_with_policy)
        finally:
            self._arriving -= int(length)
