"""Parts of a report document: text, notices, pictures, sounds, headings and commands; tables are in `document_table`.

The three methods of a part decide what it shows on the page, in Markdown and on the terminal.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escaped
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dfx.tables.findings import SEVERITIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

MOST_LISTED = 6  # names in a sentence
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


def listed(names: Sequence[str]) -> str:
    """Join the first names of a list: `a, b and 3 more`."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more


def markdown_escaped(text: str) -> str:
    """Escape HTML tags and links in a text for Markdown, and put it on one line: names come from files of others."""
    return " ".join(text.splitlines()).replace("<", "&lt;").replace("](", "]\\(")
