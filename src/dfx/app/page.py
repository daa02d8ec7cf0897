"""Layout of the page, and what its parts do: a file or recording, the live microphone, the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from dfx.app import answer_html
from dfx.app.analysis import answer_file
from dfx.app.file_check import FileLimits
from dfx.app.model_card import model_card
from dfx.app.visitors import Visitors
from dfx.detector.detection_system import DetectionSystem
from dfx.files import os_error_words

FILES_AT_ONCE = 2  # that are judged; further ones wait in the queue
MOST_WAITING = 100  # in the queue
# Gradio's own recorder loses samples where an answer takes longer than a chunk, so the page has one: page.js.
LIVE_HTML = (
    '<div class="dfx"><button onclick="dfxLive()">Record</button>'
    '<div class="answer" role="status"><p class="waiting">Press Record, and speak.</p></div></div>'
)
OWN_ERRORS = (ValueError, OSError)


def build_page(systems: Sequence[DetectionSystem], visitors: Visitors, limits: FileLimits, folder: Path) -> gr.Blocks:
    """Build the page.

    Args:
        systems: one detector, or two side by side.
        visitors: keeps what they send.
        limits: of a file.
        folder: for decoded audio while it is scored.
    """
    handlers = PageHandlers(systems, visitors, limits, folder)
    private: dict[str, Any] = {"api_visibility": "private"}  # for this page only
    # Without preprocessing: Gradio would copy the file to a path that equal files of other visitors share.
    once: dict[str, Any] = {"queue": False, "show_progress": "hidden", "preprocess": False, **private}
    # The backstop: what Gradio knows of and `Visitors` left is deleted after an hour.
    with gr.Blocks(title="dfx", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        names = " · ".join(system.name for system in systems)
        gr.HTML(answer_html.header_html(names, limits), padding=False)
        with gr.Tab("Recording"):
            sound = gr.Audio(
                sources=["upload", "microphone"], type="filepath", label="Audio", show_label=False, editable=False,
                buttons=[], elem_id="sound",
            )  # fmt: skip
            cancel = gr.Button("Cancel", visible=False, size="sm", elem_id="cancel")
            result = gr.HTML(elem_id="result", padding=False)
        with gr.Tab("Live"):
            gr.HTML(LIVE_HTML, elem_id="live", padding=False)
        with gr.Tab("Model card"), gr.Row():
            for system in systems:
                with gr.Column(min_width=340):  # a phone shows one below the other
                    gr.Markdown(model_card(system), elem_classes="card")
        claimed = gr.on([sound.upload, sound.stop_recording], handlers.claim, sound, [sound, result, cancel], **once)
        answered = claimed.then(
            handlers.answer, None, [result, cancel], concurrency_limit=FILES_AT_ONCE, show_progress_on=result, **private
        )
        cancel.click(handlers.cancel, None, [result, cancel], cancels=[answered], **once)
        page.unload(handlers.leave)
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=FILES_AT_ONCE)
    return page


class PageHandlers:
    """What the parts of the page do; an error of the visitor is a sentence in its place.

    Args:
        systems: see `build_page`.
        visitors: see `build_page`.
        limits: see `build_page`.
        folder: see `build_page`.
    """

    def __init__(
        self, systems: Sequence[DetectionSystem], visitors: Visitors, limits: FileLimits, folder: Path
    ) -> None:
        self.systems, self.visitors, self.limits, self.folder = systems, visitors, limits, folder

    def claim(self, upload: Mapping[str, Any] | None, request: gr.Request) -> tuple[None, str, Any]:
        """Take the file of a visitor from Gradio."""
        if upload is None:
            return None, "", gr.update(visible=False)
        try:
            self.visitors.claim(_session(request), upload)
        except OWN_ERRORS as error:
            return None, answer_html.refusal_html(_sentence(error, upload.get("path", ""))), gr.update(visible=False)
        return None, answer_html.waiting_html("Listening to the recording …"), gr.update(visible=True)

    def answer(self, request: gr.Request) -> tuple[Any, Any]:
        """Judge the file of a visitor, and delete it."""
        hidden = gr.update(visible=False)
        with self.visitors.taken(_session(request)) as path:
            if path is None:  # refused or cancelled, which the page says already
                return gr.skip(), hidden
            try:
                answer = answer_file(self.systems, path, self.limits, self.folder)
                return answer_html.file_html(self.systems, answer), hidden
            except OWN_ERRORS as error:
                return answer_html.refusal_html(_sentence(error, path)), hidden

    def cancel(self, request: gr.Request) -> tuple[str, Any]:
        """Forget the file of a visitor."""
        self.visitors.leave(_session(request))
        return answer_html.waiting_html("Cancelled; the file was deleted."), gr.update(visible=False)

    def leave(self, request: gr.Request) -> None:
        """Forget a visitor who has closed the page."""
        self.visitors.leave(_session(request))


def _session(request: gr.Request) -> str:
    return str(request.session_hash)


def _sentence(error: Exception, path: str | Path) -> str:
    """Return the message of an error without a path of this machine."""
    text = "{}. {}.".format(*os_error_words(error)) if isinstance(error, OSError) else str(error)
    return text.replace(str(path), Path(path).name) if path else text
