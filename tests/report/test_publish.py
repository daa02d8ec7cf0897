"""What is handed out says the same everywhere, and needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from dfx.report import collect, figures, formats, page, publish, tables
from dfx.report.gaps import Gap
from dfx.report.measure import measure
from dfx.report.page import Report
from dfx.tracking.runs import RunRecord

Make = Callable[..., RunRecord]
BEAT = {"eer": 0.3125, "auc": 0.75, "low": 0.7, "high": 0.8, "name": "all scalars"}


def report(runs: list[RunRecord], metric: str = "eval/eer", beat: bool = True) -> Report:
    grid = collect.grid(runs, "feature", "model")
    missing = [
        Gap("feature=lfcc model=mlp_x seed=2", "missing", "", "python -m dfx.train model=mlp_x seed=2"),
        Gap("feature=mfcc model=lcnn seed=0", "skipped", "Too <short>.", ""),
    ]
    known = {column: BEAT for column in grid.columns} if beat else {}
    return Report(
        "feature × model",
        ["4 runs."],
        grid,
        measure(grid, metric, 200),
        missing,
        known,
        "sweep again",
        ["Note & note."],
    )


@pytest.fixture
def made(make: Make) -> Report:
    far = {("lfcc", "lcnn"): 3.0, ("lfcc", "mlp_x"): 2.9, ("mfcc", "mlp_x"): 0.5}
    return report([make(*place, seed, of, of) for place, of in far.items() for seed in (0, 1)])


def test_the_folder_holds_everything_and_the_page_needs_nothing(made: Report, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "curves.png").write_text("of an earlier report")
    files = publish.write(made, folder)
    assert files[0].name == "report.html"
    assert set(files) == set(folder.iterdir())
    assert {path.name for path in files} >= {
        "report.md",
        "table.tex",
        "cells.csv",
        "runs.csv",
        "commands.txt",
    }
    assert {path.stem for path in files if path.suffix == ".png"} == set(figures.NAMES)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert html.count("data:image/png") == len(figures.NAMES)
    assert "Too &lt;short&gt;." in html
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    for text in (html.replace("&amp;", "&"), markdown):
        assert made.lead in text
        assert "Note & note." in text
        assert "has to beat this" in text
        assert "31.25" in text
        assert "python -m dfx.train model=mlp_x seed=2" in text
        assert not re.search(r"\bnan\b", re.sub('base64,[^"]*', "", text))
    for name in figures.NAMES:
        assert f"({name}.png)" in markdown
    assert (folder / "commands.txt").read_text().splitlines() == [
        "sweep again",
        "python -m dfx.train model=mlp_x seed=2",
    ]


def test_the_table_says_what_was_chosen_what_is_as_good_and_what_is_missing(made: Report) -> None:
    table = tables.main(made.grid, made.measures, made.gaps, made.beat)
    assert table.head == ["feature \\ model", "lcnn", "mlp_x"]
    assert re.fullmatch(r"\d+\.\d\d ± \d+\.\d\d ★ \[\d+\.\d\d, \d+\.\d\d\]", table.rows[0][1])
    assert table.rows[1][1] == "skipped"
    assert table.rows[2] == ["has to beat this", "31.25", "31.25"]
    assert "mean ± sample deviation over 2 seeds" in table.note
    assert "Holm over 2 comparisons" in table.note
    assert "all scalars, a model that never listens" in table.note
    lines = page.markdown(made, []).splitlines()
    row = next(line for line in lines if line.startswith("| lfcc"))
    assert row.count("**") == 4  # the chosen one and the one that is not worse
    assert "**" not in next(line for line in lines if line.startswith("| mfcc"))


def test_latex_is_whole(made: Report) -> None:
    text = formats.latex(made.grid, made.measures, made.gaps, made.beat)
    rows = [line for line in text.splitlines() if line.endswith(r"\\") or line.endswith("[2pt]")]
    assert all(line.replace(r"\&", "").count("&") == 2 for line in rows)
    assert "mlp\\_x" in text
    assert text.count("{") == text.count("}")
    assert not set("±★▲·–") & set(text)
    assert formats.escaped("a_b 5% \\ ^") == r"a\_b 5\% \textbackslash{} \textasciicircum{}"


def test_the_files_for_programs_are_unrounded(made: Report, tmp_path: Path) -> None:
    publish.write(made, tmp_path)
    cells, runs = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("cells", "runs"))
    assert len(cells) == 3
    assert len(runs) == 6
    best = made.measures.cells["lfcc", "lcnn"]
    assert cells["mean"][0] == best.mean
    assert cells["mark"][0] == "chosen on dev"
    group = runs[(runs["row"] == "lfcc") & (runs["column"] == "lcnn")]
    assert group["eval/eer"].mean() == pytest.approx(best.mean)


def test_one_seed_and_one_cell_make_a_report_too(make: Make, tmp_path: Path) -> None:
    alone = report([make("lfcc", "lcnn", 0)], beat=False)
    publish.write(alone, tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "±" not in next(line for line in text.splitlines() if line.startswith("| lfcc"))
    assert "Nothing is marked: no two cells judged the same trials" in text
    assert "has to beat" not in text


def test_other_metrics_read_as_what_they_are(make: Make, tmp_path: Path) -> None:
    made = report([make("lfcc", "lcnn", seed) for seed in (0, 1)], "eval/auc")
    table = tables.main(made.grid, made.measures, made.gaps, made.beat)
    assert table.title == "AUC on eval"
    assert re.fullmatch(r"0\.\d{4} ± 0\.\d{4}", table.rows[0][1])
    assert table.rows[1][1] == "0.7500 [0.7000, 0.8000]"
    assert "of the EER, from score files" in table.note
    publish.write(made, tmp_path)


def test_the_lead_says_no_more_than_was_tested(make: Make) -> None:
    assert "significantly" not in report([make("lfcc", "lcnn", 0)]).lead
    runs = [make("lfcc", model, 0, far, far) for model, far in (("a", 5.0), ("b", 0.5))]
    assert report(runs).lead.endswith("All others that were tested are significantly worse.")


def test_the_middle_seed_is_drawn(make: Make) -> None:
    runs = [make("lfcc", "lcnn", seed, dev=far) for seed, far in enumerate((1.0, 3.0, 2.0, 2.5))]
    cell = collect.grid(runs, "feature", "model").cells["lfcc", "lcnn"]
    assert figures.middle(cell) is runs[3]


def test_the_terminal_shows_what_matters(made: Report, capsys: pytest.CaptureFixture[str]) -> None:
    publish.show(made, Path("out/report.html"))
    shown = capsys.readouterr().out
    assert made.lead in shown
    assert "Note & note." in shown
    assert "1 missing, 1 skipped; out/commands.txt has what to type" in shown
