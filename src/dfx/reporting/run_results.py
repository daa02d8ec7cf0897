"""What a run leaves for people: metrics, score files, figures, and the table at the end."""

from __future__ import annotations

import json
import shutil
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfx import files
from dfx.console import say
from dfx.detector.checkpoint import RunCheckpoint
from dfx.detector.costs import latency_ms, num_parameters
from dfx.detector.datamodule import AudioDataModule
from dfx.detector.detector import Detector
from dfx.metrics import NEED_LLR, attack_key, attack_name, auc, eer, summary
from dfx.metrics.doubts import backwards
from dfx.reporting import figures as plots
from dfx.tables.labels import SPOOF
from dfx.tables.score_table import UNKNOWN_ATTACK, ScoreTable
from dfx.tracking.database import ui_command
from dfx.tracking.run import TrackedRun

SHOWN = {  # metric -> (name, whether it is a rate that reads as a percentage, meaning)
    "eer": ("EER", True, "organisers'; lower is better"),
    "auc": ("AUC", False, "higher is better"),
    "accuracy": ("accuracy", True, "at dev's EER threshold"),
    "min_dcf": ("minDCF", False, "P_spoof .05, C_miss 1, C_fa 10"),
    "act_dcf": ("actDCF", False, "the same, at Bayes' threshold"),
    "cllr": ("Cllr", False, "bits; under 1 is informative"),
    "eer_seen": ("EER, seen attacks", True, "attacks that train has"),
    "eer_unseen": ("EER, unseen attacks", True, "attacks that train has not"),
}


