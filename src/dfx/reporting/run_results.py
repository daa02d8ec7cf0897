"""Results of a run: metrics, score files, figures, and a table on the terminal."""

from __future__ import annotations

import json
from typing import Any

from matplotlib.figure import Figure

from dfx import files
from dfx.console import plain_console, say
from dfx.detector.checkpoint import RunCheckpoint
from dfx.detector.datamodule import AudioDataModule
from dfx.detector.detector import Detector
from dfx.detector.latency import latency_ms
from dfx.detector.operating_card import add_card_to_checkpoint, make_operating_card
from dfx.metrics import NEED_LLR, attack_key, attack_name, auc, decision_threshold, eer, scores_are_backwards, summary
from dfx.reporting import figures as plots
from dfx.reporting import metric_names
from dfx.reporting.document import show_document_parts
from dfx.reporting.document_parts import DocumentPart, DocumentText
from dfx.reporting.document_table import DocumentCell, DocumentTable
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.score_table import UNKNOWN_ATTACK, ScoreTable
from dfx.tracking.database import ui_command
from dfx.tracking.run import TrackedRun
from dfx.tracking.ui import shared_view_link

SHOWN = ("eer", "auc", "accuracy", "min_dcf", "act_dcf", "cllr", "eer_seen", "eer_unseen")
MOST_LISTED = 12  # attacks or corpora listed in a line


