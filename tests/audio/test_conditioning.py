from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from dfx import audio
from dfx.audio import conditioned_store, low_pass
from dfx.audio import conditioning as chain
from dfx.audio.conditioned_store import ConditionedStore, conditioned
from dfx.audio.conditioning import Chain, Conditions, condition
from dfx.audio.low_pass import LowPass, Waveform
from dfx.audio.store import WaveformStore, open_store
from dfx.config.schema import CONF_DIR, register_schema
from dfx.detector import checks
from dfx.tables.manifest import Manifest

RATE = 16000
ALL = Conditions(bandwidth_hz=3000, trim_db=30, loudness_db=-23)


def tone(hz: float, seconds: float = 1.0, rate: int = RATE) -> Waveform:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def noise(num_samples: int, seed: int = 0) -> Waveform:
    return (0.1 * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


def rms_db(waveform: Waveform) -> float:
    return float(10 * np.log10(np.mean(np.square(waveform, dtype=np.float64))))


@pytest.fixture(scope="module")
def store(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> WaveformStore:
    return open_store(corpus, RATE, cache=tmp_path_factory.mktemp("cache"), progress=False)


# The low-pass


@pytest.mark.parametrize(("rate", "bandwidth"), [(16000, 7200), (16000, 3400), (44100, 8000), (8000, 4000)])
def test_a_tone_above_the_bandwidth_vanishes_and_one_below_survives(rate: int, bandwidth: float) -> None:
    conditions = Conditions(bandwidth_hz=bandwidth)
    inner = slice(rate // 4, -rate // 4)  # an end of a tone has every frequency
    for hz in np.linspace(50, bandwidth - rate / 80, 7):
        kept = condition(tone(hz, rate=rate), rate, conditions)
        np.testing.assert_allclose(kept[inner], tone(hz, rate=rate)[inner], atol=3e-4)
    for hz in np.linspace(bandwidth, 0.49 * rate, 7) if bandwidth < 0.49 * rate else []:
        left = condition(tone(hz, rate=rate), rate, conditions)
        assert rms_db(left[inner]) < rms_db(tone(hz, rate=rate)) - 79.5


def test_the_low_pass_delays_nothing_and_keeps_the_length() -> None:
    for position in (0, 5, 1642, 2999):
        click = np.zeros(3000, np.float32)
        click[position] = 1
        filtered = condition(click, RATE, Conditions(bandwidth_hz=7200))
        assert len(filtered) == 3000
        assert np.argmax(filtered) == position
    symmetric = condition(np.eye(1, 3001, 1500, dtype=np.float32)[0], RATE, Conditions(bandwidth_hz=7200))
    np.testing.assert_allclose(symmetric, symmetric[::-1], atol=1e-6)


def test_a_slice_of_the_filtered_clip_is_the_filtered_slice() -> None:
    clip = noise(12345)
    filtering = LowPass(3000, RATE)

    def read(start: int, num_samples: int) -> Waveform:
        return clip[start : start + num_samples]

    whole = filtering.read(read, len(clip), 0, len(clip))
    generator = np.random.default_rng(1)
    slices = [(0, 0), (7, 7), (12345, 12345), (0, 1), (12344, 12345), (1641, 1643), (0, 1642), (1642, 3284)]
    slices += [tuple(sorted(generator.integers(0, 12346, 2))) for _ in range(200)]
    for start, stop in slices:
        np.testing.assert_array_equal(filtering.read(read, len(clip), start, stop), whole[start:stop])


def test_a_long_clip_is_worked_on_in_pieces_to_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = noise(40001)
    whole = condition(clip, RATE, ALL)
    monkeypatch.setattr(low_pass, "PIECE_BLOCKS", 3)
    monkeypatch.setattr(chain, "PIECE_FRAMES", 7)
    np.testing.assert_array_equal(condition(clip, RATE, ALL), whole)


@pytest.mark.parametrize("length", [1, 2, 100, 159, 160, 161, 407, 1642, 1643])
def test_a_clip_of_any_length_stays_a_clip(length: int) -> None:
    for clip in (noise(length), np.zeros(length, np.float32)):
        for conditions in (
            ALL,
            Conditions(bandwidth_hz=400),
            Conditions(trim_db=1),
            Conditions(loudness_db=0),
        ):
            result = condition(clip, RATE, conditions)
            assert 0 < len(result) <= length
            assert result.dtype == np.float32
            assert np.isfinite(result).all()


# Silent ends


def test_trimming_finds_the_ends() -> None:
    speech = noise(8000)
    clip = np.concatenate([0.001 * noise(4800, 1), speech, 0.001 * noise(3200, 2)])
    np.testing.assert_array_equal(condition(clip, RATE, Conditions(trim_db=40)), speech)
    ragged = np.concatenate([np.zeros(4801, np.float32), speech, np.zeros(3333, np.float32)])
    assert len(speech) <= len(condition(ragged, RATE, Conditions(trim_db=40))) <= len(speech) + 2 * 160
    np.testing.assert_array_equal(condition(clip, RATE, Conditions(trim_db=90)), clip)


def test_a_pause_inside_stays() -> None:
    clip = np.concatenate([noise(1600), np.zeros(16000, np.float32), noise(1600)])
    np.testing.assert_array_equal(condition(clip, RATE, Conditions(trim_db=40)), clip)


def test_a_clip_is_never_trimmed_to_nothing() -> None:
    silent = np.zeros(5000, np.float32)
    np.testing.assert_array_equal(condition(silent, RATE, Conditions(trim_db=40)), silent)
    click = np.zeros(5000, np.float32)
    click[4999] = 0.5
    kept = condition(click, RATE, Conditions(trim_db=0.1))
    assert 0 < len(kept) <= 160
    assert kept[-1] == 0.5


# The level


@pytest.mark.parametrize("level", [-40, -23, 0])
def test_the_level_is_reached(level: float) -> None:
    for clip in (noise(7001), 0.02 * tone(300), noise(500)):
        assert rms_db(condition(clip, RATE, Conditions(loudness_db=level))) == pytest.approx(level, abs=1e-4)


def test_the_level_is_that_of_what_the_other_steps_leave() -> None:
    clip = np.concatenate([np.zeros(16000, np.float32), noise(16000) + 0.5 * tone(6000)])
    result = condition(clip, RATE, ALL)
    assert len(result) <= 16000 + 2 * 160
    assert rms_db(result) == pytest.approx(-23, abs=1e-3)


def test_silence_stays_silent_and_a_whisper_gains_no_more_than_40_db() -> None:
    assert not condition(np.zeros(4000, np.float32), RATE, ALL).any()
    faint = np.full(4000, 1 / 32768, np.float32)
    lifted = condition(faint, RATE, Conditions(loudness_db=-23))
    np.testing.assert_allclose(lifted, 100 * faint, rtol=1e-6)


# Values that cannot be


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (
            "bandwidth_hz=9000",
            "a low-pass at 16000 Hz ends between 400 and 8000 Hz; use a frequency from there",
        ),
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
def test_a_value_that_cannot_be_is_a_sentence_before_anything_is_read(option: str, sentence: str) -> None:
    register_schema()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("train", overrides=[f"conditioning.{option}"])
    with pytest.raises(ValueError, match=r"does not fit: conditioning\.[a-z_]+=") as error:
        checks.check(cfg)
    assert sentence in str(error.value)
    with pytest.raises(ValueError, match=sentence):
        Chain(Conditions.of(cfg.conditioning), RATE)


# The store


def test_without_conditions_there_is_nothing_in_between(corpus: Manifest, store: WaveformStore) -> None:
    assert conditioned(store, corpus, Conditions.of({"pad": "repeat", "trim_db": None})) is store


@pytest.mark.parametrize(
    "conditions",
    [ALL, Conditions(bandwidth_hz=3000), Conditions(trim_db=3), Conditions(loudness_db=-30)],
    ids=["all", "bandwidth", "trim", "loudness"],
)
def test_the_store_gives_every_clip_of_both_classes_as_condition_does(
    conditions: Conditions, corpus: Manifest, store: WaveformStore
) -> None:
    clips = conditioned(store, corpus, conditions, progress=False)
    assert isinstance(clips, ConditionedStore)
    assert (len(clips), clips.sample_rate, clips.path) == (len(store), RATE, store.path)
    generator = np.random.default_rng(2)
    for row, path in enumerate(corpus.table["path"]):
        whole = condition(audio.read(path, RATE), RATE, conditions)
        assert clips.length(row) == clips.lengths[row] == len(whole)
        np.testing.assert_array_equal(clips.read(row), whole)
        start = int(generator.integers(0, len(whole)))
        np.testing.assert_array_equal(clips.read(row, start, 3000), whole[start : start + 3000])
        assert len(clips.read(row, len(whole), 5)) == 0
        with pytest.raises(ValueError, match="start inside it"):
            clips.read(row, len(whole) + 1, 5)


def test_a_copy_in_another_process_reads_the_same(corpus: Manifest, store: WaveformStore) -> None:
    clips = conditioned(store, corpus, ALL, progress=False)
    sent = pickle.loads(pickle.dumps(clips))
    np.testing.assert_array_equal(sent.lengths, clips.lengths)
    np.testing.assert_array_equal(sent.read(3, 10, 2000), clips.read(3, 10, 2000))


def test_a_bad_file_stays_bad(corpus: Manifest, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not audio")
    table = corpus.table.copy()
    table.loc[5, "path"] = str(broken)
    manifest = Manifest(table, name="tones")
    raw = open_store(manifest, RATE, cache=tmp_path, max_bad_fraction=0.1, progress=False)
    for conditions in (ALL, Conditions(bandwidth_hz=3000)):
        clips = conditioned(raw, manifest, conditions, progress=False)
        assert clips.length(5) == -1
        assert (clips.lengths > 0).sum() == 47
        assert clips.bad["id"].tolist() == ["u5"]
        with pytest.raises(ValueError, match="Row 5 is a bad file"):
            clips.read(5, 0, 100)


# What was measured is kept


@pytest.fixture
def fresh(corpus: Manifest, tmp_path: Path) -> WaveformStore:
    return open_store(corpus, RATE, cache=tmp_path, progress=False)


def kept(store: WaveformStore) -> list[Path]:
    return sorted(store.path.glob("conditions-*"))


def test_the_second_opening_measures_nothing(
    corpus: Manifest, fresh: WaveformStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = conditioned(fresh, corpus, ALL, progress=False)
    shuffled = Manifest(corpus.table.sample(frac=1, random_state=0).reset_index(drop=True), "tones")
    other = open_store(shuffled, RATE, cache=fresh.path.parents[1], progress=False)
    assert other.path == fresh.path
    monkeypatch.delattr(conditioned_store, "_measure")
    again = conditioned(fresh, corpus, ALL, progress=False)
    np.testing.assert_array_equal(again.lengths, first.lengths)
    moved = conditioned(other, shuffled, ALL, progress=False)
    for row, name in enumerate(shuffled.table["id"].head(8)):
        np.testing.assert_array_equal(moved.read(row), first.read(int(name[1:])))
    with pytest.raises(NameError):
        conditioned(fresh, corpus, ALL._replace(trim_db=20), progress=False)


def test_what_is_damaged_is_measured_again(corpus: Manifest, fresh: WaveformStore) -> None:
    first = conditioned(fresh, corpus, ALL, progress=False)
    (path,) = kept(fresh)
    path.write_bytes(path.read_bytes()[:200])
    again = conditioned(fresh, corpus, ALL, progress=False)
    np.testing.assert_array_equal(again.lengths, first.lengths)
    np.testing.assert_array_equal(again.read(1), first.read(1))


def test_a_file_that_a_repair_of_the_store_has_decoded_is_measured(
    corpus: Manifest, fresh: WaveformStore
) -> None:
    first = conditioned(fresh, corpus, ALL, progress=False)
    (path,) = kept(fresh)
    arrays = dict(np.load(path))
    arrays["lengths"][3] = -1  # as if it had been bad when the clips were measured
    np.savez(path, **arrays)
    assert conditioned(fresh, corpus, ALL, progress=False).lengths.tolist() == first.lengths.tolist()


def test_a_kill_leaves_nothing_half(corpus: Manifest, corpus_file: Path, fresh: WaveformStore) -> None:
    program = (
        "import os, signal, sys, numpy\n"
        "from dfx.audio import store\n"
        "from dfx.audio.conditioned_store import conditioned\n"
        "from dfx.audio.conditioning import Conditions\n"
        "from dfx.tables import manifest\n"
        "def half(file, **arrays):\n"
        "    file.write(b'PK half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "table = manifest.read(sys.argv[1])\n"
        "clips = store.open_store(table, 16000, cache=sys.argv[2], progress=False)\n"
        "numpy.savez = half\n"
        "conditioned(clips, table, Conditions(3000, 30, -23), False)\n"
    )
    command = [sys.executable, "-c", program, str(corpus_file), str(fresh.path.parents[1])]
    assert subprocess.run(command, timeout=60, check=False).returncode == -9
    assert [path.suffix for path in kept(fresh)] == [".tmp"]
    clips = conditioned(fresh, corpus, ALL, progress=False)
    assert [path.suffix for path in kept(fresh)] == [".npz"]
    whole = condition(audio.read(corpus.table["path"][0], RATE), RATE, ALL)
    np.testing.assert_array_equal(clips.read(0), whole)


def test_an_error_while_writing_leaves_nothing(
    corpus: Manifest, fresh: WaveformStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(OSError, match="no space"):
            conditioned(fresh, corpus, ALL, progress=False)
    assert kept(fresh) == []
    assert len(conditioned(fresh, corpus, ALL, progress=False)) == len(fresh)


def test_two_that_ask_at_once_measure_once(
    corpus: Manifest, fresh: WaveformStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, calls, gate = conditioned_store._measure, [], threading.Barrier(2)

    def counted(*arguments: object) -> object:
        calls.append(1)
        return measure(*arguments)  # type: ignore[arg-type]

    def ask() -> None:
        gate.wait()
        results.append(conditioned(fresh, corpus, ALL, progress=False).lengths)

    monkeypatch.setattr(conditioned_store, "_measure", counted)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    np.testing.assert_array_equal(*results)
