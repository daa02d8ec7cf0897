"""Score recordings with a detector that dfx.export wrote, without PyTorch and without dfx.

    pip install onnxruntime soundfile numpy soxr
    python score_with_onnx.py detector.onnx clip.flac ...

One line for each clip: score (higher = more bona fide) and path. The clip is cut as in the training of the detector.
"""

import json
import sys

import numpy as np
import onnxruntime
import soundfile
import soxr


def read_clip(path, sample_rate):
    """Mono samples (samples,) in [-1, 1] at the rate of the detector, rounded to 16 bits as in its training."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    scale = 2.0 ** np.ceil(np.log2(max(1.0, np.abs(mono).max())))  # a clip beyond full scale is not clipped
    return (np.clip(np.rint(mono / scale * 32768), -32768, 32767) / 32768 * scale).astype(np.float32)


def cut_segments(clip, size, position, pad):
    """Segments (segments, size): the first or the middle one, or half-overlapping windows over the whole clip."""
    if len(clip) < size:
        return (np.resize(clip, size) if pad == "repeat" else np.pad(clip, (0, size - len(clip))))[None]
    spare, hop = len(clip) - size, -(-size // 2)
    starts = {"first": [0], "centre": [spare // 2]}.get(position) or [
        min(number * hop, spare) for number in range(1 + -(-spare // hop))
    ]
    return np.stack([clip[start : start + size] for start in starts])


def main(model, *paths):
    """Print the score of each clip."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    config = json.loads(session.get_modelmeta().custom_metadata_map["dfx_config"])
    if any(value is not None for value in config["conditioning"].values()):
        sys.exit(f"{model} wants clips with {config['conditioning']}: score them with dfx.")
    rate, data = config["sample_rate"], config["data"]
    size = round(config["segment_seconds"] * rate)
    for path in paths:
        segments = cut_segments(read_clip(path, rate), size, data["eval_crop"], data["pad"])
        (scores,) = session.run(None, {"waveform": segments})
        print(f"{scores.mean(dtype=np.float64):.6f}\t{path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