def write_run_results(
    run: TrackedRun,
    scores: dict[str, ScoreTable],
    data: AudioDataModule,
    keeper: RunCheckpoint,
    detector: Detector,
    note: str,
) -> None:
    """Measure dev and eval, log the metrics, and write all artifacts into the folder of the run.

    Args:
        run: the run.
        scores: tables of the dev split (of the chosen epoch) and the eval split.
        data: the corpus.
        keeper: holds the history and the chosen weights.
        detector: detector with these weights; metrics of `NEED_LLR` are left out if its scores are no log-likelihood
            ratios.
        note: printed on every figure.
    """
    dev, evaluation = scores["dev"], scores["eval"]
    trained = any("train/seconds" in record for record in keeper.history)  # else published weights as they are
    seen = {str(attack) for attack in data.tables["train"]["attack"].unique()} if trained else set()
    threshold = decision_threshold(dev.bonafide, dev.spoof)
    metrics: dict[str, float] = {}
    for split, table in scores.items():
        values = summary(table, threshold) | _by_corpus(table)
        values |= seen_unseen_eer(table, seen) if trained else {}
        values |= {"num_bonafide": float(len(table.bonafide)), "num_spoof": float(len(table.spoof))}
        left_out = () if detector.loss.llr else NEED_LLR
        metrics |= {f"{split}/{name}": value for name, value in values.items() if name not in left_out}
    labels = data.tables["train"]["label"]
    metrics["train/num_bonafide"] = float((labels == BONAFIDE).sum())
    metrics["train/num_spoof"] = float((labels == SPOOF).sum())
    detector.eval()  # Lightning leaves it in train mode, with dropout and masks
    card = make_operating_card(dev, data, detector.score_and_embed, detector.device)  # before it moves to the CPU
    metrics["best_epoch"] = float(keeper.best_epoch)
    metrics["epochs"] = float(len(keeper.history)) if trained else 0.0
    metrics["bad_files"] = float(len(data.store.bad))
    metrics["cost/parameters"] = float(sum(parameter.numel() for parameter in detector.parameters()))
    metrics["cost/train_seconds"] = sum(record.get("train/seconds", 0.0) for record in keeper.history)
    if data.store.sample_rate > 1:  # not a table of ready features
        metrics["cost/latency_ms"] = latency_ms(detector.cpu(), data.crops["eval"].num_samples, data.store.sample_rate)
    run.log_history(keeper.history)  # again, for a run that was killed between the last epoch and its curves
    run.log_metrics(metrics)
    warning = wrong_way_warning(dev)
    if warning:
        run.warn(warning)
        say(f"Warning: {warning}")

    folder = run.artifacts
    for split, table in scores.items():
        with files.atomic_write(folder / "scores" / f"{split}.csv") as path:
            table.write(path)
        with files.atomic_write(folder / "scores" / f"{split}.txt") as path:
            table.write_plain(path)
    files.write_text_file(folder / "history.json", json.dumps(keeper.history, indent=1) + "\n")
    files.write_text_file(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    if len(data.store.bad):
        with files.atomic_write(folder / "bad_files.csv") as path:  # file names need not be UTF-8
            data.store.bad.to_csv(path, index=False, errors="backslashreplace")
    (folder / "checkpoint").mkdir(exist_ok=True)
    add_card_to_checkpoint(keeper.best, card, folder / "checkpoint" / "best.ckpt")
    shown = ("auc", "accuracy", "eer")
    figures: dict[str, Figure] = {
        "det": plots.det_error_curves(scores, note=note),
        "roc": plots.roc_error_curves(scores, note=note),
        "histogram_eval": plots.histogram(evaluation, threshold, note=note),
        "confusion_eval": plots.confusion_heat_map(evaluation, threshold, note=note),
        "curves": plots.training_curves(keeper.history, keeper.best_epoch, note=note),
        "performance": plots.bars({s: {m: metrics[f"{s}/{m}"] for m in shown} for s in scores}, note=note),
    }
    if len(evaluation.attacks()) > 1:
        figures["attacks_eval"] = plots.bars_per_attack(evaluation, seen, note=note)
    for name, figure in figures.items():
        with files.atomic_write(folder / "figures" / f"{name}.png") as path:
            path.write_bytes(plots.figure_png(figure))


def show_run_results(run: TrackedRun, note: str, to_beat: dict[str, Any] | None = None) -> float:
    """Print the results of a run and the location of its files; return the dev EER.

    Args:
        run: the run.
        note: printed with it.
        to_beat: what the audit of the corpus found (`audits.audited_auc`).
    """
    metrics = run.metrics
    title = f"{run.name}{': finished before; rerun=true runs it again' if run.finished else ''}"
    parts: list[DocumentPart] = [DocumentTable(title, ["", "dev", "eval", ""], _rows(metrics), words=("",))]
    for kind, prefix in (("corpus", "eval/eer_on/"), ("attack", "eval/eer/")):
        values = {attack_name(k.removeprefix(prefix)): v for k, v in metrics.items() if k.startswith(prefix)}
        worst = [f"{name} {100 * value:.1f}" for name, value in sorted(values.items(), key=lambda one: -one[1])]
        if worst:
            more = ", …" if len(worst) > MOST_LISTED else ""
            parts.append(DocumentText(f"eval EER by {kind}, %: {', '.join(worst[:MOST_LISTED])}{more}"))
    if to_beat:
        sides = "above" if metrics["eval/auc"] > to_beat["high"] else "not above"
        reached = f"This run: AUC {metrics['eval/auc']:.2f}, {sides} that interval."
        parts.append(DocumentText(f"{to_beat['text']} {reached}", "note"))
    if note:
        parts.append(DocumentText(f"{note[0].upper()}{note[1:]}", "warning"))
    if "epochs" in metrics:
        best, last = f"{metrics['best_epoch']:.0f}", f"{metrics['epochs'] - 1:.0f}"
        chosen = f"dev chose epoch {best} of 0-{last}; one seed: report several."
        untrained = "Not trained here: published weights as they are; threshold and calibration are from dev."
        parts.append(DocumentText(chosen if metrics["epochs"] else untrained))
    parts += [DocumentText(f"artifacts  {run.artifact_uri}"), DocumentText(f"compare    {ui_command()}")]
    if not run.server.reason:  # the link is asked of the server
        parts.append(DocumentText(f"view       {shared_view_link(run.run_id)}"))
    show_document_parts(parts)
    return metrics["dev/eer"]


def show_run_results_line(run: TrackedRun) -> float:
    """Print the results of one sweep cell on one line; return the dev EER."""
    rates = ", ".join(f"{split} EER {100 * run.metrics[f'{split}/eer']:.1f} %" for split in ("dev", "eval"))
    before = ", finished before" if run.finished else ""
    plain_console().print(f"{run.name}: {rates}{before}", soft_wrap=True)
    return run.metrics["dev/eer"]


def _rows(metrics: dict[str, float]) -> list[list[str | DocumentCell]]:
    """Make a table row for each metric of the run: name, dev, eval, meaning."""
    rows: list[list[str | DocumentCell]] = []
    for name in SHOWN:
        cells = [metric_names.metric_with_unit(metrics.get(f"{split}/{name}"), name) for split in ("dev", "eval")]
        if any(cells):
            metric = metric_names.find_metric(name)
            rows.append([metric.title, *cells, DocumentCell("", metric.meaning)])
    if "dev/num_spoof" in metrics:
        counts = [f"{metrics[f'{s}/num_bonafide']:.0f} + {metrics[f'{s}/num_spoof']:.0f}" for s in ("dev", "eval")]
        rows.append(["trials", *counts, DocumentCell("", "bona fide + spoof")])
    return rows


def seen_unseen_eer(table: ScoreTable, seen: set[str]) -> dict[str, float]:
    """Compute the EER of attacks in train and the EER of attacks not in train; unknown attacks are in neither."""
    values = {}
    attack = table.table["attack"]
    known = attack.isin(seen).to_numpy()
    spoof = ((table.table["label"] == SPOOF) & (attack != UNKNOWN_ATTACK)).to_numpy()
    for name, chosen in (("eer_seen", known & spoof), ("eer_unseen", ~known & spoof)):
        if chosen.any():
            values[name] = eer(table.bonafide, table.table["score"].to_numpy()[chosen])[0]
    return values


def _by_corpus(table: ScoreTable) -> dict[str, float]:
    """Compute the EER on each part of a combined corpus that has both classes, as metrics `eer_on/NAME`."""
    if "corpus" not in table.table:
        return {}
    values = {}
    for name, rows in table.table.groupby("corpus", sort=True):
        part = ScoreTable(rows)
        if len(part.bonafide) and len(part.spoof):
            values[attack_key(str(name)).replace("eer/", "eer_on/")] = eer(part.bonafide, part.spoof)[0]
    return values if len(values) > 1 else {}


def wrong_way_warning(dev: ScoreTable) -> str:
    """Return a warning if bona fide scores on dev are significantly lower than spoof scores; else ""."""
    if not scores_are_backwards(dev.bonafide, dev.spoof):
        return ""
    return (
        f"The AUC on dev is {auc(dev.bonafide, dev.spoof):.3f}, well below 0.5: the detector ranks dev the wrong way "
        "round. Check that the labels of train and dev mean the same, and that both come from like recordings. The "
        "scores are kept as they are."
    )
