"""Metrics of a detector, from the scores of its bona fide and its spoof trials.

Every function of one detector takes `(bonafide_scores, spoof_scores)`, so that no label can swap the polarity; a
higher score means more bona fide. Rates are in [0, 1]. All of them but `auc`, `accuracy`, `balanced_accuracy` and `f1`
are costs: lower is better. `intervals`, `eer_difference` and `delong` tell how far chance alone would move them.
"""

from dfx.metrics.accuracy import accuracy, balanced_accuracy, f1
from dfx.metrics.auc import auc, delong_deviation, placements
from dfx.metrics.bootstrap import Interval, cluster_column, intervals
from dfx.metrics.calibration import BINS, bin_of, brier, calibrate, ece, posterior
from dfx.metrics.cllr import cllr, min_cllr
from dfx.metrics.comparison import Difference, PairedEers, delong, eer_difference
from dfx.metrics.dcf import act_dcf, min_dcf
from dfx.metrics.doubts import backwards, doubts
from dfx.metrics.eer import FloatArray, check_scores, det_curve, eer, interpolated_eer
from dfx.metrics.fusion import fuse
from dfx.metrics.s3_score import s3_score
from dfx.metrics.summary import NEED_LLR, attack_key, attack_name, summary
from dfx.metrics.tandem import ASVSPOOF5_RATES, AsvRates, asv_rates, min_adcf, min_tdcf

__all__ = [
    "ASVSPOOF5_RATES",
    "BINS",
    "NEED_LLR",
    "AsvRates",
    "Difference",
    "FloatArray",
    "Interval",
    "PairedEers",
    "accuracy",
    "act_dcf",
    "asv_rates",
    "attack_key",
    "attack_name",
    "auc",
    "backwards",
    "balanced_accuracy",
    "bin_of",
    "brier",
    "calibrate",
    "check_scores",
    "cllr",
    "cluster_column",
    "delong",
    "delong_deviation",
    "det_curve",
    "doubts",
    "ece",
    "eer",
    "eer_difference",
    "f1",
    "fuse",
    "interpolated_eer",
    "intervals",
    "min_adcf",
    "min_cllr",
    "min_dcf",
    "min_tdcf",
    "placements",
    "posterior",
    "s3_score",
    "summary",
]
