"""AUC of single scalars between the classes of the demo corpus: what a detector could win without hearing any speech.

    python benchmarks/demo_leaks.py [num_clips]

An AUC of .5 is no leak; the sampling deviation of a balanced corpus of n clips is about 0.58 / sqrt(n).
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
import pandas as pd

from dfx import audio
from dfx.datasets import Demo
from dfx.manifest import Manifest
from dfx.metrics import auc

HOPS = (128, 160, 200, 256, 300, 320, 512)
FRAME = 160


def scalars(waveform: npt.NDArray[np.floating]) -> dict[str, float]:
    """Scalars of a waveform (samples,) at 16 kHz that say nothing of how it was made."""
    x = waveform.astype(np.float64)
    count = len(x) // FRAME
    frames = x[: count * FRAME].reshape(count, FRAME)
    level = 10 * np.log10(np.var(frames, axis=1) + 1e-12)
    loud = np.flatnonzero(level > level.max() - 35)
    size = 1024
    spans = x[: len(x) // size * size].reshape(-1, size) * np.hanning(size)
    spectrum = 10 * np.log10(np.mean(np.abs(np.fft.rfft(spans, axis=1)) ** 2, axis=0) + 1e-12)
    centred = x - x.mean()
    rms = float(np.sqrt(np.mean(centred**2)))
    return {
        "duration": len(x),
        **{f"length modulo {hop}": len(x) % hop for hop in HOPS},
        "rms": rms,
        "peak": float(np.abs(x).max()),
        "crest": float(np.abs(centred).max() / rms),
        "leading silence": float(loud[0]),
        "trailing silence": float(count - 1 - loud[-1]),
        "bandwidth at -65 dB": float(np.flatnonzero(spectrum > spectrum.max() - 65)[-1]),
        "dc": float(x.mean()),
        "zero fraction": float(np.mean(x == 0)),
        "noise floor": float(np.percentile(level, 5)),
        "noise floor re rms": float(np.percentile(level, 5) - 20 * np.log10(rms)),
        "zero crossings": float(np.mean(np.diff(np.signbit(centred)))),
    }


def leak_table(manifest: Manifest) -> pd.DataFrame:
    """AUC of every scalar, over the whole corpus and in each split."""
    rows = pd.DataFrame([scalars(audio.read(path, 16_000)) for path in manifest.table["path"]])
    label = manifest.table["label"].to_numpy()
    split = manifest.table["split"].astype(str).to_numpy()
    parts = {
        "all": np.ones(len(label), dtype=bool),
        **{name: split == name for name in ("train", "dev", "eval")},
    }
    return pd.DataFrame(
        {
            part: {
                name: auc(
                    values[inside & (label == 1)].to_numpy(float),
                    values[inside & (label == 0)].to_numpy(float),
                )
                for name, values in rows.items()
            }
            for part, inside in parts.items()
        }
    )


if __name__ == "__main__":
    demo = Demo(num_clips=int(sys.argv[1])) if len(sys.argv) > 1 else Demo()
    print(leak_table(demo.manifest()).round(3).to_string())
