"""The tables of a report, as heads and rows of text; Markdown, HTML and the terminal show the same."""

from __future__ import annotations

from typing import Any

from dfx.audit.models import CEPSTRA
from dfx.reporting.document import Table
from dfx.tables.findings import MAX_EXAMPLES

Report = dict[str, Any]

SHARES = ("zeros", "clipped", "dc", "relative_bandwidth")  # shown in percent


def all_of(report: Report) -> list[Table]:
    """Every table that has rows."""
    made = (models(report), scalars(report), leaks(report), counts(report), files(report))
    return [table for table in made if table.rows]


def counts(report: Report) -> Table:
    """Clips by split and class."""
    head = ["split", "class", "clips", "usable", "hours", "attacks", "speakers"]
    rows = [
        [
            row["split"],
            row["class"],
            f"{row['clips']:,}",
            f"{row['usable']:,}",
            f"{row['hours']:.2f}",
            f"{row['attacks']:,}" if row["class"] == "spoof" else "",
            f"{row['speakers']:,}" if row["speakers"] else "not named",
        ]
        for row in report["counts"]
    ]
    return Table("What is in it", head, rows, words=("class",))


def models(report: Report) -> Table:
    """What models that never listen reach."""
    places = list(dict.fromkeys(place for row in report["models"] for place in row["places"]))
    rows = [
        [f"{row['name']} (listens; for scale)" if row["name"] == CEPSTRA else row["name"]]
        + [_with_interval(row["places"].get(place)) for place in places]
        + [_percent((row["places"].get("eval") or {}).get("eer"))]
        for row in report["models"]
    ]
    note = (
        "AUC with its 95 % interval, learned from train: gradient boosting of the scalars; the LFCC statistics (mean "
        "and deviation of 20 cepstra at 16 kHz, logistic regression) do listen and are there for scale. Basic scalars: "
        "duration, sample rate, bandwidth, silences, loudness, peak, noise floor, exact zeros. Intervals take clips as "
        "independent: where they share speakers or sentences the true ones are wider."
    )
    return Table("Without listening: models", ["learned from", *places, "EER on eval"], rows, note)


def scalars(report: Report) -> Table:
    """What each scalar alone gives away, the most telling first."""
    places = list(dict.fromkeys(place for row in report["scalars"] for place in row["from_train"]))
    rows = [
        [
            row["title"],
            f"{row['strength']:.2f}",
            _ends(row),
            row["higher_in"] or "" if row["name"] != "format" else "",
            _mean(row, "bonafide"),
            _mean(row, "spoof"),
            *(_auc(row["from_train"].get(place)) for place in places),
        ]
        for row in report["scalars"]
        if row["strength"] is not None and not is_constant(row)
    ]
    same = [row["title"] for row in report["scalars"] if is_constant(row)]
    head = ["number", "AUC", "95 %", "higher in", "bona fide", "spoof", *places]
    note = (
        "AUC on the whole corpus, whichever way it points: .5 tells nothing, 1 everything. Bona fide, spoof: means. "
        f"{', '.join(places) or 'eval'}: AUC in the direction that train has; below .5 it misleads there. Silence is "
        "what is 40 dB under the loudest 10 ms, the noise floor the 5th percentile of 10 ms frames."
    ) + (f" The same in all clips: {', '.join(same)}." if same else "")
    return Table("Without listening: one number alone", head, rows, note, ("higher in",))


def leaks(report: Report) -> Table:
    """What stands on both sides of a split."""
    rows = [
        [
            row["kind"],
            f"{row['first']} → {row['second']}",
            f"{row['values']:,}",
            f"{row['clips']:,} of {row['of']:,}",
            f"{row['share']:.1%}" if 0 < row["share"] < 0.1 else f"{row['share']:.0%}",
        ]
        for row in report["leaks"]
    ]
    note = "Clips of the second split whose speaker, utterance, … the first has too; attacks: of its spoof clips."
    head = ["", "splits", "in both", "clips", "share"]
    return Table("On both sides of a split", head, rows, note, ("splits",))


def files(report: Report) -> Table:
    """What the files are."""
    words = {"sample_rate": "sample rate (Hz)", "format": "format", "channels": "channels", "bits": "bits"}
    rows = []
    for name, word in words.items():
        for row in report["files"].get(name, []):
            value = "lossy" if name == "bits" and row["value"] == "0" else row["value"]
            rows.append([word, value, f"{row['bonafide']:,}", f"{row['spoof']:,}"])
            word = ""
    return Table("The files", ["", "value", "bona fide", "spoof"], rows, words=("value",))


def is_constant(row: dict[str, Any]) -> bool:
    """Whether a scalar has one value in all clips."""
    return bool(row["strength"] == 0.5 and row["low"] == row["high"])


def findings(report: Report) -> list[dict[str, str]]:
    """Each finding as `severity`, `title`, `wrong` (what is wrong), `examples` and `advice` (what to do)."""
    made = []
    for found in report["findings"]:
        wrong, _, advice = found["text"].partition(" What to do: ")
        shown = [name for name in found["examples"] if repr(name) not in wrong]
        rest = ", ..." if len(shown) == MAX_EXAMPLES and found["count"] > len(shown) else ""
        made.append(
            {
                "severity": found["severity"],
                "title": _title(found["kind"]),
                "wrong": wrong,
                "examples": ", ".join(shown) + rest,
                "advice": advice[:1].upper() + advice[1:],
            }
        )
    return made


def _title(kind: str) -> str:
    """A kind of finding for people: "leaked-speaker" is "Leaked: speaker"."""
    for start in ("leaked", "shortcut"):
        if kind.startswith(f"{start}-"):
            kind = f"{start}: {kind.removeprefix(start)[1:]}"
    words = kind.replace("-", " ")
    return (
        (words[:1].upper() + words[1:])
        .replace("Dc ", "DC ")
        .replace("Nan ", "NaN ")
        .replace("Apple d", "AppleD")
    )


def _with_interval(cell: dict[str, float] | None) -> str:
    return f"{cell['auc']:.2f} ({cell['low']:.2f}–{cell['high']:.2f})" if cell else ""


def _auc(value: float | None) -> str:
    return f"{value:.2f}" if value is not None else ""


def _percent(rate: float | None) -> str:
    return f"{rate:.1%}" if rate is not None else ""


def _ends(row: dict[str, Any]) -> str:
    low, high = sorted(end if row["auc"] >= 0.5 else 1 - end for end in (row["low"], row["high"]))
    return f"{low:.2f}–{high:.2f}"


def _mean(row: dict[str, Any], word: str) -> str:
    if not row[word] or row[word]["mean"] is None:
        return ""
    value = row[word]["mean"]
    if row["name"].startswith("multiple_"):
        return f"{value:.0%}"
    if row["name"] in SHARES:
        return f"{100 * value:.2g}%"
    if row["family"] == "silence":
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
