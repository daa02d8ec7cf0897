"""Table of a report document, and its cells.

Cells are text, or a `DocumentCell` where a part of the text is small or the cell has a look.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from html import escape as escaped
from typing import TYPE_CHECKING, NamedTuple

from dfx.reporting.document_parts import DocumentHeading, DocumentText, markdown_escaped

if TYPE_CHECKING:
    import rich.text
    from rich.console import Console


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


def _markdown_row(row: Iterable[str | DocumentCell]) -> str:
    cells = []
    for cell in row:
        text = markdown_escaped(str(cell))
        if isinstance(cell, DocumentCell) and "good" in cell.looks.split():
            text = f"**{markdown_escaped(cell.text)}** {markdown_escaped(cell.small)}".rstrip()
        cells.append(text.replace("|", "\\|"))
    return "| " + " | ".join(cells) + " |"
