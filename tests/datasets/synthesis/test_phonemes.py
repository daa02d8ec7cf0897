import numpy as np
import pytest

from dfx.datasets.synthesis.phonemes import random_phoneme_sentence


@pytest.mark.parametrize("seconds", [1.0, 3.3, 8.0])
def test_a_sentence_fills_its_time_and_keeps_its_pauses(seconds):
    sounds = random_phoneme_sentence(seconds, 0.2, 0.1, 1.0, np.random.default_rng(1))
    assert sum(sound.seconds for sound in sounds) == pytest.approx(seconds)
    assert (sounds[0].seconds, sounds[-1].seconds) == (0.2, 0.1)
    assert sounds[0].voicing == sounds[-1].voicing == 0
    assert min(sound.seconds for sound in sounds) > 0


def test_a_sentence_has_every_kind_of_sound():
    sounds = random_phoneme_sentence(30.0, 0.1, 0.1, 1.0, np.random.default_rng(2))
    assert any(sound.voicing > 0.5 for sound in sounds)
    assert any(sound.frication > 0.2 and sound.voicing == 0 for sound in sounds)
    assert any(sound.seconds < 0.03 and sound.frication > 0.5 for sound in sounds), "no plosive burst"
    assert any(sound.voicing + sound.aspiration + sound.frication == 0 for sound in sounds[1:-1]), "no pause"
