"""Parts of a report document: text, notices, tables, pictures, headings and commands.

The three methods of a part decide what it shows on the page, in Markdown and on the terminal. Table cells are text, or
a `DocumentCell` where a part of the text is small or the cell has a look.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape as escaped
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dfx.tables.findings import SEVERITIES

if TYPE_CHECKING:
    import rich.text
    from matplotlib.figure import Figure
    from rich.console import Console

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}  # on the terminal


class DocumentPart(Protocol):
    """Interface of a document part: convert it to HTML or Markdown, or print it."""

    def html(self) -> str:
        """Convert the part to HTML."""

    def markdown(self) -> str:
        """Convert the part to Markdown, without empty lines at the start and the end."""

    def show(self, console: Console) -> None:
        """Print the part on the terminal."""


class DocumentText(NamedTuple):
    """Paragraph of text.

    Attributes:
        text: one or more sentences.
        look: "about" (a grey line under the title), "small" (grey), "warning" or "note" (in colour on the
            terminal) or nothing.
    """

    text: str
    look: str = ""

    def html(self) -> str:
        return f'<p class="{self.look}">{escaped(self.text)}</p>'

    def markdown(self) -> str:
        return markdown_escaped(self.text)

    def show(self, console: Console) -> None:
        console.print(self.text, style=(COLOURS | {"small": "dim"}).get(self.look), soft_wrap=True)


class DocumentLead(NamedTuple):
    """Main result of the report in one sentence, with its number in large type.

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
        value = f"<b>{escaped(self.value)}<small>{escaped(self.unit)}</small></b>" if self.value else ""
        texts = "".join(f"<p>{escaped(text)}</p>" for text in (self.text, *self.more))
        return f'<div class="lead">{value}<div>{texts}</div></div>'

    def markdown(self) -> str:
        return "\n\n".join([f"**{markdown_escaped(self.text)}**", *map(markdown_escaped, self.more)])

    def show(self, console: Console) -> None:
        console.print()
        console.print(self.text, style="bold", soft_wrap=True)


class DocumentNotice(NamedTuple):
    """Notice for the reader: an error, a warning or a note.

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
        title = f"<b>{escaped(self.title)}</b>" if self.title else ""
        rest = "".join(
            f'<div class="{name}">{escaped(text)}</div>'
            for name, text in (("advice", self.advice), ("examples", self.examples))
            if text
        )
        return f'<div class="finding {self.severity}">{title}<div>{escaped(self.text)}</div>{rest}</div>'

    def markdown(self) -> str:
        title = f"**{self.severity.capitalize()}: {markdown_escaped(self.title)}.** " if self.title else ""
        advice = f"**What to do:** {markdown_escaped(self.advice)}" if self.advice else ""
        rest = [markdown_escaped(self.examples), advice]
        return "\n".join([f"- {title}{markdown_escaped(self.text)}", *(f"  <br>{text}" for text in rest if text)])

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
    """List of notices.

    Attributes:
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
            console.print(Words.assemble((title, f"bold {COLOURS['note']}"), "; ".join(brief)), soft_wrap=True)


class DocumentCell(NamedTuple):
    """Table cell with small print or formatting.

    Attributes:
        text: the value.
        small: text in small type below it on the page, and after it elsewhere.
        looks: any of "good" (bold), "bad" (bold and red), "chosen" (framed), "empty" (no value, a word why), "dark" (a
            separate row) and "prose" (sentences, wrapped).
    """

    text: str
    small: str = ""
    looks: str = ""

    def __str__(self) -> str:
        """Return the text of the cell on one line."""
        return " ".join(part for part in (self.text, self.small) if part)


