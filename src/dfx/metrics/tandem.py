"""t-DCF and a-DCF: costs of spoofing detection together with automatic speaker verification (ASV)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dfx.metrics.dcf import normalised_dcf
from dfx.metrics.eer import check_class, det_curve, eer

# Priors of all evaluation plans since 2019; the costs are 1 for a miss and 10 for any false acceptance.
P_TARGET, P_NONTARGET, P_SPOOF = 0.9405, 0.0095, 0.05
C_MISS, C_FA = 1.0, 10.0
FORMS = ("2019", "revised")


class AsvRates(NamedTuple):
    """Error rates of a speaker verification system at its threshold."""

    p_miss: float  # targets that it rejects
    p_fa: float  # non-targets that it accepts
    p_fa_spoof: float  # spoof trials that it accepts


# Fixed rates of the ASVspoof 5 evaluation package, for use without ASV scores.
ASVSPOOF5_RATES = AsvRates(p_miss=0.01880141010575793, p_fa=0.01881016557566423, p_fa_spoof=0.4607082907604729)


def asv_rates(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> AsvRates:
    """Compute the error rates of a speaker verification system at its EER threshold.

    The EER is that of targets against non-targets.

    Args:
        target: scores of the trials of the claimed speaker.
        nontarget: scores of other speakers.
        spoof: scores of spoof trials.

    Source: ASVspoof 2019, 2021 and 5, `obtain_asv_error_rates`; a score *at* the threshold is accepted there.

    >>> asv_rates([2.0, 3.0], [0.0, 1.0], [0.5, 2.5])
    AsvRates(p_miss=0.0, p_fa=0.5, p_fa_spoof=0.5)
    """
    target, nontarget, spoof = (
        check_class(target, "target"),
        check_class(nontarget, "nontarget"),
        check_class(spoof),
    )
    threshold = eer(target, nontarget)[1]
    rates = np.mean(target < threshold), np.mean(nontarget >= threshold), np.mean(spoof >= threshold)
    return AsvRates(*map(float, rates))


def min_tdcf(bonafide: ArrayLike, spoof: ArrayLike, rates: AsvRates, form: str = "2019") -> float:
    """Compute the minimum t-DCF: normalised tandem cost at the best threshold for these scores.

    Args:
        bonafide: countermeasure scores of the bona fide trials.
        spoof: countermeasure scores of the spoof trials.
        rates: error rates of the verification system, of `asv_rates`; they do not depend on the countermeasure.
        form: "2019", where a perfect countermeasure has 0; or "revised" (ASVspoof 2021 and 5), where it has the cost
            of the verification system alone.

    Raises:
        ValueError: if the verification system is so bad that the cost has no meaning.

    Source: Kinnunen et al., Odyssey 2018 (2019 evaluation plan); Kinnunen et al., TASLP 2020, equations 10 and 11.

    >>> min_tdcf([2.0, 3.0], [0.0, 1.0], AsvRates(0.02, 0.02, 0.5), form="2019")
    0.0
    """
    weights = tdcf_weights(rates, form)
    far, frr, _ = det_curve(bonafide, spoof)
    return float(normalised_dcf(far, frr, *weights).min())


def tdcf_weights(rates: AsvRates, form: str) -> tuple[float, float, float]:
    """Compute the weights and the constant of the t-DCF, as arguments for `normalised_dcf`."""
    of_asv = P_TARGET * C_MISS * rates.p_miss + P_NONTARGET * C_FA * rates.p_fa
    misses, accepted = P_TARGET * C_MISS - of_asv, P_SPOOF * C_FA * rates.p_fa_spoof
    if not (misses > 0 and accepted > 0):
        raise ValueError(
            f"With these error rates of speaker verification a countermeasure cannot lower the cost, got {rates}: it "
            "must accept some spoof, and most targets. Look at the ASV scores and their labels."
        )
    return misses, accepted, {"2019": 0.0, "revised": of_asv}[form]


def min_adcf(
    target: ArrayLike,
    nontarget: ArrayLike,
    spoof: ArrayLike,
    p_nontarget: float = 0.05,
    p_spoof: float = 0.05,
    c_miss: float = 1.0,
    c_fa_nontarget: float = 10.0,
    c_fa_spoof: float = 20.0,
) -> float:
    """Compute the minimum a-DCF: cost of one system for speaker verification and spoofing detection.

    It is normalised, and taken at the best threshold for these scores.

    Args:
        target: scores of bona fide trials of the claimed speaker.
        nontarget: scores of bona fide trials of other speakers.
        spoof: scores of spoof trials.
        p_nontarget: prior probability of another speaker.
        p_spoof: prior probability of spoof; the rest is the prior of the target.
        c_miss: cost of rejecting the target.
        c_fa_nontarget: cost of accepting another speaker.
        c_fa_spoof: cost of accepting spoof.

    Source: Shim et al., Odyssey 2024; ASVspoof 5 evaluation package, track 2, whose priors and costs are the defaults.

    >>> min_adcf([2.0, 3.0], [0.0, 1.0], [0.5, 1.5]), min_adcf([0.0], [1.0], [1.0])
    (0.0, 1.0)
    """
    groups = [check_class(target, "target"), check_class(nontarget, "nontarget"), check_class(spoof)]
    if not (
        p_nontarget > 0 and p_spoof > 0 and p_nontarget + p_spoof < 1 and min(c_miss, c_fa_nontarget, c_fa_spoof) > 0
    ):
        raise ValueError(
            f"An a-DCF needs priors that leave some for the target and positive costs, got p_nontarget={p_nontarget}, "
            f"p_spoof={p_spoof}, c_miss={c_miss}, c_fa_nontarget={c_fa_nontarget}, c_fa_spoof={c_fa_spoof}; ASVspoof 5 "
            "uses .05, .05, 1, 10 and 20."
        )
    scores = np.concatenate(groups)
    kind = np.repeat([0, 1, 2], [group.size for group in groups])[np.argsort(scores, kind="stable")]
    weights = c_miss * (1 - p_nontarget - p_spoof), -c_fa_nontarget * p_nontarget, -c_fa_spoof * p_spoof
    accept_all = -weights[1] - weights[2]
    cost = np.full(scores.size + 1, accept_all)
    for number, (group, weight) in enumerate(zip(groups, weights, strict=True)):
        cost[1:] += weight * np.cumsum(kind == number) / group.size
    return float(np.min(cost) / min(accept_all, weights[0]))
