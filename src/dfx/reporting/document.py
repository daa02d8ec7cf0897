"""Report document of every command: one page in HTML, the same in Markdown, and a short form on the terminal.

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

Show before logging: the tracking server may be out of reach. Table cells are text, or a `DocumentCell` where a part of
the text is small or the cell has a look. The three methods of a part decide what it shows on the page, in Markdown and
on the terminal.
"""

from __future__ import annotations

import base64
import functools
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dfx import files
from dfx.tables.findings import SEVERITIES

if TYPE_CHECKING:
    import rich.text
    from matplotlib.figure import Figure
    from rich.console import Console

STYLE = """
:root { --ink: #1c2430; --dim: #5d6875; --line: #e2e6ea; --deep: #14324f; --error: #c2321f; --warning: #d98200;
  --note: #2b74b8 }
* { box-sizing: border-box }
body { margin: 0; background: #f4f6f8; color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px }
h1 { font-size: 28px; margin: 0 0 2px } h2 { font-size: 20px; margin: 40px 0 10px }
.about, .small { color: var(--dim); font-size: 14px } p.about { margin: 0 } p.small { margin: 8px 0 0 }
.lead { background: var(--deep); color: #fff; border-radius: 12px; padding: 18px 26px; margin: 18px 0; display: flex;
  gap: 26px; align-items: center; flex-wrap: wrap; font-size: 17px }
.lead b { font-size: 52px; line-height: 1; white-space: nowrap }
.lead b small { display: block; font-size: 14px; font-weight: 400; margin-top: 6px; opacity: .85 }
.lead div { flex: 1 1 380px } .lead p { margin: 0 } .lead p + p { margin-top: 6px; font-size: 16px }
.chips { display: flex; gap: 10px; margin: 14px 0; flex-wrap: wrap }
.chip { border-radius: 99px; padding: 3px 14px; color: #fff; background: var(--note); font-size: 14px;
  font-weight: 600 }
.chip.error { background: var(--error) } .chip.warning { background: var(--warning) }
.finding { background: #fff; border: 1px solid var(--line); border-left: 6px solid var(--note); border-radius: 8px;
  padding: 10px 16px; margin: 8px 0; overflow-wrap: anywhere; font-size: 15px }
.finding.error { border-left-color: var(--error) } .finding.warning { border-left-color: var(--warning) }
.finding .advice { margin-top: 4px } .finding .advice::before { content: "→ "; font-weight: 700 }
.finding .examples { color: var(--dim); font: 12px/1.5 ui-monospace, Consolas, monospace; margin-top: 4px }
.scroll { overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: 8px }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums }
th, td { padding: 5px 12px; text-align: right; white-space: nowrap; border-top: 1px solid var(--line) }
th { border-top: 0; color: var(--dim); font-weight: 600 }
.text { text-align: left } tr:hover td { background: #f4f8fc }
.grid td { padding: 8px 6px; text-align: center; font-size: 15px }
.grid th { text-align: center; vertical-align: bottom }
.grid td:first-child, .grid th:first-child { text-align: left; font-weight: 600; font-size: 14px }
.grid div { font-size: 12px; font-weight: 400; color: var(--dim) }
td.good { font-weight: 700 } td.chosen { background: #e3effa; box-shadow: inset 0 0 0 2px #2b74b8 }
.grid td.empty { color: var(--dim); background: #f7f7f7; font-size: 13px }
td.dark, tr:hover td.dark { background: var(--deep); color: #fff }
pre { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; overflow-x: auto;
  font-size: 13px; line-height: 1.6 }
img { max-width: 100%; display: block; margin: 14px auto; background: #fff; border: 1px solid var(--line);
  border-radius: 8px }
"""
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}  # on the terminal
RECORD = "report.json"


class DocumentPart(Protocol):
    """Part of a document; each kind has these three methods."""

    def html(self) -> str:
        """HTML of the part."""

    def markdown(self) -> str:
        """Markdown of the part, without a blank line at the ends."""

    def show(self, console: Console) -> None:
        """Print the part on the terminal."""


