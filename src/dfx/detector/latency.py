"""Measure the latency of a detector."""

from __future__ import annotations

import time

import numpy as np
import torch

from dfx.audio.segments import Crop
from dfx.detector.network import DetectorNetwork

CLIP_SECONDS = 5.0  # the usual length for timing detectors in the field
REPEATS = 7


def latency_ms(detector: DetectorNetwork, num_samples: int, sample_rate: int) -> float:
    """Return the time in ms that a detector needs to score a 5 s clip on one CPU core.

    It is the time from samples to score, the shortest of several tries. Windows slide over the whole clip, so that
    detectors of different segments do the same work. The shortest time is taken because other work of the machine can
    only add to it. The detector is on the CPU, and in eval mode afterwards; `num_samples` is the length of its
    segments.
    """
    length = round(CLIP_SECONDS * sample_rate)
    windows = int(Crop(num_samples, "sliding", "repeat").num_windows(np.array([length]))[0])
    clip = 0.1 * torch.randn(windows, num_samples, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    detector.eval()
    times = []
    try:
        torch.set_num_threads(1)
        with torch.inference_mode():
            for _ in range(REPEATS + 1):  # the first one warms up
                began = time.perf_counter()
                detector(clip)
                times.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return 1000 * min(times[1:])
