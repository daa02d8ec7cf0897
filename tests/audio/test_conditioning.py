import numpy as np
import pytest

from dfx import audio
from dfx.audio import conditioning, parts
from dfx.audio.conditioning import Conditions, condition_clip
from dfx.audio.store import open_store
from dfx.detector import checks
from dfx.tables.manifest import Manifest
from setups import composed

RATE = 16000
STEP = 1 / 32768  # of 16-bit samples
ALL = Conditions(bandwidth_hz=3000, trim_db=30, loudness_db=-23)


def tone(hz, seconds=1.0, rate=RATE):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def noise(num_samples, seed=0):
    """Noise as a store has it: in steps of 16 bits."""
    steps = np.rint(0.1 / STEP * np.random.default_rng(seed).standard_normal(num_samples))
    return (STEP * steps).astype(np.float32)


def rms_db(waveform):
    return float(10 * np.log10(np.mean(np.square(waveform, dtype=np.float64)) + 1e-20))


# The low-pass


@pytest.mark.parametrize(("rate", "bandwidth"), [(16000, 7200), (16000, 3400), (44100, 8000), (8000, 4000)])
def test_a_tone_above_the_bandwidth_vanishes_and_one_below_survives(rate, bandwidth):
    conditions = Conditions(bandwidth_hz=bandwidth)
    inner = slice(rate // 4, -rate // 4)  # an end of a tone has every frequency
    for hz in np.linspace(50, bandwidth - rate / 80, 7):
        kept = condition_clip(tone(hz, rate=rate), rate, conditions)
        np.testing.assert_allclose(kept[inner], tone(hz, rate=rate)[inner], atol=3e-4)
    for hz in np.linspace(bandwidth, 0.49 * rate, 7) if bandwidth < 0.49 * rate else []:
        left = condition_clip(tone(hz, rate=rate), rate, conditions)
        assert rms_db(left[inner]) < rms_db(tone(hz, rate=rate)) - 79.5


def test_the_low_pass_delays_nothing_and_keeps_the_length():
    for position in (0, 5, 1642, 2999):
        click = np.zeros(3000, np.float32)
        click[position] = 1
        filtered = condition_clip(click, RATE, Conditions(bandwidth_hz=7200))
        assert len(filtered) == 3000
        assert np.argmax(filtered) == position
    symmetric = condition_clip(np.eye(1, 3001, 1500, dtype=np.float32)[0], RATE, Conditions(bandwidth_hz=7200))
    np.testing.assert_allclose(symmetric, symmetric[::-1], atol=1.01 * STEP)


def test_a_long_clip_is_worked_on_in_pieces_to_the_same_samples(monkeypatch):
    clip = noise(40001)
    whole = condition_clip(clip, RATE, ALL)
    monkeypatch.setattr(conditioning, "PIECE_FRAMES", 7)
    np.testing.assert_allclose(condition_clip(clip, RATE, ALL), whole, atol=1.01 * STEP)


def test_what_comes_out_is_rounded_to_16_bits_and_nothing_is_done_without_conditions():
    clip = noise(5000)
    assert condition_clip(clip, RATE, Conditions.of({"pad": "repeat", "trim_db": None})) is clip
    steps = condition_clip(clip, RATE, ALL) / STEP
    np.testing.assert_array_equal(steps, np.rint(steps))


@pytest.mark.parametrize("length", [1, 2, 100, 159, 160, 161, 407, 1642, 1643])
def test_a_clip_of_any_length_stays_a_clip(length):
    for clip in (noise(length), np.zeros(length, np.float32)):
        for conditions in (ALL, Conditions(bandwidth_hz=400), Conditions(trim_db=1), Conditions(loudness_db=0)):
            result = condition_clip(clip, RATE, conditions)
            assert 0 < len(result) <= length
            assert result.dtype == np.float32
            assert np.isfinite(result).all()


# Silent ends


def test_trimming_finds_the_ends():
    speech = noise(8000)
    clip = np.concatenate([0.001 * noise(4800, 1), speech, 0.001 * noise(3200, 2)])
    np.testing.assert_array_equal(condition_clip(clip, RATE, Conditions(trim_db=40)), speech)
    ragged = np.concatenate([np.zeros(4801, np.float32), speech, np.zeros(3333, np.float32)])
    assert len(speech) <= len(condition_clip(ragged, RATE, Conditions(trim_db=40))) <= len(speech) + 2 * 160
    np.testing.assert_allclose(condition_clip(clip, RATE, Conditions(trim_db=90)), clip, atol=STEP)


def test_a_pause_inside_stays():
    clip = np.concatenate([noise(1600), np.zeros(16000, np.float32), noise(1600)])
    np.testing.assert_array_equal(condition_clip(clip, RATE, Conditions(trim_db=40)), clip)


def test_a_clip_is_never_trimmed_to_nothing():
    silent = np.zeros(5000, np.float32)
    np.testing.assert_array_equal(condition_clip(silent, RATE, Conditions(trim_db=40)), silent)
    click = np.zeros(5000, np.float32)
    click[4999] = 0.5
    kept = condition_clip(click, RATE, Conditions(trim_db=0.1))
    assert 0 < len(kept) <= 160
    assert kept[-1] == 0.5


# The level


@pytest.mark.parametrize("level", [-40, -23, 0])
def test_the_level_is_reached(level):
    for clip in (noise(7001), 0.02 * tone(300), noise(500)):
        assert rms_db(condition_clip(clip, RATE, Conditions(loudness_db=level))) == pytest.approx(level, abs=2e-3)


def test_the_level_is_that_of_what_the_other_steps_leave():
    clip = np.concatenate([np.zeros(16000, np.float32), noise(16000) + 0.5 * tone(6000)])
    result = condition_clip(clip, RATE, ALL)
    assert len(result) <= 16000 + 2 * 160
    assert rms_db(result) == pytest.approx(-23, abs=1e-3)


def test_silence_stays_silent_and_a_whisper_gains_no_more_than_40_db():
    assert not condition_clip(np.zeros(4000, np.float32), RATE, ALL).any()
    faint = np.full(4000, 1 / 32768, np.float32)
    lifted = condition_clip(faint, RATE, Conditions(loudness_db=-23))
    np.testing.assert_allclose(lifted, 100 * faint, atol=STEP)


# Values that cannot be


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("bandwidth_hz=9000", "a low-pass at 16000 Hz ends between 400 and 8000 Hz; use a frequency from there"),
        ("bandwidth_hz=0", "ends between 400 and 8000 Hz"),
        ("bandwidth_hz=-1", "ends between 400 and 8000 Hz"),
        ("bandwidth_hz=nan", "ends between 400 and 8000 Hz"),
        ("trim_db=0", "silence begins; use a positive number"),
        ("trim_db=-40", "silence begins; use a positive number"),
        ("trim_db=inf", "silence begins; use a positive number"),
        ("loudness_db=3", "use a number from -100 to 0"),
        ("loudness_db=-inf", "use a number from -100 to 0"),
    ],
)
def test_a_value_that_cannot_be_is_a_sentence_before_anything_is_read(option, sentence):
    cfg = composed(f"conditioning.{option}")
    with pytest.raises(ValueError, match=r"does not fit: conditioning\.[a-z_]+=") as error:
        checks.check_config(cfg)
    assert sentence in str(error.value)
    with pytest.raises(ValueError, match=sentence):
        condition_clip(noise(100), RATE, Conditions.of(cfg.conditioning))


