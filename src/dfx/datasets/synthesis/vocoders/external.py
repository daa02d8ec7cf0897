"""Vocoders and codecs of other libraries: WORLD (pyworld), and the codecs of FFmpeg (PyAV).

Both are imported where they are used. `vocoders` does not export these: the demo corpus does not need them.

Source:
    WORLD: Morise, Yokomori and Ozawa 2016. Opus: RFC 6716. AMR: 3GPP TS 26.071. MP3 at 16 kHz: ISO/IEC 13818-3.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dfx import audio
from dfx.datasets.synthesis.frames import Real
from dfx.datasets.synthesis.speaker import SAMPLE_RATE


@dataclass(frozen=True)
class ExternalCodec:
    """FFmpeg codec at one setting, used as a vocoder.

    Takes a waveform (samples,) at 16 kHz and a generator, returns (samples,).

    Attributes:
        encoder: its name in FFmpeg.
        bit_rate: bits per second.
        sample_rate: of the codec, in Hz.
        sample_format: FFmpeg's name of its input format, 16-bit integers.
        options: further options of the encoder.
        delay: of its output, in samples at its own rate; FFmpeg already removes the delay of most codecs.
    """

    encoder: str
    bit_rate: int
    sample_rate: int = SAMPLE_RATE
    sample_format: str = "s16"
    options: dict[str, str] = field(default_factory=dict)
    delay: int = 0

    def check(self) -> None:
        """Raise a ValueError with what to do if FFmpeg lacks the encoder of this codec."""
        import av

        if self.encoder not in av.codecs_available:
            raise ValueError(
                f"The FFmpeg of PyAV {av.__version__} has no encoder {self.encoder}: install PyAV's own wheel, "
                "`pip install --force-reinstall --only-binary av av`, or take another codec."
            )

    def __call__(self, waveform: Real, rng: np.random.Generator) -> Real:
        """Encode and decode a waveform, aligned in time with the original."""
        import av

        encoder = av.CodecContext.create(self.encoder, "w")
        encoder.sample_rate, encoder.layout = self.sample_rate, "mono"
        encoder.format, encoder.bit_rate, encoder.options = self.sample_format, self.bit_rate, self.options
        encoder.open()
        decoder = av.CodecContext.create(encoder.codec.canonical_name, "r")
        decoder.sample_rate, decoder.layout, decoder.extradata = self.sample_rate, "mono", encoder.extradata
        size = encoder.frame_size
        samples = audio.to_int16(audio.resample_waveform(waveform, SAMPLE_RATE, self.sample_rate))
        # Fill the last frame, and add one more to flush the codec.
        samples = np.pad(samples, (0, 2 * size - len(samples) % size))
        frames: list[Any] = []
        for start in range(0, len(samples), size):
            piece = samples[None, start : start + size]
            frame = av.AudioFrame.from_ndarray(piece, format=self.sample_format, layout="mono")
            frame.sample_rate, frame.pts = self.sample_rate, start
            frames += [part for packet in encoder.encode(frame) for part in decoder.decode(packet)]
        frames += [part for packet in encoder.encode(None) for part in decoder.decode(packet)]
        frames += decoder.decode(None)
        rate = frames[0].sample_rate  # of the decoder: always 48 kHz for Opus
        decoded = np.concatenate([audio.mono_samples(frame.to_ndarray()) for frame in frames])
        late = self.delay * rate // self.sample_rate
        rebuilt = audio.resample_waveform(decoded[late:], rate, SAMPLE_RATE)[: len(waveform)]
        return np.pad(rebuilt, (0, len(waveform) - len(rebuilt)))


def external_world(waveform: Real, rng: np.random.Generator) -> Real:
    """WORLD vocoder of pyworld: pitch, envelope (CheapTrick) and aperiodicity (D4C) every 5 ms.

    The generator is not used. Pitch is estimated by DIO and StoneMask: Harvest would take ten times as long as
    everything else.
    """
    pyworld = _pyworld()
    original = waveform.astype(np.float64)
    rough, times = pyworld.dio(original, SAMPLE_RATE)
    pitch = pyworld.stonemask(original, rough, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(original, pitch, times, SAMPLE_RATE)
    aperiodicity = pyworld.d4c(original, pitch, times, SAMPLE_RATE)
    rebuilt: Real = pyworld.synthesize(pitch, envelope, aperiodicity, SAMPLE_RATE)[: len(waveform)]
    return np.pad(rebuilt, (0, len(waveform) - len(rebuilt))).astype(np.float32)


def check_external_world() -> None:
    """Raise a ValueError with the install command if pyworld is missing."""
    try:
        _pyworld()
    except ImportError as error:
        raise ValueError(
            f"The vocoder world needs pyworld, which is not installed or does not start ({error}): "
            "`pip install 'dfx[vocoders]'` (it needs a C++ compiler), or leave it out: "
            "'dataset.vocoders=[griffin_lim_40,griffin_lim_80,griffin_lim_128,lpc,mu_law_8bit]'."
        ) from error


def _pyworld() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports pkg_resources, which warns that it is deprecated
        import pyworld
    return pyworld
