"""dfx.monitor: finds what drifted and since when, is silent about no change, and says when it cannot tell."""

import dataclasses
import json
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dfx import audio
from dfx.detect import __main__ as detect_command
from dfx.detector import loading
from dfx.detector.input_statistics import DISTANCE, EMBEDDING, MEASURES, InputReference, ReferenceClips
from dfx.detector.operating_card import OperatingCard, add_card_to_checkpoint
from dfx.monitor import __main__ as command
from dfx.tables.manifest import Manifest
from dfx.tracking.observations import LoggedSystem, Observation, ObservationLog, ObservationStore
from setups import artifacts, runs_of, train_run, type_command

DAY = 86_400_000
COLUMNS = (*MEASURES, DISTANCE, f"{EMBEDDING}0", f"{EMBEDDING}1")
LEARNS = ("optimizer.lr=1e-2", "trainer.max_epochs=4", "data.batch_size=4", "patience=4")
SETTINGS = {"kind": "files", "calibrated": True, "low": -1.0, "high": 1.0, "aggregate": "mean"}
MIDDLES = dict.fromkeys(COLUMNS, 0.0) | {"loudness": -20.0, "bandwidth": 7000.0, DISTANCE: 3.0}


def values(generator, count, **shift):
    """Scores and statistics of the input of clips; `shift` is in deviations."""
    names = ("score", *COLUMNS)
    drawn = {name: generator.normal(size=count) + shift.get(name, 0.0) for name in names}
    drawn["clipped"] = np.zeros(count)
    return {name: drawn[name] + MIDDLES.get(name, 0.0) for name in names}


def add_answers(log, first, count, broken=0, coding="pcm_16", seed=0, **shift):
    """Adds answers to a log, the first `broken` of them without a score."""
    drawn = values(np.random.default_rng([seed, first]), count, **shift)
    for row in range(count):
        number, score = first + row, float(drawn["score"][row])
        word = "UNSURE" if -1 < score <= 1 else "REAL"
        facts = (coding, 2.0, score, 0.5, word, "", [drawn[name][row] for name in COLUMNS])
        log.add(Observation(number, None, *(facts if row >= broken else (*[None] * 5, "empty", None))))


def write_log(path, days, system, seed=0):
    """A log with a day for each entry of `days`, the last one ending now: number of answers, broken, shift."""
    counts = [count for count, _, _ in days]
    with ObservationLog(path, system) as log:
        for day, (count, broken, shift) in enumerate(days):
            add_answers(log, sum(counts[:day]), count, broken, seed=seed, **shift)
    now, first = int(time.time() * 1000), 0
    with sqlite3.connect(path) as connection:
        for day, (count, _, _) in enumerate(days):
            start = now - (len(days) - day) * DAY
            connection.execute(
                "UPDATE observations SET time = ? + (id - ?) * ? WHERE id > ? AND id <= ?",
                (start, first, DAY // (count + 1), first, first + count),
            )
            first += count
    return now


@pytest.fixture(scope="module")
def run(home, undrawn_figures, tmp_path_factory):
    """A run on 72 clips of tones in noise, 24 of them dev."""
    folder, generator, rows = tmp_path_factory.mktemp("tones"), np.random.default_rng(0), []
    for number in range(72):
        label, time_axis = number // 3 % 2, np.arange(int(generator.integers(8000, 24000))) / 16000
        waveform = 0.1 * generator.standard_normal(len(time_axis))
        waveform += 0.0 if label else 0.1 * np.sin(6000 * time_axis)
        audio.write_audio(folder / f"{number}.wav", waveform.astype(np.float32), 16000)
        split = ("train", "dev", "eval")[number % 3]
        rows.append((str(number), str(folder / f"{number}.wav"), label, "-" if label else "A", f"s{number % 9}", split))
    table = pd.DataFrame(rows, columns=["id", "path", "label", "attack", "speaker", "split"])
    return train_run("monitored", Manifest(table, name="tones"), home, "model=mlp", "feature=lfcc", *LEARNS), table


@pytest.fixture(scope="module")
def checkpoint(run, tmp_path_factory):
    """A detector whose dev clips are those of `values`."""
    generator = np.random.default_rng(1)
    clips = ReferenceClips(values(generator, 300), np.arange(300) // 2)
    ranges = {name: (MIDDLES[name] - 9.0, MIDDLES[name], MIDDLES[name] + 9.0) for name in MEASURES}
    scores = np.sort(generator.normal(size=100))
    card = OperatingCard(scores + 3, scores - 3, 0.0, 1.0, 0.0, InputReference(ranges, 1.0, None, ("pcm_16",), clips))
    target = tmp_path_factory.mktemp("model") / "best.ckpt"
    add_card_to_checkpoint(artifacts(run[0]) / "checkpoint" / "best.ckpt", card, target)
    return target


@pytest.fixture
def system(checkpoint):
    return LoggedSystem(loading.load_detector(checkpoint).digest, "lcnn", [str(checkpoint)], COLUMNS, SETTINGS)


@pytest.fixture
def watch(home, tmp_path, capfd):
    """Types the command, and returns status, text and the data of the report."""

    def typed(*words):
        capfd.readouterr()
        status = type_command(command.main, f"log={tmp_path / 'log.db'}", f"out={tmp_path / 'out'}", *words)
        said = capfd.readouterr()
        record = tmp_path / "out" / "report.json"
        data = json.loads(record.read_text()) if record.exists() else None
        return SimpleNamespace(status=status, text=said.out + said.err, data=data)

    return typed


def test_no_change_is_no_drift(watch, system, tmp_path):
    write_log(tmp_path / "log.db", [(200, 0, {})] * 3, system)
    found = watch()
    assert found.status == 0
    assert "No drift: the last day is like the reference." in found.text
    assert found.data["drifted"] == []
    assert len(found.data["periods"]) == 3
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<img") == 2
    assert "300 dev clips" in page


def test_a_change_is_found_with_its_direction_and_its_start(watch, system, tmp_path):
    changed = {"bandwidth": -2.0, "score": -1.5}
    now = write_log(tmp_path / "log.db", [(150, 0, {})] * 3 + [(150, 0, changed)] * 2, system)
    found = watch()
    assert found.status == 4
    assert set(found.data["drifted"]) >= {"bandwidth", "score"}
    assert not set(found.data["drifted"]) & {"loudness", "cliff", "dc", "broken"}
    assert "The bandwidth at -65 dB is lower: median 6,998 Hz, reference 7,000 Hz" in found.text
    start = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now / 1000 - 2 * DAY / 1000))
    assert f"Since {start[:-1]}" in found.text
    assert "python -m dfx.train init=" in (tmp_path / "out" / "report.html").read_text()
    (logged,) = [one for one in runs_of("dfx-monitor") if one.data.tags["digest"] == system.digest][:1]
    assert logged.data.metrics["excess/bandwidth"] > 1
    assert "bandwidth" in logged.data.tags["drift"]