class DocumentText(NamedTuple):
    """A paragraph.

    Attributes:
        text: one or more sentences.
        look: "about" (a grey line under the title), "small" (grey), "warning" or "note" (in colour on the
            terminal) or nothing.
    """

    text: str
    look: str = ""

    def html(self) -> str:
        return f'<p class="{self.look}">{_escaped(self.text)}</p>'

    def markdown(self) -> str:
        return self.text

    def show(self, console: Console) -> None:
        styles = {"small": "dim", "warning": "yellow", "note": "cyan"}
        console.print(self.text, style=styles.get(self.look), soft_wrap=True)


class DocumentLead(NamedTuple):
    """The main result in a sentence, with its number in large type.

    Attributes:
        text: the sentence.
        value: the number; empty for none.
        unit: meaning of the number.
        more: further sentences, on the page only.
    """

    text: str
    value: str = ""
    unit: str = ""
    more: Sequence[str] = ()

    def html(self) -> str:
        value = f"<b>{_escaped(self.value)}<small>{_escaped(self.unit)}</small></b>" if self.value else ""
        texts = "".join(f"<p>{_escaped(text)}</p>" for text in (self.text, *self.more))
        return f'<div class="lead">{value}<div>{texts}</div></div>'

    def markdown(self) -> str:
        return "\n\n".join([f"**{self.text}**", *self.more])

    def show(self, console: Console) -> None:
        console.print()
        console.print(self.text, style="bold", soft_wrap=True)


class DocumentNotice(NamedTuple):
    """A notice for the reader: an error, a warning or a note.

    Attributes:
        text: what is wrong, or worth knowing.
        severity: error, warning or note.
        title: a few words, or the name of its subject; empty for none.
        advice: what to do.
        examples: the first files, ids … that it concerns.
    """

    text: str
    severity: str = "warning"
    title: str = ""
    advice: str = ""
    examples: str = ""

    def html(self) -> str:
        title = f"<b>{_escaped(self.title)}</b>" if self.title else ""
        rest = "".join(
            f'<div class="{name}">{_escaped(text)}</div>'
            for name, text in (("advice", self.advice), ("examples", self.examples))
            if text
        )
        return f'<div class="finding {self.severity}">{title}<div>{_escaped(self.text)}</div>{rest}</div>'

    def markdown(self) -> str:
        title = f"**{self.severity.capitalize()}: {self.title}.** " if self.title else ""
        rest = [self.examples, f"**What to do:** {self.advice}" if self.advice else ""]
        return "\n".join([f"- {title}{self.text}", *(f"  <br>{text}" for text in rest if text)])

    def show(self, console: Console) -> None:
        from rich.text import Text as Words

        colour = COLOURS[self.severity]
        if self.title:
            title = (f"{self.severity.capitalize()}: {self.title}. ", f"bold {colour}")
            words = Words.assemble(title, self.text, (f" {self.advice}" if self.advice else "", "dim"))
        else:
            words = Words(self.text, style=colour)
        console.print(words, soft_wrap=True)


class DocumentFindings(NamedTuple):
    """A list of notices.

    Attributes:
        notices: the notices, in order.
        overview: whether to add a heading, the number of each severity, and a sentence if there are none; on the
            terminal, notes are then listed by title only.
    """

    notices: Sequence[DocumentNotice]
    overview: bool = False

    def html(self) -> str:
        severities = [notice.severity for notice in self.notices]
        chips = "".join(
            f'<span class="chip {severity}">{counted(number, severity)}</span>'
            for severity in SEVERITIES
            if (number := severities.count(severity))
        )
        head = [f'<div class="chips">{chips or "No findings."}</div>'] if self.overview else []
        return "\n".join([*head, *(notice.html() for notice in self.notices)])

    def markdown(self) -> str:
        items = "\n".join(notice.markdown() for notice in self.notices)
        return f"## Findings\n\n{items or 'None.'}" if self.overview else items

    def show(self, console: Console) -> None:
        brief = [notice.title for notice in self.notices if self.overview and notice.severity == "note"]
        for notice in self.notices:
            if notice.severity != "note" or not self.overview:
                notice.show(console)
        if brief:
            from rich.text import Text as Words

            title = f"{counted(len(brief), 'note')}, in the report: "
            console.print(
                Words.assemble((title, f"bold {COLOURS['note']}"), "; ".join(brief)), soft_wrap=True
            )


