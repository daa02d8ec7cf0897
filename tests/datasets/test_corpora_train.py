"""A detector is trained on the replica of every corpus, by the command's own function, in one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from mlflow.tracking import MlflowClient
from replicas import NUM_SPEAKERS, REPLICAS, Replica

from dfx import audio
from dfx.config.corpora import expand_corpora
from dfx.config.schema import CONF_DIR, register_schema
from dfx.train import train

pytestmark = pytest.mark.slow
register_schema()
SMALL = [
    *("model=mlp", "segment_seconds=0.3", "trainer=smoke", "trainer.enable_progress_bar=false"),
    "experiment_name=replicas",
]
OVERRIDES = {f"asvspoof2021_{track}": ["dataset.divide=true"] for track in ("la", "df", "pa")} | {
    "deep_voice_table": ["feature=table", "segment_seconds=26"]
}
OFFICIAL = {  # trials -> what detectors for them are trained on
    "asvspoof2021_la": "asvspoof2019_la",
    "asvspoof2021_df": "asvspoof2019_la",
    "asvspoof2021_pa": "asvspoof2019_pa",
}
ONE_CLASS = {"ljspeech"}


@pytest.fixture(scope="module", autouse=True)
def _at_home(home: Path) -> None:
    """Runs are tracked in a folder of their own."""


def run(*overrides: str) -> dict[str, float]:
    """Metrics of a training."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        train(expand_corpora(compose("train", overrides=[*SMALL, *overrides])))
    client = MlflowClient()
    experiment = client.get_experiment_by_name("replicas")
    (last,) = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"], max_results=1)
    assert last.info.status == "FINISHED"
    metrics: dict[str, float] = last.data.metrics
    return metrics


def combined(train_on: list[str], eval_on: list[str], replica: Replica) -> list[str]:
    names = dict.fromkeys([*train_on, *eval_on])
    corpora = ",".join(f"{name}:{{root:'{replica(name)}'}}" for name in names)
    splits = (f"{split}=[{','.join(on)}]" for split, on in (("train", train_on), ("dev", train_on), ("eval", eval_on)))
    return ["dataset=combined", *(f"dataset.{split}" for split in splits), f"dataset.corpora={{{corpora}}}"]


@pytest.mark.parametrize("name", sorted(set(REPLICAS) - ONE_CLASS))
def test_a_detector_is_trained_on(name: str, replica: Replica) -> None:
    metrics = run(f"dataset={name}", f"dataset.root={replica(name)}", *OVERRIDES.get(name, []))
    assert 0 <= metrics["eval/eer"] <= 1
    assert metrics["eval/num_bonafide"] >= 1


@pytest.mark.parametrize(("name", "source"), OFFICIAL.items())
def test_the_official_protocol_of_2021_is_a_combination(name: str, source: str, replica: Replica) -> None:
    metrics = run(*combined([source], [name], replica), "data.limit_utterances=null")
    assert metrics["eval/num_bonafide"] == 2 * NUM_SPEAKERS
    assert metrics["dev/num_bonafide"] == 6


@pytest.mark.parametrize("name", sorted(ONE_CLASS & set(REPLICAS)))
def test_recordings_without_fakes_are_added_to_a_corpus(name: str, replica: Replica) -> None:
    assert 0 <= run(*combined(["asvspoof2019_la", name], ["asvspoof5", name], replica))["eval/eer"] <= 1


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_trials_alone_are_refused_before_anything_is_decoded(name: str, home: Path, replica: Replica) -> None:
    with pytest.raises(ValueError, match=rf"train split of {name} has no bonafide utterance.* dataset=combined"):
        run(f"dataset={name}", f"dataset.root={replica(name)}", "seed=7", "dataset.subset=all")


def test_a_detector_is_trained_on_vocoded_twins(home: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(18):
        waveform = 0.1 * generator.standard_normal(16_000).cumsum() / 40
        audio.write_audio(home / "voices" / f"s{number % 6}" / f"{number}.wav", waveform, 16_000)
    metrics = run("dataset=vocoded", f"dataset.bonafide={home}/voices", "dataset.vocoders=[lpc,mu_law_8bit]")
    assert 0 <= metrics["eval/eer"] <= 1
    assert metrics["eval/num_bonafide"] >= 1
    assert metrics["eval/num_spoof"] >= 1
