"""Read audio files, cut and condition waveforms, and store decoded samples."""

from dfx.audio.read_write import (
    probe_audio,
    read_audio,
    read_audio_blocks,
    read_pcm,
    resample_waveform,
    round_to_pcm,
    too_long_reason,
    write_audio,
)
from dfx.audio.samples import (
    FULL_SCALE,
    AudioError,
    AudioInfo,
    Pcm,
    Waveform,
    from_int16,
    join_pcm,
    mono_samples,
    to_int16,
)
