import json
import re
from pathlib import Path

from matplotlib.figure import Figure

from dfx.console import say
from dfx.reporting.document import Document, document_file_name, show_document_parts
from dfx.reporting.document_parts import (
    DocumentCode,
    DocumentFindings,
    DocumentHeading,
    DocumentLead,
    DocumentNotice,
    DocumentPicture,
    DocumentText,
)
from dfx.reporting.document_table import DocumentCell, DocumentTable

TABLE = DocumentTable("A & B", ["name", "EER", "why"], [["x|y", "5.0 [4.1, 5.9]", "<b>"]], "How to read.", ("why",))
GRID = DocumentTable(
    "Grid",
    ["feature", "lcnn", "mlp"],
    [
        ["lfcc", DocumentCell("12.3 ★", "[10, 14]", "good chosen"), DocumentCell("failed", looks="empty")],
        ["audit", DocumentCell("5", "seen 1"), DocumentCell("7")],
    ],
    grid=True,
)
NOTICES = (
    DocumentNotice("Two speakers <are> shared.", "error", "Leaked: speaker", "Split again.", "s1, s2"),
    DocumentNotice("A note.", "note", "Small file"),
)


def document(kind="report", pictures=("det",)):
    parts = [
        DocumentText("4 runs.", "about"),
        DocumentLead("Beat .63.", "0.63", "AUC", ["For scale."]),
        DocumentFindings(NOTICES, overview=True),
        DocumentFindings([DocumentNotice("Note & note.")]),
        TABLE,
        GRID,
        *(DocumentPicture(name, Figure(), "Trade-off") for name in pictures),
        DocumentHeading("How long"),
        DocumentCode("python -m dfx.train seed=1 > x"),
    ]
    return Document(kind, "T & U", parts, [GRID, *parts[:4]], {"rows": [1]})


def test_markdown_escapes_its_own_signs():
    assert TABLE.markdown().splitlines() == [
        "## A & B",
        "",
        "| name | EER | why |",
        "| :-- | --: | :-- |",
        "| x\\|y | 5.0 [4.1, 5.9] | &lt;b> |",
        "",
        "How to read.",
    ]


def test_names_of_others_are_no_markup_and_break_no_row():
    evil = "<script>alert(1)</script>\n| x | [a](javascript:b)"
    parts = [
        DocumentText(evil),
        DocumentLead(evil, more=[evil]),
        DocumentFindings([DocumentNotice(evil, "error", evil, evil, evil)]),
        DocumentTable(evil, [evil], [[evil], [DocumentCell(evil, evil, "good")]], evil),
        DocumentPicture("det", Figure(), evil),
        DocumentHeading(evil),
    ]
    page = Document("report", evil, parts).markdown()
    assert "<script" not in page
    assert "](javascript" not in page
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 2 for line in table)
    assert len(table) == 4


def test_html_escapes_and_aligns():
    made = TABLE.html()
    assert "<h2>A &amp; B</h2>" in made
    assert '<td class="text">&lt;b&gt;</td>' in made
    assert "<td>5.0 [4.1, 5.9]</td>" in made


def test_a_cell_has_a_small_line_and_a_look():
    assert '<td class="good chosen">12.3 ★<div>[10, 14]</div></td>' in GRID.html()
    assert '<td class="empty">failed</td>' in GRID.html()
    lines = GRID.markdown().splitlines()
    assert lines[-2] == "| lfcc | **12.3 ★** [10, 14] | failed |"
    assert lines[-1] == "| audit | 5 seen 1 | 7 |"


def test_a_page_is_one_file_that_says_everything():
    made = document()
    page, text = made.html(), made.markdown()
    assert "http" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert 'alt="Trade-off" src="data:image/png;base64,' in page
    assert '<span class="chip error">1 error</span><span class="chip note">1 note</span>' in page
    assert "Two speakers &lt;are&gt; shared." in page
    for words in ("4 runs.", "Beat .63.", "For scale.", "Note & note.", "Split again.", "s1, s2", "How long"):
        assert words in page.replace("&amp;", "&")
        assert words in text
    assert text.startswith("# T & U\n\n4 runs.\n\n**Beat .63.**\n\nFor scale.\n\n## Findings\n\n- **Error: Leaked")
    assert "![Trade-off](det.png)" in text
    assert "```\npython -m dfx.train seed=1 > x\n```" in text
    assert "None." in DocumentFindings([], overview=True).markdown()


def test_the_terminal_shows_the_short_form(capsys):
    document().show(Path("out/report.html"))
    shown = capsys.readouterr().out
    for words in ("12.3 ★ [10, 14]", "5 seen 1", "Error: Leaked: speaker. Two speakers <are> shared. Split again."):
        assert words in shown
    assert "1 note, in the report: Small file" in shown
    assert "A note." not in shown
    assert shown.endswith("report     out/report.html\n")


def test_names_are_shown_as_they_are(capsys):
    name = "[b] :bug: 5.0"
    show_document_parts([DocumentText(name), DocumentTable(name, ["", "x"], [["", DocumentCell(name)]])])
    say(name)
    shown = capsys.readouterr()
    assert shown.out.count(name) == 3
    assert shown.err == f"{name}\n"


def test_files_of_an_earlier_report_of_the_same_kind_are_replaced(tmp_path):
    (tmp_path / "mine.txt").write_text("stays")
    files = document(pictures=("det", "curves")).write(tmp_path, {"a.csv": "1", "b.csv": Path.touch})
    assert files[0] == tmp_path / "report.html"
    assert {*files, tmp_path / "mine.txt"} == set(tmp_path.iterdir())
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert record == {"rows": [1], "kind": "report", "files": [file.name for file in files]}
    again = document().write(tmp_path)
    assert {*again, tmp_path / "mine.txt"} == set(tmp_path.iterdir())
    assert not {"a.csv", "b.csv", "curves.png"} & {file.name for file in again}
    document("audit", ()).write(tmp_path)
    assert (tmp_path / "det.png").exists()


def test_a_record_cannot_name_files_elsewhere(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "mine.txt").write_text("stays")
    for written in ('{"kind": "report", "files": ["../mine.txt"]}', "[]", "{", '{"kind": "report", "files": 1}'):
        (folder / "report.json").write_text(written)
        document().write(folder)
        assert (tmp_path / "mine.txt").exists()


def test_a_name_becomes_the_name_of_a_file():
    assert document_file_name("lcnn · demo: a/b") == "lcnn_demo_a_b"
    assert document_file_name("..") == "_"
