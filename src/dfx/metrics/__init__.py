"""Metrics: what a detector is worth, from the scores of its bona fide and its spoof trials.

Every function of one detector takes `(bonafide_scores, spoof_scores)`, so that no label can swap the polarity; a
higher score means more bona fide. Rates are in [0, 1]. All of them but `auc`, `accuracy`, `balanced_accuracy` and `f1`
are costs: lower is better. `intervals`, `eer_difference` and `delong` say how far chance alone would move them.
"""

from dfx.metrics.bootstrap import cluster_column, intervals, mean_eer_interval
from dfx.metrics.bounds import Interval
from dfx.metrics.calibration import brier, ece
from dfx.metrics.cllr import cllr, min_cllr
from dfx.metrics.comparison import Difference, delong, eer_difference
from dfx.metrics.dcf import act_dcf, min_dcf
from dfx.metrics.decisions import accuracy, balanced_accuracy, f1
from dfx.metrics.det import auc, det_curve, eer, interpolated_eer
from dfx.metrics.presence import s3_score
from dfx.metrics.summary import NEED_LLR, attack_key, attack_name, summary
from dfx.metrics.tandem import ASVSPOOF5_RATES, AsvRates, asv_rates, min_adcf, min_tdcf

__all__ = [
    "ASVSPOOF5_RATES",
    "NEED_LLR",
    "AsvRates",
    "Difference",
    "Interval",
    "accuracy",
    "act_dcf",
    "asv_rates",
    "attack_key",
    "attack_name",
    "auc",
    "balanced_accuracy",
    "brier",
    "cllr",
    "cluster_column",
    "delong",
    "det_curve",
    "ece",
    "eer",
    "eer_difference",
    "f1",
    "interpolated_eer",
    "intervals",
    "mean_eer_interval",
    "min_adcf",
    "min_cllr",
    "min_dcf",
    "min_tdcf",
    "s3_score",
    "summary",
]
