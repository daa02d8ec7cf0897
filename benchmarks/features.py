"""Time of dfx's features against torch.stft alone, librosa and torchaudio: one thread, 5 s clips at 16 kHz.

The contenders take turns, so that a busy machine slows all of them; the table holds the median time of a clip and the
median over the rounds of the ratios. "torch.stft" is the plain call, which mirrors the ends of a clip;
dfx, like librosa, puts zeros there, which is cheaper. A second table has the other front ends against librosa or
Kymatio's NumPy version, on single clips of 4 s, in CPU time. Run with: python benchmarks/features.py [rounds]
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read by NumPy and torch when they are imported

import statistics
import sys
import time
import timeit
import warnings
from collections.abc import Callable

import librosa
import numpy as np
import torch
import torchaudio
from torch import Tensor

from dfx.features import (
    CQCC,
    CQT,
    LFCC,
    MFCC,
    Chroma,
    ChromaCQT,
    LogMel,
    LogMelImage,
    Scattering,
    Scattering1D,
    Spectrogram,
)

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


def pairs() -> dict[str, tuple[Callable[[Tensor], object], Callable[[np.ndarray], object]]]:
    """Return for each further front end the function of dfx and that of librosa or Kymatio."""
    from kymatio.scattering1d.frontend.numpy_frontend import ScatteringNumPy1D
    from kymatio.scattering2d.frontend.numpy_frontend import ScatteringNumPy2D

    image = LogMelImage(SAMPLE_RATE).eval()
    by_numpy, by_numpy_1d = ScatteringNumPy2D(J=4, L=8, shape=(256, 256)), ScatteringNumPy1D(J=8, Q=8, shape=(64_000,))
    cqt = {"sr": SAMPLE_RATE, "hop_length": 256, "fmin": 15.0, "n_bins": 432, "bins_per_octave": 48}
    vqt = {"sr": SAMPLE_RATE, "hop_length": 32, "fmin": 62.5, "n_bins": 73, "bins_per_octave": 12, "filter_scale": 2}
    mel = {"sr": SAMPLE_RATE, "n_fft": 2048, "hop_length": 512, "n_mels": 128}

    def as_image(clip: np.ndarray) -> object:
        return librosa.power_to_db(
            librosa.feature.melspectrogram(y=librosa.effects.preemphasis(clip), **mel), ref=np.max
        )

    return {
        "spectrogram": (Spectrogram(), lambda clip: np.log(np.abs(librosa.stft(clip, **STFT)) ** 2 + 1e-9)),
        "chroma": (Chroma(SAMPLE_RATE), lambda clip: librosa.feature.chroma_stft(y=clip, sr=SAMPLE_RATE, tuning=0.0)),
        "chroma_cqt": (
            ChromaCQT(SAMPLE_RATE),
            lambda clip: librosa.feature.chroma_cqt(y=clip, sr=SAMPLE_RATE, tuning=0.0),
        ),
        "cqt": (CQT(SAMPLE_RATE), lambda clip: np.log(np.abs(librosa.cqt(clip, **cqt)) ** 2 + 1e-10)),
        "cqcc (librosa: vqt)": (CQCC(SAMPLE_RATE), lambda clip: np.log(np.abs(librosa.vqt(clip, **vqt)) ** 2 + 1e-10)),
        "logmel_image": (image, as_image),  # librosa: not resized
        "scattering (Kymatio: image ready)": (
            Scattering(SAMPLE_RATE, 4.0),
            lambda clip: by_numpy(np.zeros((256, 256)) + clip[:256]),
        ),
        "scattering1d": (Scattering1D(SAMPLE_RATE, 4.0), lambda clip: np.log(np.abs(by_numpy_1d(clip)) + 1e-6)),
    }


def compare_pairs(rounds: int) -> None:
    """Print the time of each further front end, and the ratio to it of the time of librosa or Kymatio."""
    waveform = 0.1 * torch.randn(1, 4 * SAMPLE_RATE)
    clip = waveform[0].numpy()
    print(f"\n{'one clip of 4 s':<36} ms of dfx   x librosa or Kymatio's NumPy")
    for name, (own, other) in pairs().items():
        times: tuple[list[float], list[float]] = ([], [])
        own(waveform), other(clip)
        for _ in range(rounds):
            times[0].append(timeit.timeit(lambda f=own: f(waveform), number=1, timer=time.process_time) * 1000)
            times[1].append(timeit.timeit(lambda f=other: f(clip), number=1, timer=time.process_time) * 1000)
        print(f"{name:<36} {statistics.median(times[0]):9.2f} {ratio(times[1], times[0]):12.2f}", flush=True)


def ratio(of: list[float], to: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


@torch.no_grad()
def main(rounds: int) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="n_fft=.* is too large")  # librosa, of the lowest octaves
    compare_pairs(max(5, rounds // 30))
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