def test_unsure_and_broken_files_and_embeddings_are_watched(watch, system, tmp_path):
    write_log(tmp_path / "log.db", [(200, 30, {f"{EMBEDDING}1": 1.5})], system, seed=1)
    found = watch()
    assert found.status == 4
    assert set(found.data["drifted"]) == {"broken", "embedding"}
    assert "share of files without an answer is higher: 15.0 %, reference 0.0 %" in found.text


def test_a_codec_that_dev_has_not_is_found(watch, system, tmp_path):
    write_log(tmp_path / "log.db", [(100, 0, {"coding": "mp3"})], system)
    found = watch()
    assert (found.status, found.data["drifted"]) == (4, ["new_codec"])
    assert "share of codecs that the reference has not is higher: 100.0 %, reference 0.0 %" in found.text


def test_the_log_itself_is_the_reference_where_traffic_is_unlike_dev(watch, system, tmp_path):
    other = {"loudness": 2.0, "score": 1.0}
    now = write_log(tmp_path / "log.db", [(120, 2, other)] * 12, system)
    assert watch().status == 4
    first, last = (time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now / 1000 - days * 86400)) for days in (12, 3))
    found = watch(f"reference={first}..{last}")
    assert found.status == 0
    assert "1,0" in found.data["reference"]
    assert len(found.data["periods"]) == 3  # none before the end of the reference
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("UPDATE systems SET digest = 'gone'")
    assert watch(f"reference={first}..{last}").status == 0  # without the detector


def test_short_references_are_refused_or_get_a_warning(watch, system, tmp_path):
    now = write_log(tmp_path / "log.db", [(60, 0, {})] * 18, system)

    def reference(days):
        first, last = (time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now / 1000 - ago * 86400)) for ago in (days + 3, 3))
        return f"reference={first}..{last}"

    few = str(watch(reference(4)).status)
    assert "has 4 whole periods (day) with answers" in few
    assert "5 at least, better in 14" in few
    found = watch(reference(6))
    assert "Warning: 6 periods say little about ordinary changes" in found.text.replace("\n", " ")
    assert "Warning: 6 periods" in (tmp_path / "out" / "report.html").read_text()
    assert "Warning" not in watch(reference(14)).text
    assert "Warning" not in watch(reference(6), "period=6h").text
    assert "has 3 whole periods (100 answers)" in str(watch(reference(6), "period=100").status)


def test_windows_of_a_stream_need_a_reference_from_the_log(watch, system, tmp_path):
    settings = SETTINGS | {"kind": "stream"}
    now = write_log(tmp_path / "log.db", [(60, 0, {})] * 9, dataclasses.replace(system, settings=settings))
    assert "windows of a stream" in str(watch().status)
    first, last = (time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now / 1000 - days * 86400)) for days in (9, 1))
    assert watch(f"reference={first}..{last}").status == 0


