"""Time of dfx's spectral features against torch.stft alone, librosa and torchaudio: one thread, 5 s clips at 16 kHz.

The contenders take turns, so that a busy machine slows all of them; the table holds the median time of a clip and the
median over the rounds of the ratios. "torch.stft" is the plain call, which mirrors the ends of a clip;
dfx, like librosa, puts zeros there, which is cheaper. Run with: python benchmarks/features.py [rounds]
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read by NumPy and torch when they are imported

import statistics
import sys
import timeit
import warnings
from collections.abc import Callable

import librosa
import numpy as np
import torch
import torchaudio
from torch import Tensor

from dfx.features import LFCC, MFCC, LogMel

SAMPLE_RATE = 16000
NUM_SAMPLES = 5 * SAMPLE_RATE
STFT = {"n_fft": 512, "win_length": 400, "hop_length": 160}


def contenders() -> dict[str, Callable[[Tensor], object]]:
    window = torch.hann_window(400)
    mel = STFT | {"n_mels": 80}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchaudio's mel scale leaves some of the 80 bands without an FFT bin
        torchaudio_mel = torchaudio.transforms.MelSpectrogram(SAMPLE_RATE, **mel)
        torchaudio_mfcc = torchaudio.transforms.MFCC(SAMPLE_RATE, 20, melkwargs=mel)
    torchaudio_lfcc = torchaudio.transforms.LFCC(
        SAMPLE_RATE, n_filter=20, n_lfcc=20, speckwargs={"n_fft": 512, "win_length": 320, "hop_length": 160}
    )

    def librosa_logmel(waveform: Tensor) -> None:
        for clip in waveform.numpy():
            np.log(librosa.feature.melspectrogram(y=clip, sr=SAMPLE_RATE, **mel) + 1e-9)

    def librosa_mfcc(waveform: Tensor) -> None:
        for clip in waveform.numpy():
            librosa.feature.mfcc(y=clip, sr=SAMPLE_RATE, n_mfcc=20, **mel)

    return {
        "torch.stft": lambda waveform: torch.stft(waveform, **STFT, window=window, return_complex=True),
        "torch.stft, zeros": lambda waveform: torch.stft(
            waveform, **STFT, window=window, pad_mode="constant", return_complex=True
        ),
        "dfx logmel": LogMel(SAMPLE_RATE).eval(),
        "torchaudio logmel": lambda waveform: torchaudio_mel(waveform).add_(1e-9).log_(),
        "librosa logmel": librosa_logmel,
        "dfx mfcc": MFCC(SAMPLE_RATE, deltas=False).eval(),
        "torchaudio mfcc": torchaudio_mfcc,
        "librosa mfcc": librosa_mfcc,
        "dfx lfcc": LFCC(SAMPLE_RATE, deltas=False).eval(),
        "dfx lfcc, deltas": LFCC(SAMPLE_RATE).eval(),
        "torchaudio lfcc": torchaudio_lfcc,
    }


def measure(batch: int, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds for each clip of every contender in every round."""
    waveform = torch.randn(batch, NUM_SAMPLES) * 0.1
    functions = contenders()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            # The best of a turn: the first call pays for caches that the one before has filled.
            times[name].append(min(timeit.repeat(lambda f=function: f(waveform), number=1, repeat=4)) * 1000 / batch)
    return times


def ratio(of: list[float], to: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


@torch.no_grad()
def main(rounds: int) -> None:
    torch.set_num_threads(1)
    logmel = {}
    for batch in (1, 8, 64):
        times = measure(batch, max(10, rounds // batch))
        logmel[batch] = statistics.median(times["dfx logmel"])
        print(f"\nbatch {batch:<14} ms a clip   x torch.stft   x dfx")
        for name, values in times.items():
            kind = name.split()[-1] if name.split()[-1] in ("logmel", "mfcc", "lfcc") else ""
            to_dfx = f"{ratio(values, times[f'dfx {kind}']):8.2f}" if kind else ""
            print(f"{name:<20} {statistics.median(values):9.3f} {ratio(values, times['torch.stft']):14.2f} {to_dfx}")
        print(
            f"logmel: {ratio(times['librosa logmel'], times['dfx logmel']):.2f} times as fast as librosa "
            f"(aim: at least 2.5), {ratio(times['dfx logmel'], times['torch.stft']):.2f} times the bare torch.stft "
            f"(aim: at most 2.2; {ratio(times['dfx logmel'], times['torch.stft, zeros']):.2f} times with zero padding)"
        )
    print(f"\nlogmel, a clip in a batch of 64 against one of 8: {logmel[64] / logmel[8]:.2f} times")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
