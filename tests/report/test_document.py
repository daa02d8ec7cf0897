"""What is handed out says the same everywhere, and needs nothing else."""

import re
from pathlib import Path

import pandas as pd
import pytest

from dfx.config.identity import logged_params
from dfx.report import document, exports, figures, tables
from dfx.report.measured_grid import measure_grid
from dfx.report.sweep_report import SweepReport
from dfx.reporting import grid as grids
from dfx.reporting import missing_cells
from dfx.reporting.missing_cells import MissingCell
from setups import composed

BEAT = {"eer": 0.3125, "auc": 0.75, "low": 0.7, "high": 0.8, "name": "all scalars"}


def report(runs, metric="eval/eer", beat=True):
    grid = grids.grid_of_runs(runs, "feature", "model")
    missing = [
        MissingCell("feature=lfcc model=mlp_x seed=2", "missing", "", "python -m dfx.train model=mlp_x seed=2"),
        MissingCell("feature=mfcc model=lcnn seed=0", "skipped", "Too <short>.", ""),
    ]
    grid.why_empty.update(missing_cells.missing_cells_by_place(missing, grid))
    return SweepReport(
        title="feature × model",
        about="4 runs.",
        grid=grid,
        measured=measure_grid(grid, metric, 200),
        missing=missing,
        to_beat={column: BEAT for column in grid.columns} if beat else {},
        command="sweep again",
        notes=["Note & note."],
        folder=Path(),
        parent=None,
        cache=None,
    )


def write(report, folder):
    return document.build_report_document(report, folder).write(folder, document.files_beside_document(report))


@pytest.fixture
def made(make):
    far = {("lfcc", "lcnn"): 3.0, ("lfcc", "mlp_x"): 2.9, ("mfcc", "mlp_x"): 0.5}
    return report([make(*place, seed, of, of) for place, of in far.items() for seed in (0, 1)])


def test_the_folder_holds_everything_and_the_page_needs_nothing(made, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "curves.png").write_text("of an earlier report")
    files = write(made, folder)
    assert files[0].name == "report.html"
    assert set(files) == set(folder.iterdir())
    assert {path.name for path in files} >= {"report.md", "table.tex", "cells.csv", "runs.csv", "commands.txt"}
    assert {path.stem for path in files if path.suffix == ".png"} == set(figures.FIGURES)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert html.count("data:image/png") == len(figures.FIGURES)
    assert "Too &lt;short&gt;." in html
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    for text in (html.replace("&amp;", "&"), markdown):
        assert made.lead in text
        assert "Note & note." in text
        assert "has to beat this" in text
        assert "31.25" in text
        assert "python -m dfx.train model=mlp_x seed=2" in text
        assert not re.search(r"\bnan\b", re.sub('base64,[^"]*', "", text))
    for name in figures.FIGURES:
        assert f"({name}.png)" in markdown
    assert (folder / "commands.txt").read_text().splitlines() == [
        "sweep again",
        "python -m dfx.train model=mlp_x seed=2",
    ]


def test_the_table_says_what_was_chosen_what_is_as_good_and_what_is_missing(made):
    table = tables.result_table(made)
    assert table.head == ["feature \\ model", "lcnn", "mlp_x"]
    assert re.fullmatch(r"\d+\.\d\d ± \d+\.\d\d ★ \[\d+\.\d\d, \d+\.\d\d\]", str(table.rows[0][1]))
    assert str(table.rows[1][1]) == "skipped"
    assert [str(cell) for cell in table.rows[2]] == ["has to beat this", "31.25", "31.25"]
    assert "mean ± sample deviation over 2 seeds" in table.note
    assert "Holm over 2 comparisons" in table.note
    assert "all scalars, a model that never listens" in table.note
    lines = document.build_report_document(made, Path()).markdown().splitlines()
    row = next(line for line in lines if line.startswith("| lfcc"))
    assert row.count("**") == 4  # the chosen one and the one that is not worse
    assert "**" not in next(line for line in lines if line.startswith("| mfcc"))


