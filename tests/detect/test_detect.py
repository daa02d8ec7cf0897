"""dfx.detect: files, folders and streams get an answer each, and bad input a reason."""

import csv
import io
import json
import os
import shutil
import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import dfx
from dfx.detect import __main__ as command
from dfx.detector import file_detection, loading
from dfx.detector.answers import ThresholdChoice, decision_rule
from dfx.detector.file_detection import DetectionOptions, detect_files
from dfx.detector.input_statistics import InputReference
from dfx.detector.operating_card import add_card_to_checkpoint
from dfx.tracking.observations import ObservationStore
from setups import artifacts, train_run, type_command

RATE = 16000
LEARNS = ("model=mlp", "feature=lfcc", "optimizer.lr=1e-2", "trainer.max_epochs=8", "data.batch_size=4", "patience=8")


@pytest.fixture(scope="module")
def checkpoint(corpus, home, undrawn_figures):
    run = train_run("detect", corpus, home, *LEARNS)
    return artifacts(run) / "checkpoint" / "best.ckpt"


@pytest.fixture
def detect(checkpoint, tmp_path, monkeypatch, capfd):
    """Types the command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DFX_CACHE", str(tmp_path / "cache"))

    def typed(*words, model=checkpoint):
        capfd.readouterr()
        chosen = [] if model is None else [f"model={model}"]
        status = type_command(command.main, *chosen, "num_workers=0", *words)
        return SimpleNamespace(status=status, **dict(zip(("out", "err"), capfd.readouterr(), strict=True)))

    return typed


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def noise(seconds, seed=0, tone=0.0):
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.1 * np.random.default_rng(seed).standard_normal(len(time)) + 0.1 * tone * np.sin(2000 * np.pi * time)


def test_files_are_told_apart_and_score_as_loaded(detect, checkpoint, corpus, tmp_path):
    table = corpus.split("dev").table
    found = detect(*table["path"], "csv=-")
    assert found.status == 0
    rows = rows_of(found.out)
    detector = dfx.load(checkpoint)
    for row, path, label in zip(rows, table["path"], table["label"], strict=True):
        assert row["path"] == path
        score = float(row["score"])
        whole = decision_rule([detector.card], ThresholdChoice(), "x")
        assert float(row["threshold"]) == pytest.approx(whole.threshold)
        assert row["prediction"] == ("REAL" if label else "FAKE")
        assert (score > 0) == bool(label)
        assert float(row["fake_probability"]) == pytest.approx(1 / (1 + np.exp(score)))


def test_the_score_is_that_of_sliding_windows(checkpoint, corpus, tmp_path):
    detector = dfx.load(checkpoint)
    rule = decision_rule([detector.card], ThresholdChoice(), "x")
    paths = corpus.split("eval").table["path"].tolist()
    sliding = dfx.load(checkpoint)
    sliding.config["data"]["eval_crop"] = "sliding"
    for answer in detect_files([detector], rule, paths, DetectionOptions(num_workers=0, cache=str(tmp_path))):
        assert answer.score == pytest.approx(detector.card.llr(sliding.score(answer.path)), abs=1e-5)


def test_folders_patterns_and_odd_names(detect, tmp_path, checkpoint):
    odd = tmp_path / "my thesis (2)=ü," / "sub"
    for name in ("a b.wav", "x=y.wav", "-dash.wav", "z.flac"):
        odd.mkdir(parents=True, exist_ok=True)
        soundfile.write(odd / name, noise(1), RATE)
    copied = odd / "best, of (all).ckpt"
    shutil.copy(checkpoint, copied)
    assert len(rows_of(detect(str(odd.parent), "csv=-", model=copied).out)) == 4
    assert len(rows_of(detect("my*/sub/*.wav", "csv=-").out)) == 3
    shutil.copy(odd / "x=y.wav", "x=y.wav")
    named = detect("csv=-", "--", "x=y.wav", "x=y.wav", model=copied)
    assert [row["path"] for row in rows_of(named.out)] == ["x=y.wav"]


def test_files_are_named_below_their_common_folder(detect, tmp_path):
    for name in ("one/a.wav", "one/b.wav", "two/a.wav"):
        (tmp_path / "calls" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "calls" / name, noise(2), 16000)
    shown = detect(str(tmp_path / "calls")).out
    assert "│ two/a.wav" in shown
    assert str(tmp_path) not in shown
    assert "│ a.wav" in detect(str(tmp_path / "calls" / "two")).out


def test_bad_files_have_a_reason_and_stop_nothing(detect, tmp_path):
    soundfile.write("good.wav", noise(2), 44100)
    soundfile.write("stereo.wav", np.stack([noise(1), noise(1, 1)], 1), 48000)
    soundfile.write("short.wav", noise(0.1), RATE)
    soundfile.write("nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    Path("empty.wav").touch()
    Path("text.mp3").write_text("this is no sound")
    Path("dangling.wav").symlink_to("nowhere.wav")
    Path("loop.wav").symlink_to("loop.wav")
    soundfile.write("long.wav", noise(5), RATE)
    names = ["good", "empty", "text", "nan", "short", "dangling", "absent", "loop", "long", "stereo"]
    files = [f"{name}.{'mp3' if name == 'text' else 'wav'}" for name in names]
    found = detect(*files, "csv=answers.csv", "limits.hours=0.001")  # 3.6 s
    assert found.status == 3
    rows = {Path(row["path"]).stem: row for row in rows_of(Path("answers.csv").read_text())}
    assert [name for name in names if not rows[name]["reason"]] == ["good", "short", "stereo"]
    reasons = {
        "empty": "the file is empty",
        "text": "no decoder",
        "nan": "NaN",
        "dangling": "does not exist",
        "absent": "does not exist",
        "loop": "links lead to each other: remove one of them",
        "long": "it is longer than 0.001 hours (limits.hours): cut it into pieces",
    }
    for name, reason in reasons.items():
        assert reason in rows[name]["reason"]
        assert rows[name]["score"] == ""
        assert f"{name}" in found.out
    assert "10 files: " in found.out
    assert "7 no answer" in found.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Name the files to look at"),
        (["nowhere/*.wav"], "No file matches 'nowhere/*.wav'"),
        (["."], "There is no audio or video file below ."),
        (["-", "a.wav"], "- stands for standard input and must be the only path"),
        (["a.wav", "aggregate=median"], "aggregate=median: use one of mean, maximum, top_k, voiced."),
        (["a.wav", "preset=s4_v2", "hop_seconds=1"], "preset=s4_v2 says the windows already"),
        (["a.wav", "hop_seconds=9"], "hop_seconds=9.0 is longer than a window, 0.5 s"),
        (["a.wav", "threshold=0", "false_alarm=0.1"], "give one of them"),
        (["a.wav", "c_miss=1"], "give both"),
        (["a.wav", "limits.hours=0"], "limits.hours=0.0: it must be positive"),
        (["a.wav", "p_spoof=1"], "lies between 0 and 1"),
        (["a.wav", "json=-", "csv=-"], "both write to standard output"),
        (["a.wav", "windw_seconds=1"], "did you mean 'window_seconds'?"),
        (["a.wav", "b.wav", "plot=a.png"], "name a folder instead"),
    ],
)
def test_wrong_arguments_get_a_sentence(detect, words, sentence):
    found = detect(*words)
    assert sentence in f"{found.status} {found.err}"


def test_without_a_model_a_sentence_says_how_to_get_one(detect, home):
    found = detect("a.wav", model=None)
    assert "there is none called models:/dfx@champion" in str(found.status)
    assert "give model=best.ckpt" in str(found.status)


def test_a_stopped_folder_continues_and_another_threshold_scores_nothing_again(detect, monkeypatch, tmp_path):
    files = [f"{number}.wav" for number in range(6)]
    for number, name in enumerate(files):
        soundfile.write(name, noise(1, number), RATE)
    real, count = file_detection.measure_waveform, []

    def stops(clips, row):
        count.append(row)
        if len(count) == 4:
            raise KeyboardInterrupt
        return real(clips, row)

    monkeypatch.setattr(file_detection, "measure_waveform", stops)
    assert "Interrupted" in str(detect(*files, "csv=-").status)
    again = detect(*files, "csv=first.csv")
    assert again.status == 0
    assert len(count) == 4 + 3  # three were finished, three are left
    detect(*files, "csv=-", "aggregate=maximum", "threshold=1", "p_spoof=0.1")
    assert len(count) == 7
    detect(*files, "csv=second.csv", "rerun=true")
    assert len(count) == 13
    first, second = (rows_of(Path(name).read_text()) for name in ("first.csv", "second.csv"))
    assert [row["score"][:7] for row in first] == [row["score"][:7] for row in second]
    assert not list((tmp_path / "cache" / "detect").iterdir())  # no audio stays


def test_json_follows_its_schema_and_pictures_are_written(detect, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    soundfile.write("clip.wav", noise(3), 22050)
    Path("bad.wav").touch()
    found = detect("clip.wav", "bad.wav", "json=out.json", "plot=pictures", "report=page.html")
    assert found.status == 3
    document = json.loads(Path("out.json").read_text())
    schema = Path(__file__).parents[2] / "docs" / "detect.schema.json"
    jsonschema.validate(document, json.loads(schema.read_text()))
    good, bad = document["files"]
    assert good["properties"] == {
        "duration_seconds": pytest.approx(3 * RATE / 22050, abs=1e-4),
        "sample_rate": 22050,
        "channels": 1,
    }
    assert good["metrics"]["num_chunks"] == len(good["windows"]) > 1
    assert good["pitch"].keys() == {"mean_pitch_hz", "pitch_stability_score"}
    assert (bad["error"], bad["prediction"]) == ("the file is empty (0 bytes)", None)
    assert [path.name for path in Path("pictures").iterdir()] == ["clip.wav.png"]
    page = Path("page.html").read_text()
    assert "<audio" in page
    assert "the file is empty" in page


def test_a_codec_that_dev_has_not_is_said(detect, checkpoint, tmp_path):
    # The dev split of this corpus is too small for statistics of its own.
    card = replace(dfx.load(checkpoint).card, reference=InputReference({}, 1.0, None, ("lossless",)))
    add_card_to_checkpoint(checkpoint, card, tmp_path / "model.ckpt")
    for name, subtype in (("a.wav", "PCM_16"), ("b.wav", "ALAW"), ("c.ogg", "VORBIS"), ("d.mp3", "MPEG_LAYER_III")):
        soundfile.write(tmp_path / name, noise(3), 16000, subtype=subtype)
    detect("?.*", "json=answers.json", model=tmp_path / "model.ckpt")
    found = {Path(one["path"]).name: one for one in json.loads(Path("answers.json").read_text())["files"]}
    said = {name: [text for text in one["warnings"] if "coding" in text] for name, one in found.items()}
    assert said["a.wav"] == []
    for name, codec in (("b.wav", "alaw"), ("c.ogg", "vorbis"), ("d.mp3", "mp3")):
        assert f"coding {codec} (dev: lossless)" in said[name][0]
        assert found[name]["prediction"] == "UNSURE"


def test_presets_refuse_short_clips(detect):
    soundfile.write("short.wav", noise(0.3), RATE)
    found = detect("short.wav", "strict_length=true", "csv=-")
    (row,) = rows_of(found.out)
    assert row["reason"].startswith("it lasts 0.30 s, shorter than a window of 0.5 s")
    assert rows_of(detect("short.wav", "csv=-").out)[0]["num_windows"] == "1"
    assert "preset" in str(detect("short.wav", "preset=s4_v9").status)


def test_several_detectors_are_fused(detect, checkpoint, tmp_path):
    soundfile.write("clip.wav", noise(2), RATE)
    other = tmp_path / "other.ckpt"
    shutil.copy(checkpoint, other)
    one, both = (
        rows_of(detect("clip.wav", "csv=-", model=model).out)[0] for model in (other, f"[{checkpoint},{other}]")
    )
    assert float(both["score"]) == pytest.approx(float(one["score"]), abs=1e-5)


def test_the_order_of_fused_detectors_does_not_matter(checkpoint, corpus, tmp_path):
    first, second = dfx.load(checkpoint), dfx.load(checkpoint)
    second.config["segment_seconds"] = 0.25
    clip = tmp_path / "clip.wav"
    parts = [corpus.table["path"][number] for number in (0, 3, 6)]
    soundfile.write(clip, np.concatenate([soundfile.read(part)[0] for part in parts]), RATE)

    def score(*detectors):
        rule = decision_rule([detector.card for detector in detectors], ThresholdChoice(), "x")
        options = DetectionOptions(num_workers=0, cache=str(tmp_path), window_seconds=None)
        (answer,) = detect_files(detectors, rule, [str(clip)], options)
        return answer.score

    both = np.mean([score(first), score(second)])
    assert score(first, second) == pytest.approx(both)
    assert score(second, first) == pytest.approx(both)


def test_kept_scores_of_a_file_that_became_bad_stop_nothing(detect):
    for name in ("a.wav", "b.wav"):
        soundfile.write(name, noise(1), RATE)
    assert detect("a.wav", "b.wav", "csv=-").status == 0
    before = Path("a.wav").stat()
    Path("a.wav").write_bytes(b"x" * before.st_size)
    os.utime("a.wav", ns=(before.st_atime_ns, before.st_mtime_ns))
    found = detect("a.wav", "b.wav", "json=-")
    assert [bool(one["prediction"]) for one in json.loads(found.out)["files"]] == [True, True]


def test_files_named_like_options_are_files_and_outputs_replace_no_input(detect):
    soundfile.write("csv=zero.wav", noise(1), RATE)
    soundfile.write("zero.wav", noise(1), RATE)
    before = Path("zero.wav").read_bytes()
    assert len(rows_of(detect("csv=zero.wav", "zero.wav", "csv=-").out)) == 2
    assert Path("zero.wav").read_bytes() == before
    assert "is a file to look at" in str(detect("zero.wav", "json=zero.wav").status)
    odd = detect("zero.wav", "csv=a, b.csv")
    assert (odd.status, Path("a, b.csv").exists()) == (0, True)


def test_names_that_no_encoding_or_system_takes_are_answers(detect):
    soundfile.write("good.wav", noise(1), RATE)
    names = ["good.wav", "bad\udcff.wav", "x" * 300 + ".wav", "~nobody_at_all/a.wav"]
    found = detect("csv=out.csv", "--", *names)
    assert found.status == 3
    rows = rows_of(Path("out.csv").read_text(errors="surrogateescape"))
    assert [bool(row["reason"]) for row in rows] == [False, True, True, True]


def test_audio_of_killed_processes_is_removed(detect, tmp_path):
    soundfile.write("good.wav", noise(1), RATE)
    left = tmp_path / "cache" / "detect" / "0123"
    left.mkdir(parents=True)
    (left / "audio.pcm").touch()
    left.with_suffix(".lock").touch()
    assert detect("good.wav", "csv=-").status == 0
    assert not list(left.parent.iterdir())


def stream(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_standard_input_is_scored_as_it_comes(detect, monkeypatch):
    samples = (noise(2) * 32767).astype("<i2")
    stream(monkeypatch, samples.tobytes())
    raw = detect("-", "hop_seconds=0.25")
    assert raw.status == 0
    assert len(raw.out.splitlines()) == 7
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    stream(monkeypatch, file.getvalue())
    assert detect("-", "hop_seconds=0.25").out == raw.out
    stream(
        monkeypatch, b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 3, 1, RATE, 0, 4, 32)
    )
    assert "send 16-bit PCM" in str(detect("-").status)
    stream(monkeypatch, file.getvalue() + b"id3 " + struct.pack("<I", 8000) + bytes(8000))
    assert detect("-", "hop_seconds=0.25").out == raw.out
    stream(monkeypatch, bytes(2 * RATE))
    silent = detect("-").out.splitlines()
    assert silent
    assert all("UNSURE" in line and "silence" in line for line in silent)
    stream(monkeypatch, b"")
    assert "The stream ended before the first sample" in str(detect("-").status)
    stream(monkeypatch, b"")
    assert "is for files" in str(detect("-", "json=x.json").status)


def test_a_detector_without_a_card_gives_scores_only(detect, checkpoint, tmp_path):
    import torch

    state = torch.load(checkpoint, weights_only=True)
    del state["operating_card"]
    torch.save(state, "old.ckpt")
    soundfile.write("clip.wav", noise(1), RATE)
    found = detect("clip.wav", "csv=-", model="old.ckpt")
    (row,) = rows_of(found.out)
    assert (row["prediction"], row["fake_probability"]) == ("", "")
    assert "no operating card" in row["warnings"]
    assert rows_of(detect("clip.wav", "csv=-", "threshold=-100", model="old.ckpt").out)[0]["prediction"] == "REAL"
    assert "has no operating card" in str(detect("clip.wav", "false_alarm=0.1", model="old.ckpt").status)
    state["operating_card"] = {"version": 1, "bonafide": ["x"]}
    torch.save(state, "bad.ckpt")
    with pytest.raises(ValueError, match=r"The operating card of bad\.ckpt"):
        loading.load_detector("bad.ckpt")


def test_a_log_has_files_once_and_of_a_stream_windows_that_do_not_overlap(detect, monkeypatch, tmp_path):
    soundfile.write("a.wav", noise(2), RATE)
    soundfile.write("b.wav", noise(2, 1), RATE)
    Path("bad.wav").touch()
    detect("a.wav", "bad.wav", "log=new folder/answers.db")
    detect("a.wav", "b.wav", "bad.wav", "threshold=0", "log=new folder/answers.db")
    stream(monkeypatch, (noise(2) * 32767).astype("<i2").tobytes())
    detect("-", "hop_seconds=0.25", "log=new folder/answers.db")
    with ObservationStore("new folder/answers.db") as store:
        kinds = [(one.settings["kind"], one.settings["threshold"] == 0) for one in store.systems]
        found = [store.read(store.find([one], 0, 1 << 60)) for one in store.systems]
    counts = {kind: len(one) for kind, one in zip(kinds, found, strict=True)}
    assert counts == {("files", False): 2, ("files", True): 3, ("stream", False): 4}
    (windows,) = (one for kind, one in zip(kinds, found, strict=True) if kind[0] == "stream")
    assert np.isfinite(windows.columns["loudness"]).all()
    assert np.isnan(windows.columns["bandwidth"]).all()
    assert b"a.wav" not in Path("new folder/answers.db").read_bytes()  # no names


def test_a_log_that_cannot_be_written_costs_no_answer(detect):
    soundfile.write("a.wav", noise(1), RATE)
    Path("no folder").touch()
    found = detect("a.wav", "csv=-", "log=no folder/answers.db")
    assert found.status == 0
    assert len(rows_of(found.out)) == 1
    assert "answers.db: 1 of the answers." in found.err
    assert "would be overwritten" in str(detect("a.wav", "log=a.wav").status)
    Path("table.csv").write_text("no database " * 100)
    assert "is no log of answers" in str(detect("a.wav", "log=table.csv").status)
