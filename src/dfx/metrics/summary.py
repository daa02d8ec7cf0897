"""All metrics of a score table, with the names that they have in MLflow."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

import numpy as np

from dfx.metrics.accuracy import accuracy, balanced_accuracy, f1
from dfx.metrics.auc import auc
from dfx.metrics.calibration import brier, ece
from dfx.metrics.cllr import cllr, min_cllr
from dfx.metrics.dcf import act_dcf, min_dcf
from dfx.metrics.eer import eer, interpolated_eer
from dfx.tables.score_table import ScoreTable

# MLflow allows letters (of any script), digits and "_-. :/" in a metric name and uses it as a path. The colon is the
# escape character here, a slash would make a folder, and a name of dots alone would leave the folder.
_UNSAFE = re.compile(r"[^\w. -]|^\.+$")
_MOST_BYTES = 200  # of a name: as a path it may have 255, and other words stand beside it

NEED_LLR = ("act_dcf", "cllr", "ece", "brier")  # metrics that read a score as a log-likelihood ratio


def summary(table: ScoreTable, threshold: float | None = None) -> dict[str, float]:
    """Compute all metrics of a score table, by name: `eer`, `auc`, `min_dcf`, `eer/A07`, ….

    `threshold` is the threshold of this EER.

    With a `threshold` (that of dev's EER) `accuracy`, `balanced_accuracy` and `f1` are included; there is no accuracy
    without a decision. The EER of each attack, against all bona fide trials, has the name `attack_key`; spoof trials
    whose attack is unknown (`-`) count in the other metrics only. The metrics in `NEED_LLR` are meaningful for
    log-likelihood ratios only: leave them out for other scores.

    Raises:
        ValueError: if the table has no bona fide or no spoof trial.
    """
    # Each metric sorts its scores, and NumPy's stable sort is fast on sorted parts.
    bonafide, spoof = np.sort(table.bonafide), np.sort(table.spoof)
    equal, own_threshold = eer(bonafide, spoof)
    metrics = {
        "eer": equal,
        "eer_interpolated": interpolated_eer(bonafide, spoof),
        "threshold": own_threshold,
        "auc": auc(bonafide, spoof),
        "min_dcf": min_dcf(bonafide, spoof),
        "act_dcf": act_dcf(bonafide, spoof),
        "cllr": cllr(bonafide, spoof),
        "min_cllr": min_cllr(bonafide, spoof),
        "ece": ece(bonafide, spoof),
        "brier": brier(bonafide, spoof),
    }
    if threshold is not None:
        for metric in (accuracy, balanced_accuracy, f1):
            metrics[metric.__name__] = metric(bonafide, spoof, threshold)
    for attack, scores in table.attacks().items():
        metrics[attack_key(attack)] = eer(bonafide, scores)[0]
    return metrics


def mlflow_name(name: str) -> str:
    """Escape the characters that MLflow does not allow in the name of a metric.

    Other characters than letters, digits, space, `_`, `.` and `-` become a colon and the hexadecimal code of each of
    their UTF-8 bytes; a long name is cut, and ends with its hash. So different names stay different.

    >>> mlflow_name("tacotron2+melgan")
    'tacotron2:2Bmelgan'
    """
    escaped = _UNSAFE.sub(lambda found: "".join(f":{byte:02X}" for byte in found[0].encode()), name)
    if len(escaped.encode()) <= _MOST_BYTES:
        return escaped
    kept = escaped.encode()[: _MOST_BYTES - 13].decode(errors="ignore")
    return f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def attack_key(attack: str) -> str:
    """Make the metric name for the EER of an attack: `eer/A07`."""
    return f"eer/{mlflow_name(attack)}"


def attack_name(key: str) -> str:
    """Convert a metric name to the name of the attack; inverse of `attack_key`, except for long names.

    >>> attack_name("eer/tacotron2:2Bmelgan")
    'tacotron2+melgan'
    """
    return unquote(key.removeprefix("eer/").replace(":", "%"))