class DocumentCell(NamedTuple):
    """A table cell with small print, a look, or another text on the terminal.

    Attributes:
        text: the value.
        small: text in small type below it on the page, and after it elsewhere.
        looks: any of "good" (bold), "chosen" (framed), "empty" (no value, a word why) and "dark" (a separate row).
        plain: text in Markdown and on the terminal, if it is not `text` and `small`.
    """

    text: str
    small: str = ""
    looks: str = ""
    plain: str = ""

    def __str__(self) -> str:
        """The cell on one line."""
        return self.plain or " ".join(part for part in (self.text, self.small) if part)


class DocumentTable(NamedTuple):
    """A table with a heading and a note.

    Attributes:
        title: heading.
        head: names of the columns.
        rows: cells, as many as there are columns.
        note: how to read it.
        words: names of the columns that hold words, besides the first; the others are numbers, aligned to the right.
        grid: whether each cell is the result of its row and its column; then all cells are centred.
    """

    title: str
    head: list[str]
    rows: Sequence[Sequence[str | DocumentCell]]
    note: str = ""
    words: tuple[str, ...] = ()
    grid: bool = False

    @property
    def is_text(self) -> list[bool]:
        """Whether each column holds words, which are aligned to the left."""
        return [number == 0 or name in self.words for number, name in enumerate(self.head)]

    def html(self) -> str:

        def tagged(tag: str, row: Iterable[str | DocumentCell]) -> str:
            return "<tr>" + "".join(map(functools.partial(_html_cell, tag), row, self.is_text)) + "</tr>"

        rows = "\n".join([tagged("th", self.head), *(tagged("td", row) for row in self.rows)])
        note = DocumentText(self.note, "small").html() if self.note else ""
        grid = ' class="grid"' if self.grid else ""
        return (
            f'{DocumentHeading(self.title).html()}<div class="scroll"><table{grid}>{rows}</table></div>{note}'
        )

    def markdown(self) -> str:
        rules = [":--" if text else "--:" for text in self.is_text]
        lines = [f"## {self.title}", "", *map(_markdown_row, (self.head, rules, *self.rows))]
        return "\n".join([*lines, "", self.note] if self.note else lines)

    def show(self, console: Console) -> None:
        import rich.table

        drawn = rich.table.Table()
        for name, text in zip(self.head, self.is_text, strict=True):
            drawn.add_column(name, justify="left" if text else "right", overflow="fold")
        for row in self.rows:
            drawn.add_row(*map(_rich_cell, row))
        # Not as the table's own title, which is folded to the width of the table.
        console.print(self.title, style="italic", soft_wrap=True)
        console.print(drawn)
        if self.note:
            DocumentText(self.note, "small").show(console)


@dataclass(frozen=True)
class DocumentPicture:
    """A figure, on the page and as a PNG file beside it.

    Attributes:
        name: name of the file, without its suffix.
        figure: the figure to draw.
        title: heading; empty for none.
    """

    name: str
    figure: Figure
    title: str = ""

    @functools.cached_property
    def png(self) -> bytes:
        """The picture as the contents of a PNG file."""
        from dfx.reporting.figures import style

        return style.figure_png(self.figure)

    def html(self) -> str:
        data = base64.b64encode(self.png).decode()
        heading = DocumentHeading(self.title).html() if self.title else ""
        return f'{heading}<img alt="{_escaped(self.title or self.name)}" src="data:image/png;base64,{data}">'

    def markdown(self) -> str:
        link = f"![{self.title or self.name}]({self.name}.png)"
        return f"## {self.title}\n\n{link}" if self.title else link

    def show(self, console: Console) -> None:
        pass  # a terminal has no pictures


