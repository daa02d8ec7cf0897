"""The audit against one done by hand, the tables in `shared/data/README.md`; AUC of "a higher value is spoof"."""

from pathlib import Path

import pytest
from omegaconf import DictConfig

from dfx.audit.corpus_audit import audit_corpus
from dfx.datasets import ManifestFile

SPEECH = Path(__file__).parents[2].parent / "shared" / "data" / "speech" / "metadata.csv"
BY_HAND = {
    **{"duration": 0.52, "sample_rate": 0.64, "bandwidth": 0.65, "leading_silence": 0.51, "trailing_silence": 0.53},
    **{"loudness": 0.54, "peak": 0.51, "noise_floor": 0.51, "zeros": 0.47, "multiple_256": 0.71},
}
MODELS = {  # dev, eval
    "sample rate alone": (0.68, 0.66),
    "duration, silences, loudness, peak": (0.60, 0.63),
    "basic scalars": (0.71, 0.70),
    "basic scalars, multiple of 256": (0.82, 0.75),
    "LFCC statistics": (0.85, 0.74),
}


def settings(cache):
    return DictConfig({"sample_rate": 16000, "seed": 0, "cache": cache, "num_workers": None, "limits": {}})


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    if not SPEECH.exists():
        pytest.skip("there is no real speech here")
    cache = tmp_path_factory.mktemp("cache")
    return audit_corpus(settings(cache), ManifestFile(str(SPEECH)), {}, progress=False).results


@pytest.mark.slow
def test_scalars_are_those_found_by_hand(speech):
    rows = {row["name"]: row["auc"] for row in speech["scalars"]}
    assert {name: rows[name] for name in BY_HAND} == pytest.approx(BY_HAND, abs=0.02)


@pytest.mark.slow
def test_models_reach_what_was_reached_by_hand(speech):
    rows = {row["name"]: row["places"] for row in speech["models"]}
    for name, (dev, evaluation) in MODELS.items():
        assert rows[name]["dev"]["auc"] == pytest.approx(dev, abs=0.03), name
        assert rows[name]["eval"]["auc"] == pytest.approx(evaluation, abs=0.03), name


@pytest.mark.slow
def test_leaks_are_those_found_by_hand(speech):
    shared = {(row["kind"], row["first"], row["second"]): row for row in speech["leaks"]}
    assert shared["speaker", "train", "eval"]["values"] == 44
    assert shared["utterance", "train", "eval"]["values"] == 0
    assert shared["attack", "train", "eval"]["clips"] == 293 - 150
