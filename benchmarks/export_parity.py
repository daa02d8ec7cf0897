"""Largest difference of scores between each pair of feature and model and its ONNX file, on noise of speech level.

Weights are random, segments have half a second; a Wav2Vec2 is a tiny one with random weights. A pair that cannot be
exported says why. Run with: python benchmarks/export_parity.py [features] [models], each comma-separated
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import dfx
from dfx.config.schema import CONF_DIR, register_schema
from dfx.detector import build, exporting, loading
from dfx.detector.network import build_network, num_segment_samples

sys.path.append(str(Path(__file__).parents[1] / "tests" / "shared"))
from setups import TINY_WAV2VEC2


def compare(feature: str, model: str, folder: str) -> str:
    """Return the largest difference, and whether the length is free, as text; or why there is no file."""
    size = ["sample_rate=1", "segment_seconds=26"] if feature == "table" else ["segment_seconds=0.5"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides=[f"feature={feature}", f"model={model}", *size])
    if feature.startswith("wav2vec2"):
        OmegaConf.update(cfg, "feature.architecture", TINY_WAV2VEC2 | {"encoder_layer_drop": 0.0}, force_add=True)
    network = build_network(cfg).eval()
    place, file = Path(folder, "detector.ckpt"), Path(folder, "detector.onnx")
    config = build.build_checkpoint_config(cfg, network)
    torch.save({"dfx_config": config, "state_dict": network.state_dict()}, place)
    detector = dfx.load(place)
    try:
        metadata = exporting.export_metadata(detector, "")
        free = exporting.export_detector(detector, loading.load_network(place), file, "onnx", metadata)
    except ValueError as error:
        return f"not exported: {error}"
    waveform = 0.1 * torch.randn(8, num_segment_samples(cfg), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        scores = [one.score_batch({"waveform": waveform}) for one in (network, dfx.load(file).network)]
    return f"{float((scores[0] - scores[1]).abs().max()):.1e}  {'free' if free else 'fixed'} length"


def main(features: list[str], models: list[str]) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.disable(logging.WARNING)
    register_schema()
    with tempfile.TemporaryDirectory() as folder:
        for feature in features:
            for model in models:
                print(f"{feature:<18} {model:<14} {compare(feature, model, folder)}", flush=True)


if __name__ == "__main__":
    given = [word.split(",") for word in sys.argv[1:]]
    names = [sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml")) for group in ("feature", "model")]
    main(*(given + names[len(given) :]))