class DocumentTable(NamedTuple):
    """Table with a heading and a note.

    Attributes:
        head: names of the columns.
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
        """Whether each column contains words (aligned to the left) or numbers."""
        return [number == 0 or name in self.words for number, name in enumerate(self.head)]

    def html(self) -> str:

        def tagged(tag: str, row: Iterable[str | DocumentCell]) -> str:
            return "<tr>" + "".join(map(functools.partial(_html_cell, tag), row, self.is_text)) + "</tr>"

        rows = "\n".join([tagged("th", self.head), *(tagged("td", row) for row in self.rows)])
        note = DocumentText(self.note, "small").html() if self.note else ""
        grid = ' class="grid"' if self.grid else ""
        return f'{DocumentHeading(self.title).html()}<div class="scroll"><table{grid}>{rows}</table></div>{note}'

    def markdown(self) -> str:
        rules = [":--" if text else "--:" for text in self.is_text]
        lines = [f"## {markdown_escaped(self.title)}", "", *map(_markdown_row, (self.head, rules, *self.rows))]
        return "\n".join([*lines, "", markdown_escaped(self.note)] if self.note else lines)

    def show(self, console: Console) -> None:
        import rich.table

        drawn = rich.table.Table()
        for name, text in zip(self.head, self.is_text, strict=True):
            drawn.add_column(name, justify="left" if text else "right", overflow="fold")
        for row in self.rows:
            drawn.add_row(*map(_rich_cell, row))
        # Not as the table's own title, which is folded to the width of the table.
        if self.title:
            console.print(self.title, style="italic", soft_wrap=True)
        console.print(drawn)
        if self.note:
            DocumentText(self.note, "small").show(console)


@dataclass(frozen=True)
class DocumentPicture:
    """Figure on the page, also written as a PNG file beside the page.

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
        """Bytes of the PNG file."""
        from dfx.reporting.figures import style

        return style.figure_png(self.figure)

    def html(self) -> str:
        data = base64.b64encode(self.png).decode()
        heading = DocumentHeading(self.title).html() if self.title else ""
        return f'{heading}<img alt="{escaped(self.title or self.name)}" src="data:image/png;base64,{data}">'

    def markdown(self) -> str:
        title = markdown_escaped(self.title)
        link = f"![{title or self.name}]({self.name}.png)"
        return f"## {title}\n\n{link}" if title else link

    def show(self, console: Console) -> None:
        pass  # a terminal has no pictures


class DocumentPlayer(NamedTuple):
    """Player of a sound, on the page only.

    Attributes:
        ogg: the sound as Ogg Vorbis.
        title: read by screen readers.
    """

    ogg: bytes
    title: str

    def html(self) -> str:
        data = base64.b64encode(self.ogg).decode()
        source = f"data:audio/ogg;base64,{data}"
        return f'<audio controls preload="none" aria-label="{escaped(self.title)}" src="{source}"></audio>'

    def markdown(self) -> str:
        return ""

    def show(self, console: Console) -> None:
        pass  # a terminal plays nothing


class DocumentHeading(NamedTuple):
    """Heading of a chapter."""

    text: str

    def html(self) -> str:
        return f"<h2>{escaped(self.text)}</h2>" if self.text else ""

    def markdown(self) -> str:
        return f"## {markdown_escaped(self.text)}"

    def show(self, console: Console) -> None:
        console.print(self.text, style="bold")


class DocumentCode(NamedTuple):
    """Block of commands that the reader can copy."""

    text: str

    def html(self) -> str:
        return f"<pre>{escaped(self.text)}</pre>"

    def markdown(self) -> str:
        return f"```\n{self.text}\n```"

    def show(self, console: Console) -> None:
        console.print(self.text, soft_wrap=True)


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: `1 seed`, `3 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Join the first names of a list: `a, b and 3 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _html_cell(tag: str, cell: str | DocumentCell, is_text: bool) -> str:
    text, small, looks = cell if isinstance(cell, DocumentCell) else DocumentCell(cell)
    looks = " ".join(look for look in ("text" if is_text else "", looks) if look)
    below = f"<div>{escaped(small)}</div>" if small else ""
    attribute = f' class="{looks}"' if looks else ""
    return f"<{tag}{attribute}>{escaped(text)}{below}</{tag}>"


def _rich_cell(cell: str | DocumentCell) -> str | rich.text.Text:
    import rich.text

    if isinstance(cell, str) or not cell.small:
        return str(cell)
    return rich.text.Text(cell.text).append(f" {cell.small}" if cell.text else cell.small, "dim")


def markdown_escaped(text: str) -> str:
    """Escape HTML tags and links in a text for Markdown, and put it on one line: names come from files of others."""
    return " ".join(text.splitlines()).replace("<", "&lt;").replace("](", "]\\(")


def _markdown_row(row: Iterable[str | DocumentCell]) -> str:
    cells = []
    for cell in row:
        text = markdown_escaped(str(cell))
        if isinstance(cell, DocumentCell) and "good" in cell.looks.split():
            text = f"**{markdown_escaped(cell.text)}** {markdown_escaped(cell.small)}".rstrip()
        cells.append(text.replace("|", "\\|"))
    return "| " + " | ".join(cells) + " |"
