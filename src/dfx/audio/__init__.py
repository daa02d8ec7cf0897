"""Read audio files, cut and condition waveforms, and store decoded samples."""

from dfx.audio.reader import join_pcm, probe, read, read_blocks, read_pcm, resample, rounded, write
from dfx.audio.samples import FULL_SCALE, AudioError, AudioInfo, Pcm, Waveform, from_int16, mono, to_int16

__all__ = [
    "FULL_SCALE",
    "AudioError",
    "AudioInfo",
    "Pcm",
    "Waveform",
    "from_int16",
    "join_pcm",
    "mono",
    "probe",
    "read",
    "read_blocks",
    "read_pcm",
    "resample",
    "rounded",
    "to_int16",
    "write",
]
