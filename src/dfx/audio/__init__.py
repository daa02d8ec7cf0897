"""Audio files, and what is done to waveforms: reading, cutting, conditioning, and the store of decoded samples."""

from dfx.audio.reader import probe, read, read_blocks, read_pcm, resample, write
from dfx.audio.samples import FULL_SCALE, AudioError, AudioInfo, Waveform, mono, to_int16

__all__ = [
    "FULL_SCALE",
    "AudioError",
    "AudioInfo",
    "Waveform",
    "mono",
    "probe",
    "read",
    "read_blocks",
    "read_pcm",
    "resample",
    "to_int16",
    "write",
]
