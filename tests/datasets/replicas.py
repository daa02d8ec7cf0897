"""Small copies of the trees in which published corpora come, sound included, with the traps of the real ones.

Each function writes below an empty folder and returns what to give as `dataset.root`. `OVERRIDES` holds what a training
on the copy needs besides.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
SPLITS = {"train": "T", "dev": "D", "eval": "E"}
NUM_SPEAKERS = 9  # so that a division by speaker leaves both classes in every split


def speech(name: str, spoof: bool) -> np.ndarray:
    """A third to a half of a second that depends on the name: noise, and in a spoof a tone as well."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    time = np.arange(int(RATE * generator.uniform(0.33, 0.5))) / RATE
    waveform = 0.1 * generator.standard_normal(len(time))
    return (waveform + 0.1 * np.sin(2 * np.pi * 1000 * time) * spoof).astype(np.float32)


def write_audio(path: Path, spoof: bool = False) -> None:
    """A clip in the format that the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech(path.stem, spoof), RATE)


def write_text(path: Path, *lines: str) -> None:
    """Lines of a protocol."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_apple_double(path: Path) -> None:
    """What macOS leaves beside a file on a foreign disk: `._name`, no audio."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07" + bytes(28))


def trials(
    prefix: str, num: int = 4 * NUM_SPEAKERS, first: int = 1000001
) -> Iterator[tuple[int, str, bool, str]]:
    """Number, name, whether it is a spoof, and speaker (of the corpus's form) of each trial; half are spoofs."""
    for number in range(num):
        yield number, f"{prefix}{first + number}", number % 2 == 1, f"{number // 4 % NUM_SPEAKERS:04d}"


def asvspoof2019_la(root: Path) -> Path:
    """LA.zip of ASVspoof 2019, unpacked; recordings that enrol speakers lie among the trials."""
    return _asvspoof2019(root, "LA", lambda number: "-", lambda number: f"A{1 + number % 6:02d}")


def asvspoof2019_pa(root: Path) -> Path:
    """PA.zip of ASVspoof 2019, unpacked: the third column names the room."""
    letters = "abc"
    rooms = [f"{s}{r}{d}" for s in letters for r in letters for d in letters]
    attacks = [f"{d}{q}" for d in "ABC" for q in "ABC"]
    return _asvspoof2019(root, "PA", lambda number: rooms[number % 27], lambda number: attacks[number % 9])


def _asvspoof2019(
    root: Path, access: str, environment: Callable[[int], str], attack: Callable[[int], str]
) -> Path:
    base = root / access
    for split, letter in SPLITS.items():
        flac = base / f"ASVspoof2019_{access}_{split}" / "flac"
        lines = []
        for number, name, spoof, speaker in trials(f"{access}_{letter}_", 12):
            kind = attack(number // 2) if spoof else "-"
            label = "spoof" if spoof else "bonafide"
            lines.append(f"{access}_{speaker} {name} {environment(number)} {kind} {label}")
            write_audio(flac / f"{name}.flac", spoof)
        ending = "trn" if split == "train" else "trl"
        protocol = f"ASVspoof2019.{access}.cm.{split}.{ending}.txt"
        write_text(base / f"ASVspoof2019_{access}_cm_protocols" / protocol, *lines)
        write_apple_double(base / f"ASVspoof2019_{access}_cm_protocols" / protocol)
        write_apple_double(flac / f"{access}_{letter}_1000001.flac")
        if split != "train":
            write_audio(flac / f"{access}_{letter}_A000001.flac")
            enrolment = f"ASVspoof2019.{access}.asv.{split}.female.trn.txt"
            write_text(
                base / f"ASVspoof2019_{access}_asv_protocols" / enrolment,
                f"{access}_0000 {access}_{letter}_A000001",
            )
    write_text(base / f"README.{access}.txt", "ASVspoof 2019")
    return root


def asvspoof2021_la(root: Path) -> Path:
    """Audio and full keys of ASVspoof 2021 LA, unpacked side by side."""
    codecs = ("none", "alaw", "pstn", "g722", "ulaw", "gsm", "opus")
    lines = []
    for number, name, spoof, speaker, subset in _trials2021("LA_E_"):
        trim = "only_speech" if subset == "hidden" else "notrim"
        attack, label = (f"A{7 + number % 13:02d}", "spoof") if spoof else ("bonafide", "bonafide")
        lines.append(f"LA_{speaker} {name} {codecs[number % 7]} loc_tx {attack} {label} {trim} {subset}")
        write_audio(root / "ASVspoof2021_LA_eval" / "flac" / f"{name}.flac", spoof)
    write_text(root / "keys" / "LA" / "CM" / "trial_metadata.txt", *lines)
    write_text(
        root / "keys" / "LA" / "ASV" / "trial_metadata.txt",
        "LA_0007-alaw-ita_tx LA_E_5013670-alaw-ita_tx alaw ita_tx bonafide nontarget notrim eval",
    )
    write_text(root / "ASVspoof2021_LA_eval" / "ASVspoof2021.LA.cm.eval.trl.txt", "LA_E_1000001")
    return root


def asvspoof2021_df(root: Path) -> Path:
    """ASVspoof 2021 DF as its four archives unpack, with the full key of 13 columns in the folder of its archive."""
    lines = []
    for number, name, spoof, speaker, subset in _trials2021("DF_E_", 2000001):
        codec = ("nocodec", "low_mp3", "high_m4a", "oggm4a")[number % 4]
        if not spoof:
            what, tail = "asvspoof bonafide bonafide", "bonafide - - - -"
        elif number % 4 == 1:
            what, tail = "asvspoof A14 spoof", "traditional_vocoder - - - -"
        else:
            what, tail = "vcc2020 Task1-team20 spoof", "neural_vocoder_nonautoregressive Task1 team20 FF E"
        lines.append(f"TEF{speaker} {name} {codec} {what} notrim {subset} {tail}")
        part = root / f"ASVspoof2021_DF_eval_part{number % 4:02d}" / "ASVspoof2021_DF_eval" / "flac"
        write_audio(part / f"{name}.flac", spoof)
    write_text(root / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt", *lines)
    return root


def asvspoof2021_pa(root: Path) -> Path:
    """ASVspoof 2021 PA: parts of the audio within one folder, the key of 12 columns inside it."""
    base = root / "ASVspoof2021_PA_eval"
    lines = []
    for number, name, spoof, speaker, subset in _trials2021("PA_E_"):
        device = (
            f"d{1 + number % 6} r1 m1 s{2 + number % 3} c4 spoof"
            if spoof
            else f"D{1 + number % 6} - - - - bonafide"
        )
        lines.append(f"PA_{speaker} {name} R{1 + number % 9} M{1 + number % 3} {device} notrim {subset}")
        part = base / f"ASVspoof2021_PA_eval_part{number % 2:02d}" / "ASVspoof2021_PA_eval" / "flac"
        write_audio(part / f"{name}.flac", spoof)
    write_text(base / "PA-keys-full" / "keys" / "PA" / "CM" / "trial_metadata.txt", *lines)
    return root


def _trials2021(prefix: str, first: int = 1000001) -> Iterator[tuple[int, str, bool, str, str]]:
    """The trials of the subset eval, then four of progress and four hidden ones."""
    for number, name, spoof, speaker in trials(prefix, 4 * NUM_SPEAKERS + 8, first):
        rest = number - 4 * NUM_SPEAKERS
        yield number, name, spoof, speaker, "eval" if rest < 0 else "progress" if rest < 4 else "hidden"


def asvspoof5(root: Path) -> Path:
    """ASVspoof 5, protocols in the folder of their archive: ten columns between spaces, no header, called .tsv."""
    protocols = {"train": "train", "dev": "dev.track_1", "eval": "eval.track_1"}
    folders = {"train": "flac_T", "dev": "flac_D", "eval": "flac_E_eval"}
    for split, letter in SPLITS.items():
        lines = []
        for number, name, spoof, speaker in trials(f"{letter}_000", 12):
            coded = split == "eval" and number % 3 == 0
            codec = f"C{1 + number % 11:02d} 2 {letter}_0001{number:06d}" if coded else "- - -"
            attack = f"AC{1 + number % 3} A{1 + number % 8:02d} spoof" if spoof else "- bonafide bonafide"
            lines.append(f"{letter}_{speaker} {name} {'FM'[number % 2]} {codec} {attack} -")
            write_audio(root / folders[split] / f"{name}.flac", spoof)
        write_text(root / "ASVspoof5_protocols" / f"ASVspoof5.{protocols[split]}.tsv", *lines)
        if split != "train":
            write_audio(root / folders[split] / f"{letter}_A0000000001.flac")
            for kind, line in (
                ("trial", f"{letter}_0000 {letter}_0001000001 F bonafide target"),
                ("enroll", f"{letter}_0000 {letter}_A0000000001"),
            ):
                write_text(root / "ASVspoof5_protocols" / f"ASVspoof5.{split}.track_2.{kind}.tsv", line)
    return root


def add2022(root: Path) -> Path:
    """ADD 2022: training archive with a folder of labels, test of track 1 unpacked twice over, labels beside it."""
    archive = root / "ADD_train_dev"
    for split, prefix in (("train", "ADD_T_"), ("dev", "ADD_D_")):
        lines = [_add_line(archive / split, name, spoof) for _, name, spoof, _ in trials(prefix, 12)]
        write_text(archive / "label" / f"{split}_label.txt", *lines)
        write_apple_double(archive / "label" / f"{split}_label.txt")
    test = root / "track1test" / "track1test"
    lines = [_add_line(test, name, spoof) for _, name, spoof, _ in trials("ADD_E1_", 12)]
    write_text(root / "track1_label.txt", *lines)
    return root


def _add_line(folder: Path, name: str, spoof: bool) -> str:
    write_audio(folder / f"{name}.wav", spoof)
    return f"{name}.wav {'fake' if spoof else 'genuine'}"


REPLICAS: dict[str, Callable[[Path], Path]] = {
    "asvspoof2019_la": asvspoof2019_la,
    "asvspoof2019_pa": asvspoof2019_pa,
    "asvspoof2021_la": asvspoof2021_la,
    "asvspoof2021_df": asvspoof2021_df,
    "asvspoof2021_pa": asvspoof2021_pa,
    "asvspoof5": asvspoof5,
    "add2022": add2022,
}
# Trials only: they are divided where nothing else is there.
OVERRIDES = {f"asvspoof2021_{track}": ["dataset.divide=true"] for track in ("la", "df", "pa")}
