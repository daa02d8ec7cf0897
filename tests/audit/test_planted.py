"""A corpus with faults that were planted: each is found and named."""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
from omegaconf import DictConfig

from dfx import audio
from dfx.audit.corpus_audit import audit_corpus
from dfx.audit.report import report_json_value
from dfx.datasets import ManifestFile

RATE = 16000


@dataclass
class Planter:
    """Writes the corpus, a clip at a time."""

    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name, label, split, waveform, rate=RATE, **row):
        path = self.folder / row.pop("file", f"{name}.wav")
        if waveform is not None and path.suffix in (".wav", ".flac"):
            audio.write_audio(path, waveform, rate)
        number = len(self.rows)
        self.rows.append(
            {
                "id": name,
                "path": path.name,
                "label": label,
                "attack": "-" if label == "bonafide" else "V1",
                "speaker": f"{split}-s{number % 9}",
                "split": split,
                "utterance": f"u{number}",
                "source": f"{split}-room{number % 3}",
                **row,
            }
        )
        return path

    def write(self):
        path = self.folder / "table.csv"
        pd.DataFrame(self.rows).to_csv(path, index=False)
        return path


def mu_law(clip):
    compressed = np.sign(clip) * np.log1p(255 * np.abs(clip)) / np.log(256)
    levels = np.round(compressed * 127) / 127
    return np.sign(levels) * (256 ** np.abs(levels) - 1) / 255


def lowpass(clip, hz):
    bins = np.fft.rfft(clip)
    bins[np.fft.rfftfreq(len(clip), 1 / RATE) > hz] = 0
    return np.fft.irfft(bins, len(clip))


def plant(folder, babble):
    """About 190 clips: bona fide recordings, spoofs with every trace of a careless pipeline, and broken files."""
    made = Planter(folder)
    generator = np.random.default_rng(0)
    for number in range(70):  # ordinary recordings, none in eval's dev
        samples = int(generator.integers(9000, 15000)) | 1  # odd: no multiple of anything
        clip = babble(samples, number, level_db=float(generator.normal(-27, 1.5)))
        made.add(f"real{number}", "bonafide", ("train", "train", "dev", "eval")[number % 4], clip)
    for number in range(90):
        split = ("train", "train", "eval")[number % 3]
        samples = 256 * int(generator.integers(36, 58))  # shortcut: multiples of 256
        clip = babble(samples - 3200, 500 + number, level_db=float(generator.normal(-19, 1.5)))  # shortcut: loudness
        clip = np.concatenate([np.zeros(3200), clip])  # shortcut: leading silence
        kind, rate, name = number // 3 % 6, RATE, f"fake{number}"
        if kind == 0:
            rate = 24000  # shortcut: sample rate
        elif kind == 1:
            clip = lowpass(clip, 3500)  # shortcut: bandwidth
        elif kind == 2:
            clip = mu_law(clip)  # shortcut: 8-bit values
        elif kind == 3:
            clip = np.stack([clip, clip], axis=1) + 0.02  # shortcuts: stereo, offset
        elif kind == 4:
            clip = clip + 0.02
        else:  # shortcut: codec
            path = made.add(name, "spoof", split, None, file=f"{name}.mp3")
            soundfile.write(path, clip, RATE, format="MP3")
            continue
        made.add(name, "spoof", split, clip, rate)

    clip = babble(12001, 9000)
    made.add("twin-a", "bonafide", "train", clip)
    made.add("twin-b", "bonafide", "eval", clip)  # exact duplicate
    clip = babble(12003, 9001)
    made.add("loud", "bonafide", "train", clip)
    made.add("soft", "bonafide", "eval", 0.1 * clip)  # another gain
    clip = babble(14001, 9002)
    made.add("wide", "bonafide", "train", clip)
    made.add("narrow", "bonafide", "eval", soxr.resample(clip, RATE, 8000), 8000)  # another rate
    clip = babble(13001, 9003)
    made.add("called-real", "bonafide", "train", clip)
    made.add("called-fake", "spoof", "train", 0.5 * clip)  # both classes
    made.add("voice-a", "bonafide", "train", babble(9001, 9004), speaker="everywhere")
    made.add("voice-b", "bonafide", "eval", babble(9003, 9005), speaker="everywhere")
    made.add("words-a", "bonafide", "train", babble(9005, 9006), utterance="same-words")
    made.add("words-b", "bonafide", "eval", babble(9007, 9007), utterance="same-words")
    made.add("room-a", "bonafide", "train", babble(9009, 9008), source="same-room")
    made.add("room-b", "bonafide", "eval", babble(9011, 9009), source="same-room")

    path = made.add("cut", "spoof", "train", babble(60000, 9010), file="cut.flac")
    path.write_bytes(path.read_bytes()[:40000])
    made.add("text", "spoof", "train", None).write_text("RIFFs are played on guitars.\n" * 50)
    clip = babble(9000, 9011)
    clip[4000] = np.nan
    soundfile.write(made.add("holes", "spoof", "train", None), clip, RATE, subtype="FLOAT")
    made.add("silent", "bonafide", "train", np.zeros(12000))
    made.add("nothing", "spoof", "eval", None).write_bytes(b"")
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16, b"data", 0
    )
    made.add("header", "spoof", "eval", None).write_bytes(header)
    made.add("gone", "bonafide", "eval", None)
    made.add("brief", "bonafide", "train", babble(1601, 9012))
    made.add("flat", "bonafide", "train", np.clip(4 * babble(12000, 9013), -0.5, 0.5))
    made.add("shifted", "bonafide", "train", babble(12000, 9014) + 0.1)
    made.add("apple", "spoof", "train", None, file="._apple.wav").write_bytes(bytes(4096))
    soundfile.write(made.add("renamed", "bonafide", "train", None), babble(12000, 9015), RATE, format="FLAC")
    return made.write()


