"""Report document of every command: an HTML page, a Markdown page, and a short version for the terminal.

A command makes a list of parts and hands them to a `Document`:

    document = Document(
        "audit",
        "Audit of demo",
        parts=[
            DocumentText("1,170 clips, 2.1 h", "about"),                     # grey lines under the title
            DocumentLead("A detector has to beat AUC 0.63.", "0.63", "AUC to beat, on eval"),
            DocumentFindings([DocumentNotice("Clips of train are in eval.", "error", "Leaked")], overview=True),
            DocumentTable("Results", ["system", "demo"], [["lcnn", DocumentCell("5.06 %", "[4.1, 6.0]", "chosen")]]),
            DocumentPicture("det", figures.det_error_curves(scores), "DET curves"),  # det.png
            DocumentHeading("How long"),
            DocumentText("This audit took 12 s.", "small"),
            DocumentCode("python -m dfx.train seed=1"),
        ],
        brief=[...],                                                 # parts for the terminal, in their order there
        data={...},                                                  # for programs: report.json
    )
    files = document.write(folder, {"results.csv": frame.to_csv, "eval.csv": scores.write, "table.tex": "text"})
    document.show(files[0])
    log_report(cfg.experiment_name, name, files, metrics, tags)      # from tracking.run; log_run_files: with a run

Show before logging: the tracking server may be out of reach.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape as escaped
from pathlib import Path
from typing import Any

from dfx import files
from dfx.console import plain_console
from dfx.reporting.document_parts import DocumentPart, DocumentPicture, DocumentText, markdown_escaped

STYLE = Path(__file__).with_suffix(".css")
RECORD = "report.json"


@dataclass(frozen=True)
class Document:
    """Report of a command: its page, its short version for the terminal, and its data.

    Attributes:
        kind: name of the command that makes the report; only files of this kind are replaced.
        brief: parts for the terminal.
        data: the report for programs, ready for JSON; a NaN in it is an error.
        record: name of the file with the data.
    """

    kind: str
    title: str
    parts: Sequence[DocumentPart]
    brief: Sequence[DocumentPart] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    record: str = RECORD

    def html(self) -> str:
        """Return the page as one HTML file that contains its figures and styles."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escaped(self.title)}</title><style>{STYLE.read_text('utf-8')}</style></head>\n<body><main>\n"
            + "\n".join([f"<h1>{escaped(self.title)}</h1>", *(part.html() for part in self.parts)])
            + "\n</main></body></html>\n"
        )

    def markdown(self) -> str:
        """Return the page as Markdown; figures are PNG files in the same folder."""
        texts = [f"# {markdown_escaped(self.title)}", *(part.markdown() for part in self.parts)]
        return "\n\n".join(text for text in texts if text) + "\n"

    def write(self, folder: Path, more: Mapping[str, str | Callable[[Path], object]] | None = None) -> list[Path]:
        """Write the page, its Markdown, data and figures, and further files into a folder; return their paths.

        The path of the page is first.

        Each file is written atomically. Files of an earlier report of this kind in the folder are removed if this
        report does not write them; other files are left alone.

        Args:
            folder: created if it does not exist.
            more: further files by name: their text, or a function that writes to a path.
        """
        pictures = [part for part in self.parts if isinstance(part, DocumentPicture)]
        contents: dict[str, str | Callable[[Path], object]] = {
            "report.html": self.html(),
            "report.md": self.markdown(),
            **(more or {}),
            **{f"{one.name}.png": functools.partial(Path.write_bytes, data=one.png) for one in pictures},
        }
        record = {**self.data, "kind": self.kind, "files": [*contents, self.record]}
        contents[self.record] = json.dumps(record, indent=1, allow_nan=False) + "\n"
        earlier = self._written_before(folder)
        for name, content in contents.items():
            if isinstance(content, str):
                files.write_text_file(folder / name, content)
            else:
                with files.atomic_write(folder / name) as temporary:
                    content(temporary)
        for name in earlier - contents.keys():
            (folder / name).unlink(missing_ok=True)
        return [folder / name for name in contents]

    def show(self, file: Path) -> None:
        """Print the short version on the terminal, and the path of the full report."""
        show_document_parts([*self.brief, DocumentText(f"report     {file}")])

    def _written_before(self, folder: Path) -> set[str]:
        """Return the names of the files that an earlier report of this kind wrote into a folder."""
        try:
            record = json.loads((folder / self.record).read_text(encoding="utf-8"))
            names = record["files"] if record["kind"] == self.kind else []
            return {name for name in names if Path(name).name == name}
        except (OSError, ValueError, KeyError, TypeError):
            return set()


def show_document_parts(parts: Iterable[DocumentPart]) -> None:
    """Print document parts on the terminal, after an empty line."""
    console = plain_console()
    console.print()
    for part in parts:
        part.show(console)


def document_file_name(name: str) -> str:
    """Convert a name to a valid file name: only letters, digits and `_.-+`, no dot at the ends."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "_"