def test_a_preset_is_compared_with_published_figures(make):
    settings = logged_params(composed("experiment=lfcc_lcnn"))
    run = make("lfcc", "lcnn", 0, tags={"experiment": "lfcc_lcnn", "dataset": "asvspoof2019_la"}, params=settings)
    assert "Published figures" in document.build_report_document(report([run]), Path()).markdown()


def test_latex_is_whole(made):
    text = exports.export_latex_table(made)
    rows = [line for line in text.splitlines() if line.endswith(r"\\") or line.endswith("[2pt]")]
    assert all(line.replace(r"\&", "").count("&") == 2 for line in rows)
    assert "mlp\\_x" in text
    assert text.count("{") == text.count("}")
    assert not set("±★▲·–") & set(text)
    assert exports.escape_latex("a_b 5% \\ ^") == r"a\_b 5\% \textbackslash{} \textasciicircum{}"


def test_the_files_for_programs_are_unrounded(made, tmp_path):
    write(made, tmp_path)
    cells, runs = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("cells", "runs"))
    assert len(cells) == 3
    assert len(runs) == 6
    best = made.measured.cells["lfcc", "lcnn"]
    assert cells["mean"][0] == best.mean
    assert cells["mark"][0] == "chosen on dev"
    group = runs[(runs["row"] == "lfcc") & (runs["column"] == "lcnn")]
    assert group["eval/eer"].mean() == pytest.approx(best.mean)


def test_one_seed_and_one_cell_make_a_report_too(make, tmp_path):
    alone = report([make("lfcc", "lcnn", 0)], beat=False)
    write(alone, tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "±" not in next(line for line in text.splitlines() if line.startswith("| lfcc"))
    assert "Nothing is marked: no two cells judged the same trials" in text
    assert "has to beat" not in text


def test_other_metrics_read_as_what_they_are(make, tmp_path):
    made = report([make("lfcc", "lcnn", seed) for seed in (0, 1)], "eval/auc")
    table = tables.result_table(made)
    assert table.title == "AUC on eval"
    assert re.fullmatch(r"0\.\d{4} ± 0\.\d{4}", str(table.rows[0][1]))
    assert str(table.rows[1][1]) == "0.7500 [0.7000, 0.8000]"
    assert "of the EER, from score files" in table.note
    write(made, tmp_path)


def test_the_lead_says_no_more_than_was_tested(make):
    assert "significantly" not in report([make("lfcc", "lcnn", 0)]).lead
    runs = [make("lfcc", model, 0, far, far) for model, far in (("a", 5.0), ("b", 0.5))]
    assert report(runs).lead.endswith("All others that were tested are significantly worse.")


def test_the_lead_prefers_cells_with_several_seeds_also_without_a_test(make):
    runs = [make("lfcc", "lucky", 0, 5.0), *(make("lfcc", "steady", seed) for seed in (0, 1))]
    assert report(runs, "eval/auc").lead.startswith("Dev chooses lfcc · steady: AUC")
    assert report(runs[:1], "eval/auc").lead.startswith("Dev chooses lfcc · lucky: AUC")


def test_the_middle_seed_is_drawn(make):
    runs = [make("lfcc", "lcnn", seed, dev=far) for seed, far in enumerate((1.0, 3.0, 2.0, 2.5))]
    cell = grids.grid_of_runs(runs, "feature", "model").cells["lfcc", "lcnn"]
    assert figures.median_run(cell) is runs[3]


def test_the_terminal_shows_what_matters(made, capsys):
    document.build_report_document(made, Path("out")).show(Path("out/report.html"))
    shown = capsys.readouterr().out
    assert made.lead in shown
    assert "Note & note." in shown
    assert "1 missing, 1 skipped; out/commands.txt has what to type" in shown
