"""Published EERs of the presets, and whether the runs of a report reproduce them."""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dfx.config.identity import logged_params
from dfx.config.schema import CONF_DIR, register_schema
from dfx.reporting import metric_names
from dfx.reporting.document_parts import counted, listed
from dfx.reporting.document_table import DocumentTable
from dfx.reporting.grid import Grid
from dfx.tracking.runs import RunRecord

METRIC = "eval/eer"
NOTE = (
    "Mean over seeds against the range of published trainings; all were trained on ASVspoof 2019 LA. What each preset "
    "does differently stands in its YAML."
)
FREE = ("dataset.", "hydra.", "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "init")
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
    content: Any = OmegaConf.to_container(OmegaConf.load(Path(__file__).parent / "published.yaml"))
    return [
        PublishedEer(preset, one["corpus"], tuple(value / 100 for value in one["eer"]), one["source"])
        for preset, entries in content.items()
        for one in entries
    ]


def published_table(grid: Grid) -> DocumentTable | None:
    """Make the table that compares runs of presets with published EERs; None if there is no such run.

    A run with other settings than its preset is left out and named in the note; seed, corpus and hardware may differ.
    """
    runs: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for cell in grid.cells.values():
        for run in cell.runs:
            if METRIC in run.metrics:
                runs[run.tags.get("experiment", ""), _eval_corpus(run)].append(run)
    rows, notes = [], [NOTE]
    for known in read_published_eers():
        found = [(run, _changes(run, known.preset)) for run in runs.get((known.preset, known.corpus), ())]
        values = [run.metrics[METRIC] for run, changes in found if not changes]
        seeds = {run.params.get("seed") for run, changes in found if not changes}
        others = {change for _, changes in found for change in changes}
        if others:
            left_out = len(found) - len(values)
            notes.append(
                f"{counted(left_out, 'run')} of {known.preset} on {known.corpus} left out for other settings: "
                f"{listed(sorted(others))}."
            )
        if values:
            here = sum(values) / len(values)
            number = metric_names.metric_number(here, METRIC)
            result = known.verdict(here)
            rows.append([known.preset, known.corpus, number, str(len(seeds)), known.band, result, known.source])
    if not rows and len(notes) == 1:
        return None
    return DocumentTable("Published figures", HEAD, rows, " ".join(notes), ("corpus", "result", "source"))


@functools.cache
def _preset_settings(preset: str) -> dict[str, str]:
    register_schema()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return logged_params(compose("train", overrides=[f"experiment={preset}"]))


def _changes(run: RunRecord, preset: str) -> list[str]:
    """List the settings of a run that differ from those of its preset: `trainer.max_epochs=1`."""
    wanted = _preset_settings(preset)
    return [
        f"{key}={run.params.get(key, 'not set')}"
        for key, value in wanted.items()
        if "." in key and not key.startswith(FREE) and run.params.get(key) != value
    ]


def _eval_corpus(run: RunRecord) -> str:
    """Return the name of the one corpus that a run was measured on, if it was trained on ASVspoof 2019 LA."""
    dataset = run.tags.get("dataset", "")
    if dataset != "combined":
        return dataset
    train, measured = (run.params.get(f"dataset.{split}", "").strip("[]'\" ") for split in ("train", "eval"))
    return measured.removesuffix(":eval") if train.removesuffix(":train") == "asvspoof2019_la" else ""
