"""Published EERs of the presets, and whether the runs of a report reproduce them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from dfx.reporting import metric_names
from dfx.reporting.document_table import DocumentTable
from dfx.reporting.grid import Grid
from dfx.tracking.runs import RunRecord

METRIC = "eval/eer"
HEAD = ["preset", "corpus", "EER here (%)", "seeds", "published (%)", "result", "source"]


class PublishedEer(NamedTuple):
    """Published EERs of a preset on one evaluation corpus, in [0, 1]; several values are trainings of one system."""

    preset: str
    corpus: str
    values: tuple[float, ...]
    source: str

    @property
    def band(self) -> str:
        """Format the range of the values in percent: `1.92 to 3.10`."""
        ends = dict.fromkeys((min(self.values), max(self.values)))
        return " to ".join(metric_names.metric_number(value, METRIC) for value in ends)

    def verdict(self, here: float) -> str:
        """Say whether the mean EER of own runs is in the range of the published values."""
        low, high = min(self.values), max(self.values)
        if low == high:
            return f"{100 * (here - low):+.2f} points; one published value, so its band over seeds is not known"
        if low <= here <= high:
            return "in the band"
        return (
            f"out of the band: {100 * (here - high):.2f} points above"
            if here > high
            else (f"out of the band: {100 * (low - here):.2f} points below")
        )


def read_published_eers() -> list[PublishedEer]:
    """Read the published EERs of all presets from the file beside this module."""
    content = yaml.safe_load((Path(__file__).parent / "published.yaml").read_text(encoding="utf-8"))
    return [
        PublishedEer(preset, one["corpus"], tuple(value / 100 for value in one["eer"]), one["source"])
        for preset, entries in content.items()
        for one in entries
    ]


def published_table(grid: Grid) -> DocumentTable | None:
    """Make the table that compares runs of presets with published EERs; None if there is no such run."""
    runs: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for cell in grid.cells.values():
        for run in cell.runs:
            if METRIC in run.metrics:
                runs[run.tags.get("experiment", ""), _eval_corpus(run)].append(run)
    rows = list(_rows(runs))
    note = (
        "Mean over seeds against the range of published trainings; all of them were trained on ASVspoof 2019 LA. What "
        "each preset does differently stands in its YAML."
    )
    return DocumentTable("Published figures", HEAD, rows, note, ("corpus", "result", "source")) if rows else None


def _rows(runs: dict[tuple[str, str], list[RunRecord]]) -> Iterator[Sequence[str]]:
    for known in read_published_eers():
        values = [run.metrics[METRIC] for run in runs.get((known.preset, known.corpus), ())]
        if values:
            here = sum(values) / len(values)
            number = metric_names.metric_number(here, METRIC)
            yield [known.preset, known.corpus, number, str(len(values)), known.band, known.verdict(here), known.source]


def _eval_corpus(run: RunRecord) -> str:
    """Return the name of the one corpus that a run was measured on, if it was trained on ASVspoof 2019 LA."""
    dataset = run.tags.get("dataset", "")
    if dataset != "combined":
        return dataset
    train, measured = (run.params.get(f"dataset.{split}", "").strip("[]'\" ") for split in ("train", "eval"))
    return measured.removesuffix(":eval") if train.removesuffix(":train") == "asvspoof2019_la" else ""
