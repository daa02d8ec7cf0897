"""Metrics: what a detector is worth, from the scores of its bona fide and its spoof trials.

Every function takes `(bonafide_scores, spoof_scores)`, so that no label can swap the polarity; a higher score
means more bona fide. Rates are in [0, 1]. All of them but `auc` and `accuracy` are costs: lower is better.
"""

from dfx.metrics.cllr import cllr
from dfx.metrics.dcf import act_dcf, min_dcf
from dfx.metrics.det import accuracy, auc, det_curve, eer, interpolated_eer
from dfx.metrics.summary import attack_key, attack_name, summary

__all__ = [
    "accuracy",
    "act_dcf",
    "attack_key",
    "attack_name",
    "auc",
    "cllr",
    "det_curve",
    "eer",
    "interpolated_eer",
    "min_dcf",
    "summary",
]
