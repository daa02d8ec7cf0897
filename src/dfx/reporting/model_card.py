"""Model card of a registered detector: results, data, known confounds, decision, range of its input, origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from dfx import datasets, metrics
from dfx.detector.input_statistics import TITLES, UNITS
from dfx.detector.operating_card import OperatingCard
from dfx.detector.scoring import SavedDetector
from dfx.metrics import ConfidenceInterval
from dfx.reporting.document import Document
from dfx.reporting.document_parts import DocumentFindings, DocumentNotice, DocumentPart, DocumentText
from dfx.reporting.document_table import DocumentCell, DocumentTable
from dfx.reporting.metric_names import find_metric, metric_interval, metric_with_unit
from dfx.tables.labels import BONAFIDE
from dfx.tables.score_table import ScoreTable
from dfx.tracking.runs import RunRecord

SHOWN = ("eer", "auc", "min_dcf", "act_dcf", "cllr")
WITHOUT_LLR = ("eer", "auc", "min_dcf")
SEEN = ("eer_seen", "eer_unseen")
FEW_TRIALS = 100_000  # more are not resampled, which would take minutes
NOT_STATED = "not stated"
UNKNOWN = ("-", "")  # speakers


def model_card(
    run: RunRecord, detector: SavedDetector, audit: Mapping[str, Any] | None, licence: str, program: str
) -> Document:
    """Make the model card of the detector of a run.

    Args:
        run: the finished run.
        detector: its detector.
        audit: what an audit of its corpus found (`audits.latest_audit`); None if none is known.
        licence: of the weights; empty if it is not stated.
        program: what the model holds beside the checkpoint, in a sentence.
    """
    config: Any = OmegaConf.to_container(OmegaConf.load(detector.run_config)) if detector.run_config else {}
    corpus = config.get("dataset") or {}
    tables = {
        split: ScoreTable.read(file)
        for split, file in (("dev", detector.dev_scores), ("eval", detector.eval_scores))
        if file is not None
    }
    tags = run.tags
    about = (
        f"Detector of fake speech: feature {tags.get('feature')}, model {tags.get('model')}, loss "
        f"{tags.get('loss', NOT_STATED)}, seed {tags.get('seed')}, trained with dfx on {detector.trained_on}. It takes "
        f"clips of any format, and looks at segments of {detector.segment_seconds:g} s at {detector.sample_rate} Hz. "
        "A higher score means more bona fide (genuine). " + program
    )
    parts: list[DocumentPart] = [
        DocumentText(about),
        DocumentFindings(list(_limits(run, detector, audit, corpus))),
        _results(run, detector, tables),
        _data(run, corpus, tables),
        _origin(run, detector, licence),
        *_decision(detector.card),
        *_by_attack(tables.get("eval")),
    ]
    return Document("model card", f"Model card: {run.name}", parts)


def _limits(
    run: RunRecord, detector: SavedDetector, audit: Mapping[str, Any] | None, corpus: Mapping[str, Any]
) -> Iterator[DocumentNotice]:
    name = str(corpus.get("_target_")).rpartition(".")[2]
    if note := getattr(vars(datasets).get(name), "note", ""):
        yield DocumentNotice(f"{note[0].upper()}{note[1:]}.", "warning", "Not for use")
    if warning := run.tags.get("warning"):
        yield DocumentNotice(warning, "warning", "Warning of the run")
    if detector.card is not None and detector.card.tells_nothing:
        yield DocumentNotice("It cannot be told from chance on its own dev split.", "error", "Its answers mean nothing")
    if audit is None:
        yield DocumentNotice(
            "The corpus was not audited on this machine: whether length, level, silence or format give the class away "
            "is not known.",
            "warning",
            "Confounds",
            "python -m dfx.audit, and register again",
        )
    else:
        yield DocumentNotice(str(audit["headline"].get("text", "")), "note", "To beat without listening")
        for found in audit["findings"]:
            if found.get("severity") in ("error", "warning"):
                yield DocumentNotice(str(found.get("text", "")), str(found["severity"]), str(found.get("kind", "")))
    yield DocumentNotice(
        "All numbers are of one corpus and one seed. Other generators, codecs, microphones and languages give other "
        "error rates: measure your own recordings (python -m dfx.evaluate) before you rely on an answer.",
        "note",
        "Limits",
    )


def _results(run: RunRecord, detector: SavedDetector, tables: Mapping[str, ScoreTable]) -> DocumentTable:
    names = SHOWN if detector.llr else WITHOUT_LLR
    intervals = {split: _intervals(table, names) for split, table in tables.items()}
    rows: list[list[str | DocumentCell]] = []
    for name in (*names, *SEEN):
        cells = [
            DocumentCell(
                metric_with_unit(run.metrics.get(f"{split}/{name}"), name),
                metric_interval(intervals.get(split, {}).get(name), name),
            )
            for split in ("dev", "eval")
        ]
        if any(cell.text for cell in cells):
            rows.append([find_metric(name).title, *cells, find_metric(name).meaning])
    return DocumentTable(
        "Results",
        ["", "dev", "eval", "meaning"],
        rows,
        "95 % bootstrap intervals, for up to 100,000 trials; whole speakers are drawn where they are known. dev chose "
        "weights and threshold.",
        ("meaning",),
    )


def _intervals(table: ScoreTable, names: Sequence[str]) -> dict[str, ConfidenceInterval]:
    if len(table) > FEW_TRIALS:
        return {}
    try:
        return metrics.bootstrap_intervals(table, names, cluster=metrics.cluster_column(table))
    except ValueError:  # too few trials of a class
        return {}


def _by_attack(table: ScoreTable | None) -> Iterator[DocumentTable]:
    attacks = table.attacks() if table is not None else []
    if table is None or len(attacks) < 2:
        return
    rows = []
    for attack in attacks:
        frame = table.table
        part = ScoreTable(frame[(frame["label"] == BONAFIDE) | (frame["attack"] == attack)])
        value = metrics.eer(part.bonafide, part.spoof)[0]
        interval = metric_interval(_intervals(part, ("eer",)).get("eer"), "eer")
        rows.append((value, [str(attack), metric_with_unit(value, "eer"), interval, f"{len(part.spoof):,}"]))
    ordered = [row for _, row in sorted(rows, key=lambda one: -one[0])]
    yield DocumentTable("EER on eval by attack", ["attack", "EER", "95 %", "trials"], ordered)


def _data(run: RunRecord, corpus: Mapping[str, Any], tables: Mapping[str, ScoreTable]) -> DocumentTable:
    rows = []
    for split in ("train", "dev", "eval"):
        counts = [run.metrics.get(f"{split}/num_{label}") for label in ("bonafide", "spoof")]
        table = tables.get(split)
        known = table.table["speaker"] if table is not None and "speaker" in table.table else pd.Series(dtype=str)
        speakers = known[~known.isin(UNKNOWN)].nunique()
        rows.append([split, *("" if n is None else f"{n:,.0f}" for n in counts), f"{speakers:,}" if speakers else ""])
    facts = corpus.get("facts") or {}
    stated = [f"{key} {facts[key]}" for key in ("licence", "page", "citation") if facts.get(key)]
    note = f"{run.tags.get('dataset')}, hash of the manifest {run.tags.get('manifest_hash', '')[:16]}; " + (
        f"data: {'; '.join(stated)}" if stated else "licence of the data not stated"
    )
    bad = run.metrics.get("bad_files", 0)
    note += f"; {bad:.0f} files that cannot be read were left out." if bad else "."
    return DocumentTable("Data", ["split", "bona fide", "spoof", "speakers"], rows, note)


def _decision(card: OperatingCard | None) -> Iterator[DocumentTable]:
    if card is None:
        return
    low, high = card.unsure_band(card.threshold)
    calibration = "none" if card.slope is None else f"llr = {card.slope:.4g} · score {card.intercept:+.4g}"
    rows = [
        ["threshold of the score (EER on dev)", f"{card.threshold:.4g}"],
        ["UNSURE between", f"{low:.4g} and {high:.4g}"],
        ["calibration", calibration],
    ]
    yield DocumentTable("Decision", ["", "value"], rows)
    if card.reference is None:
        return
    rows = [
        [TITLES[name], *(f"{value:.4g}" for value in values), UNITS[name]]
        for name, values in card.reference.ranges.items()
    ]
    note = "A clip further out than 95 % of the dev clips is unlike them, and the answer is UNSURE."
    yield DocumentTable("Input in dev", ["measure", "2.5 %", "median", "97.5 %", "unit"], rows, note, ("unit",))


def _origin(run: RunRecord, detector: SavedDetector, licence: str) -> DocumentTable:
    tags = run.tags
    commit = tags.get("git_commit", NOT_STATED)
    rows = [
        ["licence of the weights", licence or NOT_STATED],
        ["run", run.run_id],
        ["hash of the configuration", tags.get("config_hash", NOT_STATED)],
        ["hash of the manifest", tags.get("manifest_hash", NOT_STATED)],
        ["SHA-256 of the checkpoint", detector.digest],
        ["code", commit + (" with changes" if tags.get("git_dirty") == "true" else "")],
    ]
    if "init_sha256" in tags:
        place = run.params.get("init") or run.params.get("model.checkpoint", "")
        origin = f"{tags.get('init_name')}, {place}, SHA-256 {tags['init_sha256']}"
        rows.append(["weights began as", origin])
    return DocumentTable("Origin", ["", "value"], rows, "", ("value",))
