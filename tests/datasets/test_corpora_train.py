"""A detector is trained on replicas of corpora of each kind, by the command's own function, in one process."""

import numpy as np
import pytest

from dfx import audio
from dfx.train import train
from replicas import NUM_SPEAKERS
from setups import composed, runs_of

pytestmark = pytest.mark.slow
SMALL = [
    *("model=mlp", "segment_seconds=0.3", "trainer=smoke", "trainer.enable_progress_bar=false"),
    "experiment_name=replicas",
]


@pytest.fixture(scope="module", autouse=True)
def _at_home(home, undrawn_figures):
    """Runs are tracked in a folder of their own."""


def run(*overrides):
    """Metrics of a training."""
    train(composed(*SMALL, *overrides))
    last = runs_of("replicas")[0]
    assert last.info.status == "FINISHED"
    return last.data.metrics


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("dacon_voice", []),
        ("deep_voice", []),
        ("deep_voice_table", ["feature=table", "segment_seconds=26"]),
        ("fakeavceleb", []),
    ],
)
def test_a_detector_is_trained_on(name, overrides, replica):
    metrics = run(f"dataset={name}", f"dataset.root={replica(name)}", *overrides)
    assert 0 <= metrics["eval/eer"] <= 1
    assert metrics["eval/num_bonafide"] >= 1


def test_the_official_protocol_of_2021_is_a_combination(replica):
    roots = (f"{name}:{{root:'{replica(name)}'}}" for name in ("asvspoof2019_la", "asvspoof2021_df"))
    splits = [f"dataset.{split}=[asvspoof2019_la]" for split in ("train", "dev")]
    given = ["dataset=combined", *splits, "dataset.eval=[asvspoof2021_df]", f"dataset.corpora={{{','.join(roots)}}}"]
    metrics = run(*given, "data.limit_utterances=null")
    assert metrics["eval/num_bonafide"] == 2 * NUM_SPEAKERS
    assert metrics["dev/num_bonafide"] == 6


def test_a_detector_is_trained_on_vocoded_twins(home):
    generator = np.random.default_rng(0)
    for number in range(18):
        waveform = 0.1 * generator.standard_normal(16_000).cumsum() / 40
        audio.write_audio(home / "voices" / f"s{number % 6}" / f"{number}.wav", waveform, 16_000)
    metrics = run("dataset=vocoded", f"dataset.bonafide={home}/voices", "dataset.vocoders=[lpc,mu_law_8bit]")
    assert 0 <= metrics["eval/eer"] <= 1
    assert metrics["eval/num_bonafide"] >= 1
    assert metrics["eval/num_spoof"] >= 1
