from __future__ import annotations

from pathlib import Path

from dfx.reporting import document
from dfx.reporting.document import Table

TABLE = Table("A & B", ["name", "EER", "why"], [["x|y", "5.0 [4.1, 5.9]", "<b>"]], "How to read.", ("why",))


def test_markdown_escapes_its_own_signs() -> None:
    assert document.markdown(TABLE).splitlines() == [
        "## A & B",
        "",
        "| name | EER | why |",
        "| :-- | --: | :-- |",
        "| x\\|y | 5.0 [4.1, 5.9] | <b> |",
        "",
        "How to read.",
    ]


def test_html_escapes_and_aligns() -> None:
    made = document.html_table(TABLE)
    assert "<h2>A &amp; B</h2>" in made
    assert "<td class=text>&lt;b&gt;</td>" in made
    assert "<td>5.0 [4.1, 5.9]</td>" in made


def test_a_page_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"picture")
    made = document.page("T", [document.html_table(TABLE), document.image(tmp_path / "x.png", "words")])
    assert 'alt="words" src="data:image/png;base64,cGljdHVyZQ=="' in made
    assert "http" not in made


def test_the_terminal_shows_brackets() -> None:
    from rich.console import Console

    console = Console(width=80, record=True, markup=False)
    console.print(document.rich_table(TABLE))
    assert "5.0 [4.1, 5.9]" in console.export_text()