def write(
    run: TrackedRun,
    scores: dict[str, ScoreTable],
    data: AudioDataModule,
    keeper: RunCheckpoint,
    detector: Detector,
    note: str,
) -> None:
    """Measure dev and eval and put every artifact of the run into its folder; metrics go to MLflow at once.

    Args:
        run: the run.
        scores: tables of the dev split (of the chosen epoch) and the eval split.
        data: the corpus.
        keeper: holds the history and the chosen weights.
        detector: with these weights; metrics of `NEED_LLR` are left out where its scores are no log-likelihood ratios.
        note: stands on every figure.
    """
    dev, evaluation = scores["dev"], scores["eval"]
    seen = {str(attack) for attack in data.tables["train"]["attack"].unique()}
    threshold = eer(dev.bonafide, dev.spoof)[1]
    metrics: dict[str, float] = {}
    for split, table in (("dev", dev), ("eval", evaluation)):
        values = summary(table, threshold) | _seen_unseen(table, seen) | _by_corpus(table)
        values |= {"num_bonafide": float(len(table.bonafide)), "num_spoof": float(len(table.spoof))}
        left_out = () if detector.loss.llr else NEED_LLR
        metrics |= {f"{split}/{name}": value for name, value in values.items() if name not in left_out}
    metrics["best_epoch"] = float(keeper.best_epoch)
    metrics["epochs"] = float(len(keeper.history))
    metrics["bad_files"] = float(len(data.store.bad))
    metrics["cost/parameters"] = float(num_parameters(detector))
    metrics["cost/train_seconds"] = sum(record.get("train/seconds", 0.0) for record in keeper.history)
    if data.store.sample_rate > 1:  # not a table of ready features
        metrics["cost/latency_ms"] = latency_ms(
            detector.cpu(), data.crops["eval"].num_samples, data.store.sample_rate
        )
    run.log_history(keeper.history)  # again, for a run that was killed between the last epoch and its curves
    run.log_metrics(metrics)
    warning = wrong_way(dev)
    if warning:
        run.warn(warning)
        say(f"Warning: {warning}")

    folder = run.artifacts
    for split, table in (("dev", dev), ("eval", evaluation)):
        with files.replacing(folder / "scores" / f"{split}.csv") as path:
            table.write(path)
        with files.replacing(folder / "scores" / f"{split}.txt") as path:
            table.write_plain(path)
    (folder / "history.json").write_text(json.dumps(keeper.history, indent=1) + "\n", encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    if len(data.store.bad):
        data.store.bad.to_csv(folder / "bad_files.csv", index=False)
    (folder / "checkpoint").mkdir(exist_ok=True)
    shutil.copyfile(keeper.best, folder / "checkpoint" / "best.ckpt")
    _write_figures(run, dev, evaluation, threshold, keeper, metrics, seen, note)


def show(run: TrackedRun, note: str, to_beat: dict[str, Any] | None = None) -> float:
    """Print the result of a run, new or finished before, and where to find the rest; returns dev EER.

    Args:
        run: the run.
        note: printed with it.
        to_beat: what the audit of the corpus found (`audits.to_beat`).
    """
    metrics = run.metrics
    console = Console(highlight=False, markup=False)
    table = Table(
        title=f"{run.name}{': finished before; rerun=true runs it again' if run.finished else ''}",
        title_justify="left",
    )
    for column, justify in (("", "left"), ("dev", "right"), ("eval", "right"), ("", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for name, (title, percent, meaning) in SHOWN.items():
        cells = [_cell(metrics.get(f"{split}/{name}"), percent) for split in ("dev", "eval")]
        if any(cells):
            table.add_row(title, *cells, Text(meaning, style="dim"))
    if "dev/num_spoof" in metrics:
        counts = [
            f"{metrics[f'{s}/num_bonafide']:.0f} + {metrics[f'{s}/num_spoof']:.0f}" for s in ("dev", "eval")
        ]
        table.add_row("trials", *counts, Text("bona fide + spoof", style="dim"))
    console.print()
    console.print(table)
    for kind, prefix in (("corpus", "eval/eer_on/"), ("attack", "eval/eer/")):
        values = {attack_name(k.removeprefix(prefix)): v for k, v in metrics.items() if k.startswith(prefix)}
        worst = sorted(values.items(), key=lambda item: -item[1])
        listed = ", ".join(f"{name} {100 * value:.1f}" for name, value in worst[:12])
        if worst:
            console.print(
                f"eval EER by {kind}, %: {listed}{', …' if len(worst) > 12 else ''}", soft_wrap=True
            )
    if to_beat:
        sides = "above" if metrics["eval/auc"] > to_beat["high"] else "not above"
        reached = f"This run: AUC {metrics['eval/auc']:.2f}, {sides} that interval."
        console.print(f"{to_beat['text']} {reached}", style="cyan", soft_wrap=True)
    if note:
        console.print(f"{note[0].upper()}{note[1:]}", style="yellow", soft_wrap=True)
    if "epochs" in metrics:
        console.print(
            f"dev chose epoch {metrics['best_epoch']:.0f} of 0-{metrics['epochs'] - 1:.0f}; one seed: report several."
        )
    console.print(f"artifacts  {run.artifact_uri}", soft_wrap=True)
    console.print(f"compare    {ui_command()}", soft_wrap=True)
    return metrics["dev/eer"]


def _seen_unseen(table: ScoreTable, seen: set[str]) -> dict[str, float]:
    """EER over the attacks that training had, and over the others, where there are any; unknown ones are neither."""
    values = {}
    attack = table.table["attack"]
    known = attack.isin(seen).to_numpy()
    spoof = ((table.table["label"] == SPOOF) & (attack != UNKNOWN_ATTACK)).to_numpy()
    for name, chosen in (("eer_seen", known & spoof), ("eer_unseen", ~known & spoof)):
        if chosen.any():
            values[name] = eer(table.bonafide, table.table["score"].to_numpy()[chosen])[0]
    return values


def _by_corpus(table: ScoreTable) -> dict[str, float]:
    """EER on each corpus of a combined one, `eer_on/NAME`, where both classes are there."""
    if "corpus" not in table.table:
        return {}
    values = {}
    for name, rows in table.table.groupby("corpus", sort=True):
        part = ScoreTable(rows)
        if len(part.bonafide) and len(part.spoof):
            values[attack_key(str(name)).replace("eer/", "eer_on/")] = eer(part.bonafide, part.spoof)[0]
    return values if len(values) > 1 else {}


def wrong_way(dev: ScoreTable) -> str:
    """A warning when dev is ranked the wrong way round beyond chance."""
    if not backwards(dev.bonafide, dev.spoof):
        return ""
    return (
        f"The AUC on dev is {auc(dev.bonafide, dev.spoof):.3f}, well below 0.5: the detector ranks dev the wrong way "
        "round. Check that the labels of train and dev mean the same, and that both come from like recordings. The "
        "scores are kept as they are."
    )


def _write_figures(
    run: TrackedRun,
    dev: ScoreTable,
    evaluation: ScoreTable,
    threshold: float,
    keeper: RunCheckpoint,
    metrics: dict[str, float],
    seen: set[str],
    note: str,
) -> None:
    tables = {"dev": dev, "eval": evaluation}
    figures: dict[str, Figure] = {
        "det": plots.det(tables, note=note),
        "roc": plots.roc(tables, note=note),
        "histogram_eval": plots.histogram(evaluation, threshold, note=note),
        "confusion_eval": plots.confusion(evaluation, threshold, note=note),
        "curves": plots.curves(keeper.history, keeper.best_epoch, note=note),
        "performance": plots.bars(
            {s: {m: metrics[f"{s}/{m}"] for m in ("auc", "accuracy", "eer")} for s in tables}, note=note
        ),
    }
    if len(evaluation.attacks()) > 1:
        figures["attacks_eval"] = plots.bars_per_attack(evaluation, seen, note=note)
    folder = run.artifacts / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=110)


def _cell(value: float | None, percent: bool) -> str:
    if value is None:
        return ""
    return f"{100 * value:.2f} %" if percent else f"{value:.4f}"
