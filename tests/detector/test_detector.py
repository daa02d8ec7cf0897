"""Scores are float32 whatever precision training has."""

import pytest
import torch

from dfx.detector import build, loading
from setups import composed


def config(corpus_file, precision):
    given = ["dataset=manifest", f"dataset.path={corpus_file}", "feature=lfcc", "model=mlp", "augment=none"]
    trainer = ["trainer=smoke", "trainer.accelerator=cpu", f"trainer.precision={precision}"]
    return composed(*given, *trainer, "segment_seconds=0.5")


def test_scores_of_a_run_in_mixed_precision_are_those_of_its_weights_in_full(home, corpus, corpus_file):
    cfg = config(corpus_file, "bf16-mixed")
    data = build.build_datamodule(cfg, corpus)
    detector = build.build_detector(cfg, data)
    trainer = build.build_trainer(cfg, [])
    trainer.fit(detector, data)
    trainer.test(detector, data, verbose=False)
    trainer.save_checkpoint(home / "mixed.ckpt", weights_only=True)
    exact = loading.load_network(home / "mixed.ckpt")
    for split, loader in (("dev", data.val_dataloader()), ("eval", data.test_dataloader())):
        waveforms = [batch["waveform"] for batch in loader]
        with torch.no_grad():
            expected = torch.cat([exact(waveform) for waveform in waveforms])
            with torch.autocast("cpu", torch.bfloat16):
                rounded = torch.cat([exact(waveform) for waveform in waveforms])
        assert detector.scores[split].table["score"].tolist() == expected.double().tolist()
        assert not torch.equal(rounded, expected)  # so that the line above says something


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
def test_weights_in_another_precision_are_refused(precision, home, corpus, corpus_file):
    cfg = config(corpus_file, precision)
    data = build.build_datamodule(cfg, corpus)
    with pytest.raises(ValueError, match=f"precision={precision}: use 32-true, or bf16-mixed"):
        build.build_trainer(cfg, []).fit(build.build_detector(cfg, data), data)
    with pytest.raises(ValueError, match=f"precision={precision}: use 32-true"):  # as with trainer.max_epochs=0
        build.build_trainer(cfg, []).validate(build.build_detector(cfg, data), data)