# The store


@pytest.mark.parametrize(
    "conditions",
    [ALL, Conditions(bandwidth_hz=3000), Conditions(trim_db=3), Conditions(loudness_db=-30)],
    ids=["all", "bandwidth", "trim", "loudness"],
)
def test_the_store_gives_every_clip_of_both_classes_as_condition_does(conditions, corpus, tmp_path, capsys):
    clips = open_store(corpus, RATE, conditions, tmp_path)
    assert f"Conditioning 48 clips, once, to about 1.6 MiB in {clips.path}" in capsys.readouterr().err
    assert (len(clips), clips.sample_rate) == (len(corpus), RATE)
    assert clips.path.name == f"v3-16000-{conditions.key(RATE)}"
    generator = np.random.default_rng(2)
    for row, path in enumerate(corpus.table["path"]):
        whole = condition_clip(audio.read_audio(path, RATE), RATE, conditions)
        assert clips.lengths[row] == len(whole)
        np.testing.assert_array_equal(clips.read(row), whole)
        start = int(generator.integers(0, len(whole)))
        np.testing.assert_array_equal(clips.read(row, start, 3000), whole[start : start + 3000])
        assert len(clips.read(row, len(whole), 5)) == 0
        with pytest.raises(ValueError, match="start inside it"):
            clips.read(row, len(whole) + 1, 5)
    before = parts.part_names(clips.path)
    other = Manifest(corpus.table.sample(frac=1, random_state=0).reset_index(drop=True), "tones")
    again = open_store(other, RATE, conditions, tmp_path, progress=False)
    assert capsys.readouterr().err == ""
    assert parts.part_names(again.path) == before
    for row, name in enumerate(other.table["id"].head(8)):
        np.testing.assert_array_equal(again.read(row), clips.read(int(name[1:])))


def test_a_bad_file_stays_bad_and_each_choice_has_its_own_folder(corpus, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not audio")
    table = corpus.table.copy()
    table.loc[5, "path"] = str(broken)
    for conditions in (ALL, ALL._replace(trim_db=20)):
        clips = open_store(
            Manifest(table), RATE, conditions, tmp_path, max_bad_fraction=0.1, num_workers=0, progress=False
        )
        assert clips.lengths[5] == -1
        assert (clips.lengths > 0).sum() == 47
        assert clips.bad["id"].tolist() == ["u5"]
        with pytest.raises(ValueError, match="Row 5 is a bad file"):
            clips.read(5, 0, 100)
    assert len(list((tmp_path / "waveforms").iterdir())) == 3
