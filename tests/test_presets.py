"""Every preset trains with its own networks: an epoch of two steps on short segments."""

import pytest

from dfx.config.schema import CONF_DIR
from setups import composed, runs_of

pytestmark = pytest.mark.slow
PRESETS = sorted(path.stem for path in (CONF_DIR / "experiment").glob("*.yaml"))
CELLS = {"s2_grid": ["feature=chroma", "model=ann_s2"], "feature_model_grid": []}  # one of a sweep
SMALL = [
    *("data.limit_utterances=4", "data.batch_size=2", "trainer.max_epochs=1", "log_model=false"),
    *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "experiment_name=presets"),
]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_trains(preset, corpus_file, weights, home, undrawn_figures):
    from dfx.train import train

    chosen = [f"experiment={preset}", *CELLS.get(preset, [])]
    encoder = "Wav2Vec2" in composed(*chosen).feature._target_
    local = ["feature.bundle=null", f"feature.checkpoint={weights}"] if encoder else []
    seconds = 3.0 if preset.startswith("s4") else 1.5  # S4's chunk; shorter than in the presets, whose definition it is
    given = ["dataset=manifest", f"dataset.path={corpus_file}", f"segment_seconds={seconds}"]
    assert 0 <= train(composed(*chosen, *given, *SMALL, *local)) <= 1
    run = runs_of("presets")[0]
    assert run.info.status == "FINISHED"
    assert 0 <= run.data.metrics["eval/eer"] <= 1
