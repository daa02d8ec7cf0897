"""Overview of a clip and its figure: waveform, mel spectrogram and score over time."""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfx.audio.store import WaveformStore
from dfx.detector.answers import ClipAnswer, DecisionRule, headline
from dfx.reporting.figures import style

Floats = NDArray[np.float32]

SIZE = (7.2, 5.6)  # inches
CAPTION_LETTERS = 15  # for each inch of its width
COLUMNS = 1000  # of the picture
N_FFT, NUM_MELS = 1024, 64
BLOCK_SECONDS = 30.0
PLAYED_SECONDS = 60.0  # of a clip, in the page
RANGE_DB = 70.0  # of the spectrogram
QUIETEST_TOP_DB = -20.0  # of the spectrogram: silence is dark


class ClipOverview(NamedTuple):
    """Data of a clip for its figure and its player: waveform, spectrogram and a short sound.

    Attributes:
        seconds: length of the clip.
        low: (columns,) smallest sample of each column.
        high: (columns,) largest sample of each column.
        mel: (bins, columns) level in dB of a spectrum in each column.
        top_hz: highest frequency.
        player: first minute as Ogg Vorbis; empty if it could not be coded.
    """

    seconds: float
    low: Floats
    high: Floats
    mel: Floats
    top_hz: float
    player: bytes


def clip_overview(clips: WaveformStore, row: int) -> ClipOverview:
    """Compute the overview of a stored clip; a long clip takes as long as reading it."""
    length, rate = int(clips.lengths[row]), clips.sample_rate
    columns = min(COLUMNS, length)
    edges = np.linspace(0, length, columns + 1).astype(np.int64)
    low, high = np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    per_block = max(1, int(columns * BLOCK_SECONDS * rate / length))
    for first in range(0, columns, per_block):
        last = min(first + per_block, columns)
        samples = clips.read(row, int(edges[first]), int(edges[last] - edges[first]))
        at = edges[first:last] - edges[first]
        low[first:last], high[first:last] = np.minimum.reduceat(samples, at), np.maximum.reduceat(samples, at)
    centres = (edges[:-1] + edges[1:]) // 2
    frames = np.stack(list(_frames(clips, row, centres)))
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT).astype(np.float32), axis=1)) ** 2
    mel = 10 * np.log10(_mel_bank(rate) @ power.T + 1e-10)
    played = clips.read(row, 0, round(PLAYED_SECONDS * rate))
    return ClipOverview(length / rate, low, high, mel.astype(np.float32), rate / 2, _ogg(played, rate))


def _frames(clips: WaveformStore, row: int, centres: NDArray[np.int64]) -> Iterator[Floats]:
    length = int(clips.lengths[row])
    for centre in centres.tolist():
        start = max(0, min(centre - N_FFT // 2, length - N_FFT))
        samples = clips.read(row, start, N_FFT)
        yield np.pad(samples, (0, N_FFT - len(samples)))


@functools.cache
def _mel_bank(sample_rate: int) -> Floats:
    from librosa.filters import mel  # takes a second

    bank: Floats = mel(sr=sample_rate, n_fft=N_FFT, n_mels=NUM_MELS)
    return bank


def _ogg(samples: Floats, sample_rate: int) -> bytes:
    file = io.BytesIO()
    try:
        soundfile.write(file, np.clip(samples, -1, 1), sample_rate, format="OGG", subtype="VORBIS")
    except (soundfile.SoundFileError, TypeError, ValueError):
        return b""
    return file.getvalue()


def clip_figure(
    answer: ClipAnswer, rule: DecisionRule, size: tuple[float, float] = SIZE, title: str | None = None
) -> Figure:
    """Draw waveform, mel spectrogram and score over time of a clip, with fake segments and threshold.

    Args:
        answer: about the clip; its overview is a `ClipOverview`.
        rule: of the decision.
        size: width and height in inches.
        title: name of the clip and its answer if None.
    """
    seen: ClipOverview = answer.overview
    if title is None:
        title = f"{style.shorten_label(Path(answer.path).name)}: {headline(answer)}"
    figure, grid = style.new_panels(size, 3, 1, sharex=True, height_ratios=[1, 1.4, 1.2])
    wave, spectrum, score = grid[:, 0]
    times = (np.arange(len(seen.low)) + 0.5) * seen.seconds / len(seen.low)
    wave.fill_between(times, seen.low, seen.high, color=style.BLUE, linewidth=0.4)
    wave.set_ylabel("waveform")
    wave.set_title(title, fontsize=12)
    top = max(float(seen.mel.max()), QUIETEST_TOP_DB)
    # Equal steps of the picture are equal steps in mel, so its labels are frequencies at their place.
    spectrum.imshow(
        seen.mel, aspect="auto", origin="lower", extent=(0, seen.seconds, 0, NUM_MELS), cmap="magma",
        vmin=top - RANGE_DB, vmax=top, interpolation="nearest",
    )  # fmt: skip
    ticks = [hz for hz in (250, 500, 1000, 2000, 4000, 8000, 16000) if hz < seen.top_hz]
    spectrum.set_yticks(_mel_places(ticks, seen.top_hz), [f"{hz / 1000:g}" for hz in ticks])
    spectrum.set_ylabel("kHz (mel)")
    _draw_scores(score, answer, rule)
    score.set_xlabel("time (s)")
    score.set_xlim(0, seen.seconds)
    for axes in (wave, score):
        style.decorate_axes(axes)
        spans = [(one.start_seconds, one.end_seconds - one.start_seconds) for one in answer.segments]
        # One collection: a long clip may have thousands of parts.
        axes.broken_barh(
            spans, (0, 1), transform=axes.get_xaxis_transform(), color=style.ORANGE, alpha=0.15, linewidth=0
        )
    caption = "Shaded: at or below the threshold. Each window is drawn at its whole length."
    return style.finish_figure(figure, textwrap.fill(caption, int(CAPTION_LETTERS * size[0])))


def clip_picture(
    answer: ClipAnswer, rule: DecisionRule, size: tuple[float, float] = SIZE, title: str | None = None
) -> bytes:
    """Draw the figure of a clip as a PNG picture; see `clip_figure`."""
    return style.figure_png(clip_figure(answer, rule, size, title))


def _draw_scores(axes: Any, answer: ClipAnswer, rule: DecisionRule) -> None:
    windows = answer.windows
    if windows is None:
        return
    ends = windows.starts + windows.seconds
    axes.hlines(windows.scores, windows.starts, ends, color=style.BLUE, linewidth=1.0, alpha=0.6)
    axes.plot((windows.starts + ends) / 2, windows.scores, "o-", color=style.BLUE, markersize=3, linewidth=1.2)
    if np.isfinite(rule.threshold):
        axes.axhline(rule.threshold, color=style.ORANGE, linestyle="--", linewidth=1)
        if rule.high > rule.low:
            axes.axhspan(rule.low, rule.high, color=style.GREY, alpha=0.12, linewidth=0)
        axes.annotate(
            "fake below", (1.0, rule.threshold), xycoords=("axes fraction", "data"), ha="right", va="bottom",
            fontsize=8, color=style.ORANGE,
        )  # fmt: skip
    axes.set_ylabel("LLR (nats)" if rule.calibrated else "score")


def _mel_places(ticks: list[int], top_hz: float) -> list[float]:
    import librosa

    mels = librosa.hz_to_mel(np.array([*ticks, top_hz], float))
    return list(map(float, mels[:-1] / mels[-1] * NUM_MELS))
