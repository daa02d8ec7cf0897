"""Phonemes of the demo speaker (formants and sound sources), and random sentences.

A phoneme is one or more segments: a plosive is a closure, a burst and a breath. Formants are those of an average male
vocal tract; a speaker scales them.

Source:
    Vowels: Peterson and Barney 1952, table II. Consonant targets after Klatt 1980, tables II and III, rounded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class PhonemeSegment(NamedTuple):
    """Part of a phoneme: duration, three formants, source amplitudes and spectrum of the hiss."""

    seconds: float
    f1: float = 500.0
    f2: float = 1500.0
    f3: float = 2500.0
    voicing: float = 0.0
    aspiration: float = 0.0
    frication: float = 0.0
    hiss_hz: float = 4000.0
    hiss_width_hz: float = 3000.0
    accent: float = 0.0


def _vowel(f1: float, f2: float, f3: float, seconds: float = 0.11) -> list[PhonemeSegment]:
    return [PhonemeSegment(seconds, f1, f2, f3, voicing=1.0)]


def _plosive(voiced: bool, f2: float, hiss_hz: float, width_hz: float, breath_seconds: float) -> list[PhonemeSegment]:
    tract = (300.0, f2, 2500.0)
    closure = PhonemeSegment(0.06, *tract, voicing=0.12 if voiced else 0.0)
    burst = PhonemeSegment(0.012, *tract, aspiration=0.3, frication=0.9, hiss_hz=hiss_hz, hiss_width_hz=width_hz)
    breath = PhonemeSegment(
        breath_seconds, *tract, aspiration=0.5, frication=0.06, hiss_hz=hiss_hz, hiss_width_hz=width_hz
    )
    return [closure, burst, breath]


VOWELS: dict[str, list[PhonemeSegment]] = {
    "i": _vowel(270, 2290, 3010), "I": _vowel(390, 1990, 2550, 0.08), "E": _vowel(530, 1840, 2480),
    "ae": _vowel(660, 1720, 2410, 0.14), "a": _vowel(730, 1090, 2440, 0.14), "O": _vowel(570, 840, 2410),
    "U": _vowel(440, 1020, 2240, 0.08), "u": _vowel(300, 870, 2240), "A": _vowel(640, 1190, 2390, 0.09),
    "er": _vowel(490, 1350, 1690), "@": _vowel(500, 1500, 2500, 0.06),
    "ai": _vowel(700, 1200, 2500, 0.09) + _vowel(360, 2100, 2600, 0.07),
    "au": _vowel(710, 1200, 2450, 0.09) + _vowel(420, 950, 2300, 0.07),
    "ei": _vowel(480, 1900, 2550, 0.07) + _vowel(330, 2200, 2700, 0.07),
}  # fmt: skip

CONSONANTS: dict[str, list[PhonemeSegment]] = {
    "m": [PhonemeSegment(0.07, 250, 1000, 2200, voicing=0.45)],
    "n": [PhonemeSegment(0.06, 250, 1500, 2500, voicing=0.45)],
    "ng": [PhonemeSegment(0.07, 250, 2000, 2600, voicing=0.40)],
    "l": [PhonemeSegment(0.06, 360, 1100, 2600, voicing=0.70)],
    "r": [PhonemeSegment(0.06, 350, 1100, 1500, voicing=0.70)],
    "w": [PhonemeSegment(0.06, 300, 700, 2200, voicing=0.70)],
    "j": [PhonemeSegment(0.06, 270, 2200, 3000, voicing=0.70)],
    "v": [PhonemeSegment(0.06, 300, 1100, 2300, voicing=0.45, frication=0.08, hiss_hz=4500, hiss_width_hz=4000)],
    "z": [PhonemeSegment(0.07, 300, 1700, 2500, voicing=0.35, frication=0.25, hiss_hz=5600, hiss_width_hz=1200)],
    "s": [PhonemeSegment(0.10, 300, 1700, 2500, frication=0.45, hiss_hz=5800, hiss_width_hz=1400)],
    "S": [PhonemeSegment(0.10, 300, 1800, 2500, frication=0.50, hiss_hz=3000, hiss_width_hz=1000)],
    "f": [PhonemeSegment(0.09, 300, 1100, 2300, frication=0.16, hiss_hz=4500, hiss_width_hz=4500)],
    "th": [PhonemeSegment(0.08, 300, 1400, 2500, frication=0.12, hiss_hz=5500, hiss_width_hz=4000)],
    "h": [PhonemeSegment(0.06, 500, 1500, 2500, aspiration=0.50)],
    "p": _plosive(False, 900, 1000, 1500, 0.035),
    "t": _plosive(False, 1700, 4500, 1800, 0.045),
    "k": _plosive(False, 2100, 2000, 700, 0.050),
    "b": _plosive(True, 900, 1000, 1500, 0.006),
    "d": _plosive(True, 1700, 4500, 1800, 0.008),
    "g": _plosive(True, 2100, 2000, 700, 0.012),
    "tS": [
        PhonemeSegment(0.05, 300, 1800, 2500),
        PhonemeSegment(0.07, 300, 1800, 2500, frication=0.50, hiss_hz=3000, hiss_width_hz=1000),
    ],
}  # fmt: skip


def random_phoneme_sentence(
    seconds: float, lead_seconds: float, tail_seconds: float, rate: float, rng: np.random.Generator
) -> list[PhonemeSegment]:
    """Generate a random sentence as phoneme segments, with a duration of `seconds`.

    The duration includes the silence at both ends. Syllables form words, words form phrases; a phrase ends with a
    longer vowel and a pause, some with a breath.
    """
    sounds: list[PhonemeSegment] = []
    spoken, wanted = 0.0, seconds - lead_seconds - tail_seconds
    while spoken < wanted:
        phrase: list[PhonemeSegment] = []
        for word in range(rng.integers(2, 6)):
            for syllable in range(rng.choice(4, p=(0.0, 0.45, 0.4, 0.15))):
                phrase += _syllable(stressed=syllable == 0 and word % 2 == 0, rate=rate, rng=rng)
        phrase[-1] = phrase[-1]._replace(seconds=phrase[-1].seconds * rng.uniform(1.1, 1.6))
        phrase.append(PhonemeSegment(rng.uniform(0.06, 0.35)))
        if rng.random() < 0.35:
            breath = PhonemeSegment(rng.uniform(0.15, 0.3), 600, 1500, 2600, aspiration=rng.uniform(0.02, 0.07))
            phrase += [breath, PhonemeSegment(0.04)]
        sounds += phrase
        spoken += sum(sound.seconds for sound in phrase)
    while sounds[-1].voicing == 0 or spoken - sounds[-1].seconds > wanted:
        spoken -= sounds.pop().seconds
    # No sound is cut: the tempo is changed to fit the length.
    sounds = [sound._replace(seconds=sound.seconds * wanted / spoken) for sound in sounds]
    return [PhonemeSegment(lead_seconds), *sounds, PhonemeSegment(tail_seconds)]


def _syllable(stressed: bool, rate: float, rng: np.random.Generator) -> list[PhonemeSegment]:
    consonants, vowels = list(CONSONANTS), list(VOWELS)
    onset = [CONSONANTS[consonants[rng.integers(len(consonants))]]] if rng.random() < 0.85 else []
    coda = [CONSONANTS[consonants[rng.integers(len(consonants))]]] if rng.random() < 0.35 else []
    nucleus = VOWELS[vowels[rng.integers(len(vowels))]]
    loudness = rng.lognormal(0.0, 0.2) * (1.15 if stressed else 0.9)
    accent = rng.normal(2.0 if stressed else 0.0, 1.2)
    stretch = (1.2 if stressed else 0.95) / rate
    return [
        segment._replace(
            seconds=segment.seconds * stretch * rng.lognormal(0.0, 0.15),
            f1=segment.f1 * rng.lognormal(0.0, 0.05),
            f2=segment.f2 * rng.lognormal(0.0, 0.04),
            voicing=segment.voicing * loudness,
            frication=segment.frication * rng.lognormal(0.0, 0.2),
            accent=accent,
        )
        for sound in [*onset, nucleus, *coda]
        for segment in sound
    ]
