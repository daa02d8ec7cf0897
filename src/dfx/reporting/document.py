"""Reports for people: one table of text as Markdown, as HTML and on the terminal, and the HTML page around it.

A page is one file: its figures stand inside it, and it loads nothing from elsewhere.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import rich.table

STYLE = """
:root { --ink: #1c2430; --dim: #5d6875; --line: #e2e6ea; --error: #c2321f; --warning: #d98200; --note: #2b74b8 }
* { box-sizing: border-box }
body { margin: 0; background: #f4f6f8; color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px }
h1 { font-size: 28px; margin: 0 0 2px } h2 { font-size: 20px; margin: 40px 0 10px }
.sub, .how { color: var(--dim); font-size: 14px } .how { margin: 8px 0 0 }
.finding { background: #fff; border: 1px solid var(--line); border-left: 6px solid var(--note); border-radius: 8px;
  padding: 10px 16px; margin: 8px 0; overflow-wrap: anywhere; font-size: 15px }
.error { border-left-color: var(--error) } .warning { border-left-color: var(--warning) }
.scroll { overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: 8px }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums }
th, td { padding: 5px 12px; text-align: right; white-space: nowrap; border-top: 1px solid var(--line) }
th { border-top: 0; color: var(--dim); font-weight: 600 }
.text { text-align: left } tr:hover td { background: #f4f8fc }
pre { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; overflow-x: auto }
img { max-width: 100%; display: block; margin: 14px auto; background: #fff; border: 1px solid var(--line);
  border-radius: 8px }
"""


class Table(NamedTuple):
    """A table for people.

    Attributes:
        title: heading.
        head: names of the columns.
        rows: cells as text, as many as there are columns.
        note: how to read it.
        words: names of the columns that hold words, besides the first; the others are numbers, set to the right.
    """

    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""
    words: tuple[str, ...] = ()

    @property
    def is_text(self) -> list[bool]:
        """Whether each column holds words."""
        return [number == 0 or name in self.words for number, name in enumerate(self.head)]


def markdown(table: Table) -> str:
    """A table with its heading and its note."""
    rules = [":--" if text else "--:" for text in table.is_text]
    lines = [f"## {table.title}", "", *map(_row, (table.head, rules, *table.rows))]
    return "\n".join([*lines, "", table.note] if table.note else lines)


def html_table(table: Table) -> str:
    """A table with its heading and its note; it scrolls where it is too wide."""

    def cells(tag: str, row: list[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if text else ''}>{escaped(cell)}</{tag}>"
            for cell, text in zip(row, table.is_text, strict=True)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    note = f'<p class="how">{escaped(table.note)}</p>' if table.note else ""
    return (
        f'<h2>{escaped(table.title)}</h2><div class="scroll"><table><tr>{cells("th", table.head)}</tr>\n{body}'
        f"</table></div>{note}"
    )


def rich_table(table: Table) -> rich.table.Table:
    """A table for the terminal, without its note."""
    import rich.table

    drawn = rich.table.Table(title=table.title, title_justify="left")
    for name, text in zip(table.head, table.is_text, strict=True):
        drawn.add_column(name, justify="left" if text else "right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*row)
    return drawn


def image(file: Path, words: str) -> str:
    """A PNG inside the page; `words` for those who do not see it."""
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{escaped(words)}" src="data:image/png;base64,{data}">'


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page of parts that are HTML already."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def file_name(name: str) -> str:
    """A name as part of a file name: letters, digits and `_.-+`; nothing else, and no hidden file."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "_"


def escaped(text: object) -> str:
    """Text that HTML shows as it is."""
    return html.escape(str(text))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