def test_a_period_may_be_a_number_of_answers(watch, system, tmp_path):
    write_log(tmp_path / "log.db", [(200, 0, {}), (100, 0, {"loudness": 2.0})], system)
    found = watch("period=100")
    assert [period["answers"] for period in found.data["periods"]] == [100, 100, 100]
    assert [bool(period["drifted"]) for period in found.data["periods"]] == [False, False, True]
    until = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() - 86400))
    assert watch("period=100", f"until={until}").status == 0


def test_too_few_answers_are_no_silent_ok(watch, system, tmp_path):
    write_log(tmp_path / "log.db", [(100, 0, {}), (29, 0, {})], system)
    found = watch()
    assert found.status == 3
    assert "Too few answers to compare: the last day has 29" in found.text
    assert watch("period=2d").status == 0
    assert watch("until=2020-01-01").status == 3


def test_answers_of_other_settings_and_detectors_are_left_out(watch, system, tmp_path):
    path = tmp_path / "log.db"
    write_log(path, [(100, 0, {"loudness": 3.0})], dataclasses.replace(system, settings=SETTINGS | {"low": -9.0}))
    with ObservationLog(path, system) as log:
        add_answers(log, 1000, 100)
    found = watch()
    assert found.status == 0
    assert found.data["periods"][-1]["answers"] == 100
    assert "other settings" in found.text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["period=1y"], "period=1y: it is a time (30m, 12h, 1d, 2w) or a number of answers"),
        (["since=yesterday"], "since=yesterday: it is a day or a time in UTC"),
        (["reference=2026-01-01"], "give a range of times, FROM..TO"),
        (["reference=2026-02-01..2026-01-01"], "ends before it begins"),
        (["reference=2020-01-01..2020-01-02"], "has 0 answers in the log"),
        (["false_alarm=0"], "it is a rate from 0.001 to below 1"),
        (["false_alarm=0.0001"], "Rarer alarms cannot be told from chance"),
        (["log=absent.db"], "There is no log absent.db"),
        (["model=absent.ckpt"], "There is no detector"),
        (["perod=1d"], "did you mean 'period'?"),
    ],
)
def test_wrong_arguments_get_a_sentence(watch, system, tmp_path, words, sentence):
    write_log(tmp_path / "log.db", [(40, 0, {})], system)
    assert sentence in str(watch(*words).status)


def test_a_detector_without_dev_clips_says_so(watch, system, run, tmp_path):
    old = artifacts(run[0]) / "checkpoint" / "best.ckpt"
    card = dataclasses.replace(loading.load_detector(old).card, reference=None)
    add_card_to_checkpoint(old, card, tmp_path / "old.ckpt")
    digest = loading.load_detector(tmp_path / "old.ckpt").digest
    write_log(tmp_path / "log.db", [(40, 0, {})], dataclasses.replace(system, digest=digest))
    found = watch(f"model={tmp_path / 'old.ckpt'}")
    assert "carries no dev clips to compare with" in str(found.status)
    assert "is another detector now" in str(watch().status)


def test_the_detector_carries_its_dev_clips_as_detect_answers_them(run, tmp_path, monkeypatch, capfd):
    finished, table = run
    model = artifacts(finished) / "checkpoint" / "best.ckpt"
    monkeypatch.chdir(tmp_path)
    dev = table[table["split"] == "dev"]
    Path("bad.wav").touch()
    words = [*dev["path"], "bad.wav", f"model={model}", "num_workers=0", "log=answers.db", "log_paths=true"]
    for _ in range(2):  # files are logged once
        assert type_command(detect_command.main, *words) == 3
    with ObservationStore("answers.db") as store:
        logged = store.read(store.find(store.systems, 0, 1 << 60))
    card = loading.load_detector(model).card
    clips = card.reference.clips
    assert len(logged) == len(dev) + 1
    assert logged.broken.tolist() == [0] * len(dev) + [1]
    assert clips.speakers.tolist() == pd.factorize(dev["speaker"])[0].tolist()
    assert {name for name in clips.columns} == set(logged.columns)
    for name, own in clips.columns.items():
        own = np.array([card.llr(one) for one in own]) if name == "score" and card.slope else own
        np.testing.assert_allclose(logged.columns[name][:-1], own, rtol=1e-4, atol=2e-4, err_msg=name)
    with sqlite3.connect("answers.db") as connection:
        paths = [row[0] for row in connection.execute("SELECT path FROM observations ORDER BY id")]
    assert paths == [*dev["path"], str(tmp_path / "bad.wav")]
    capfd.readouterr()
    assert type_command(command.main, "log=answers.db", "period=10") in (0, 3)