class DocumentHeading(NamedTuple):
    """The heading of a chapter."""

    text: str

    def html(self) -> str:
        return f"<h2>{_escaped(self.text)}</h2>" if self.text else ""

    def markdown(self) -> str:
        return f"## {self.text}"

    def show(self, console: Console) -> None:
        console.print(self.text, style="bold")


class DocumentCode(NamedTuple):
    """Commands to copy."""

    text: str

    def html(self) -> str:
        return f"<pre>{_escaped(self.text)}</pre>"

    def markdown(self) -> str:
        return f"```\n{self.text}\n```"

    def show(self, console: Console) -> None:
        console.print(self.text, soft_wrap=True)


@dataclass(frozen=True)
class Document:
    """A report: its page, its short form on the terminal, and its data.

    Attributes:
        kind: name of the command that makes the report; only files of this kind are replaced.
        title: title of the page.
        parts: parts of the page.
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
        """The page as one HTML file that loads no other file."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{_escaped(self.title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
            + "\n".join([f"<h1>{_escaped(self.title)}</h1>", *(part.html() for part in self.parts)])
            + "\n</main></body></html>\n"
        )

    def markdown(self) -> str:
        """The page as Markdown; figures are named relative to its folder."""
        texts = [f"# {self.title}", *(part.markdown() for part in self.parts)]
        return "\n\n".join(text for text in texts if text) + "\n"

    def write(
        self, folder: Path, more: Mapping[str, str | Callable[[Path], object]] | None = None
    ) -> list[Path]:
        """Write the page, its Markdown, its data and its figures, and further files; returns them, the page first.

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
            **{f"{picture.name}.png": _writer(picture) for picture in pictures},
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
        """Print the short form on the terminal, and the path of the whole report."""
        show_document_parts([*self.brief, DocumentText(f"report     {file}")])

    def _written_before(self, folder: Path) -> set[str]:
        """Names of the files of an earlier report of this kind in a folder."""
        try:
            record = json.loads((folder / self.record).read_text(encoding="utf-8"))
            names = record["files"] if record["kind"] == self.kind else []
            return {name for name in names if Path(name).name == name}
        except (OSError, ValueError, KeyError, TypeError):
            return set()


def show_document_parts(parts: Iterable[DocumentPart]) -> None:
    """Print parts on the terminal, after an empty line."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.print()
    for part in parts:
        part.show(console)


def document_file_name(name: str) -> str:
    """Make a name safe for a file name: letters, digits and `_.-+` only, and no dot at the ends."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "_"


def _escaped(text: object) -> str:
    """Escape text for HTML."""
    return html.escape(str(text))


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: `1 seed`, `3 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Join the first names of a list: `a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _writer(picture: DocumentPicture) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(picture.png)


def _html_cell(tag: str, cell: str | DocumentCell, is_text: bool) -> str:
    text, small, looks = (
        (cell.text, cell.small, cell.looks) if isinstance(cell, DocumentCell) else (cell, "", "")
    )
    looks = " ".join(look for look in ("text" if is_text else "", looks) if look)
    below = f"<div>{_escaped(small)}</div>" if small else ""
    attribute = f' class="{looks}"' if looks else ""
    return f"<{tag}{attribute}>{_escaped(text)}{below}</{tag}>"


def _rich_cell(cell: str | DocumentCell) -> str | rich.text.Text:
    import rich.text

    if isinstance(cell, str) or cell.plain or not cell.small:
        return str(cell)
    return rich.text.Text(cell.text).append(f" {cell.small}" if cell.text else cell.small, "dim")


def _markdown_row(row: Iterable[str | DocumentCell]) -> str:
    cells = []
    for cell in row:
        text = str(cell)
        if isinstance(cell, DocumentCell) and "good" in cell.looks.split():
            text = f"**{cell.text}** {cell.small}".rstrip()
        cells.append(text.replace("|", "\\|"))
    return "| " + " | ".join(cells) + " |"
