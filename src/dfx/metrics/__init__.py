"""Metrics of a detector, computed from the scores of bona fide and spoof trials.

Every function of one detector takes `(bonafide_scores, spoof_scores)`, so that no label can swap the polarity; a
higher score means more bona fide. Rates are in [0, 1]. All of them but `auc`, `accuracy`, `balanced_accuracy` and `f1`
are costs: lower is better. `bootstrap_intervals`, `PairedEers` and `delong_auc_difference` tell how far chance
alone would move them.
"""

from dfx.metrics.accuracy import accuracy, balanced_accuracy, f1
from dfx.metrics.auc import auc, auc_placements, delong_auc_deviation
from dfx.metrics.bootstrap import ConfidenceInterval, bootstrap_intervals, cluster_column, drawn_speakers_text
from dfx.metrics.calibration import BINS, brier, calibration_bin, ece, learn_calibration, posterior
from dfx.metrics.cllr import cllr, min_cllr
from dfx.metrics.comparison import Difference, PairedEers, delong_auc_difference
from dfx.metrics.dcf import act_dcf, min_dcf
from dfx.metrics.eer import FloatArray, check_scores, decision_threshold, det_curve, eer, interpolated_eer
from dfx.metrics.fusion import fuse_scores
from dfx.metrics.s3_score import s3_score
from dfx.metrics.summary import NEED_LLR, attack_key, attack_name, mlflow_name, summary
from dfx.metrics.suspicious_scores import scores_are_backwards, scores_tell_nothing, suspicious_scores
from dfx.metrics.tandem import ASVSPOOF5_RATES, AsvRates, asv_rates, min_adcf, min_tdcf