# Kind of the finding, and words that its sentence or examples must hold.
PLANTED = {
    "leaked speaker": ("leaked-speaker", "1 in both train and eval", "everywhere"),
    "leaked utterance": ("leaked-utterance", "1 in both train and eval", "same-words"),
    "leaked source": ("leaked-source", "1 in both train and eval", "same-room"),
    "exact duplicate across splits": ("duplicate-audio-across-splits", "2 clips", "twin-a = twin-b"),
    "duplicate at another gain": ("same-recording-across-splits", "loud = soft"),
    "duplicate at another sample rate": ("same-recording-across-splits", "wide = narrow"),
    "one recording in both classes": ("same-recording-in-both-classes", "called-real = called-fake"),
    "truncated FLAC": ("cut-short", "cut"),
    "text file named .wav": ("not-audio", "text"),
    "NaN samples": ("nan-samples", "holes"),
    "silent file": ("silent", "silent"),
    "file of 0 bytes": ("empty-file", "nothing"),
    "header without samples": ("no-samples", "header"),
    "missing file": ("missing-file", "gone", "1 bona fide in eval"),
    "too short clip": ("too-short", "brief"),
    "clipped clip": ("clipped", "flat"),
    "offset of one clip": ("dc-offset", "shifted"),
    "AppleDouble file": ("apple-double", "apple"),
    "FLAC called .wav": ("name-is-not-format", ".wav holds flac/pcm_16", "renamed"),
    "split without spoof": ("one-class-split", "dev has no usable spoof clip"),
    "shortcut: leading silence": ("shortcut-silence", "leading silence", "conditioning.trim_db=40"),
    "shortcut: sample rate": ("shortcut-band", "conditioning.bandwidth_hz="),
    "shortcut: bandwidth": ("shortcut-band", "band"),
    "shortcut: multiples of 256": ("shortcut-length", "multiple of 256", "data.train_crop=random"),
    "shortcut: loudness": ("shortcut-level", "loudness", "conditioning.loudness_db=-23"),
    "shortcut: 8-bit values": ("shortcut-file", "bits that the values use"),
    "shortcut: stereo": ("shortcut-file", "channels"),
    "shortcut: MP3": ("shortcut-file", "file format"),
    "shortcut: offset of the mean": ("shortcut-offset", "mean"),
    "8-bit values": ("coarse-values", "fake6"),
    "several channels": ("several-channels", "fake9"),
    "no unseen attack": ("no-unseen-attack", "1 of the 1 attacks"),
}


@pytest.fixture(scope="module")
def report(babble, tmp_path_factory):
    table = plant(tmp_path_factory.mktemp("planted"), babble)
    cache = tmp_path_factory.mktemp("cache")
    settings = DictConfig({"sample_rate": RATE, "seed": 0, "cache": cache, "num_workers": 0, "limits": {}})
    found = audit_corpus(settings, ManifestFile(str(table)), {}, progress=False)
    return report_json_value(found.results)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_and_named(report, fault):
    kind, *words = PLANTED[fault]
    found = [found for found in report["findings"] if found["kind"] == kind]
    assert found, sorted(found["kind"] for found in report["findings"])
    said = " ".join(f"{entry['text']} {' '.join(entry['examples'])}" for entry in found)
    for word in words:
        assert word in said


def test_nothing_else_is_found(report):
    expected = {kind for kind, *_ in PLANTED.values()} | {"shortcut-noise"}  # digital silence has no noise
    assert {found["kind"] for found in report["findings"]} <= expected


def test_scalars_point_the_way_they_were_planted(report):
    rows = {row["name"]: row for row in report["scalars"]}
    for name in ("leading_silence", "multiple_256", "loudness", "sample_rate", "channels", "dc"):
        assert rows[name]["strength"] > 0.55
        assert rows[name]["higher_in"] == "spoof", name
    assert rows["effective_bits"]["higher_in"] == "bona fide"


def test_the_headline_says_that_nobody_needs_to_listen(report):
    assert report["headline"]["auc"] > 0.95
    assert "dev" not in report["models"][0]["places"]
