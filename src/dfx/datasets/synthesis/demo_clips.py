"""Plan the clips of the demo corpus, and synthesize their samples.

The plan is speaker, split, attack and length of each clip. Clips come in pairs, one bona fide and one spoof, with the
same speaker, duration and recording conditions, but other words and other noise. So length, level and similar measures
do not tell the classes apart.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from dfx import files
from dfx.audio.room import draw_room_recording, record_in_room
from dfx.datasets.synthesis import vocoders
from dfx.datasets.synthesis.frames import Real
from dfx.datasets.synthesis.phonemes import random_phoneme_sentence
from dfx.datasets.synthesis.speaker import SAMPLE_RATE, draw_speaker_voice, render_speaker, speaker_controls

Vocoder = Callable[[Real, np.random.Generator], Real]


def _coded_units(waveform: Real, rng: np.random.Generator) -> Real:
    """Pass speech through a codec, cut it into short units, and replace each unit by a nearby one."""
    return vocoders.splice(vocoders.transform_codec(waveform, rng, step=1.0), rng)


SPEAKERS = {"train": range(12), "dev": range(12, 17), "eval": range(17, 24)}
NUM_SPEAKERS = sum(map(len, SPEAKERS.values()))
SEEN: dict[str, Vocoder] = {
    "D01": vocoders.griffin_lim,
    "D02": vocoders.lpc,
    "D03": vocoders.parametric_world,
    "D04": vocoders.transform_codec,
    "D05": vocoders.mu_law,
}
UNSEEN: dict[str, Vocoder] = {
    "D06": partial(vocoders.griffin_lim, bands=128, hop=160, iterations=24),
    "D07": vocoders.sinusoidal,
    "D08": _coded_units,
    "D09": partial(vocoders.parametric_world, voiced_hz=4000),
}
ATTACKS = {**SEEN, **UNSEEN}
_MARGIN = 1024  # samples added at both ends and cut off after the vocoder, so that its frames begin anywhere
_SEED = 20190  # of the corpus, not of a run: all runs train on the same clips


@dataclass(frozen=True)
class DemoClip:
    """Planned clip of the demo corpus: speaker, split, attack and length."""

    id: str
    utterance: int
    pair: int
    speaker: int
    split: str
    attack: str
    num_samples: int


def plan_demo_clips(num_clips: int, max_seconds: float) -> list[DemoClip]:
    """Plan the clips of the demo corpus, half of which are spoofs; their order is independent of the class."""
    rng = np.random.default_rng([_SEED, 0])
    count = dict.fromkeys(SPEAKERS, 0)
    order = rng.permutation(num_clips)
    clips = []
    splits = {speaker: split for split, speakers in SPEAKERS.items() for speaker in speakers}
    for pair in range(num_clips // 2):
        speaker = pair % len(splits)
        split = splits[speaker]
        attacks = list(ATTACKS if split == "eval" else SEEN)
        attack = attacks[count[split] % len(attacks)]
        count[split] += 1
        seconds = float(np.clip(rng.lognormal(np.log(2.9), 0.45), 1.0, 8.0))
        num_samples = int(min(seconds, max_seconds) * SAMPLE_RATE) - int(rng.integers(160))
        for utterance, name in ((2 * pair, "-"), (2 * pair + 1, attack)):
            clip_id = f"demo_{split}_{order[utterance]:04d}"
            clips.append(DemoClip(clip_id, utterance, pair, speaker, split, name, num_samples))
    return sorted(clips, key=lambda clip: clip.id[-4:])


def synthesize_demo_clip(clip: DemoClip) -> npt.NDArray[np.int16]:
    """Synthesize the 16-bit samples (num_samples,) of a planned clip; they depend on the plan only."""
    voice = draw_speaker_voice(_generator(1, clip.speaker), female=clip.speaker % 2 == 1)
    shared = _generator(2, clip.pair)
    recording = draw_room_recording(shared)
    lead, tail = shared.uniform(0.05, 0.3, 2)
    own = _generator(3, clip.utterance)
    total = clip.num_samples + 2 * _MARGIN
    margin = _MARGIN / SAMPLE_RATE
    sounds = random_phoneme_sentence(total / SAMPLE_RATE, lead + margin, tail + margin, voice.rate, own)
    speech = render_speaker(voice, speaker_controls(voice, sounds, own), total, own)
    speech = speech / np.sqrt(np.mean(speech**2) + 1e-12)
    speech += 1e-4 * own.standard_normal(total, dtype=np.float32)
    if clip.attack != "-":
        speech = ATTACKS[clip.attack](speech.astype(np.float32), own)
    start = _MARGIN + int(own.integers(-_MARGIN // 2, _MARGIN // 2))
    return record_in_room(speech[start : start + clip.num_samples], recording, own)


def write_demo_clips(clips: Sequence[DemoClip], folder: Path) -> int:
    """Synthesize clips, write each atomically as a 16-bit WAV file in a folder, and return their number."""
    for clip in clips:
        with files.atomic_write(folder / f"{clip.id}.wav") as temporary:
            wav = io.BytesIO()  # libsndfile does not say why a file cannot be written
            soundfile.write(wav, synthesize_demo_clip(clip), SAMPLE_RATE, format="WAV")
            temporary.write_bytes(wav.getvalue())
    return len(clips)


def _generator(*key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([_SEED, *key]))
