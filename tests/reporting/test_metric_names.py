import math

import pytest

from dfx.metrics import ConfidenceInterval
from dfx.reporting import metric_names


def test_a_metric_is_found_with_and_without_its_split():
    for name in ("eer", "eval/eer", "eval/eer/A07"):
        assert metric_names.find_metric(name) is metric_names.METRICS["eer"]
    assert metric_names.metric_heading("eval/eer/tacotron2:2Bmelgan") == "EER of tacotron2+melgan on eval (%)"
    assert metric_names.metric_title("eval/eer/A07") == "EER of A07 on eval"
    assert metric_names.metric_heading("dev/auc") == "AUC on dev"
    assert metric_names.metric_heading("eer") == "EER (%)"
    assert metric_names.metric_direction("eval/eer_on/demo") == "lower is better"
    with pytest.raises(ValueError, match="Whether a higher eval/cllr_x is better is not known"):
        metric_names.find_metric("eval/cllr_x")
    with pytest.raises(ValueError, match="Whether a higher dev_threshold is better is not known"):
        metric_names.higher_is_better("dev_threshold")


def test_numbers_are_shown_as_their_metric_says():
    assert metric_names.metric_number(0.05061, "eval/eer") == "5.06"
    assert metric_names.metric_number(0.05061, "eval/eer", "+") == "+5.06"
    assert metric_names.metric_number(0.5, "cllr") == "0.5000"
    assert metric_names.metric_number(math.nan, "auc") == "–"
    assert metric_names.metric_number(871_000, "cost/parameters") == "871,000"
    assert metric_names.metric_number(1.234, "cost/latency_ms") == "1.2"
    assert metric_names.metric_with_unit(0.05061, "accuracy") == "5.06 %"
    assert metric_names.metric_with_unit(None, "auc") == ""
    assert metric_names.metric_spread(0.1234, 0.012, "eval/eer") == "12.34 ± 1.20"
    assert metric_names.metric_spread(0.1234, math.nan, "eval/eer") == "12.34"
    assert metric_names.metric_interval(ConfidenceInterval(0.1, 0.2), "eval/eer") == "[10.00, 20.00]"
    assert (
        metric_names.metric_interval(None, "eer")
        == metric_names.metric_interval(ConfidenceInterval(math.nan, 1.0), "eer")
        == ""
    )
