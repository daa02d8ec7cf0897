"""Your own recordings in a folder, with sub-folders named after the classes."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from dfx.audio.audio_files import list_audio_files
from dfx.datasets.corpus import Dataset
from dfx.datasets.splits import assign_splits
from dfx.tables.labels import BONAFIDE, is_label, parse_label
from dfx.tables.manifest import Manifest
from dfx.tables.manifest_reading import SPLIT_WORDS

EXPECTED = """expected sub-folders named after the classes, for example
  DIR/real/*.wav                   (also bonafide, genuine, human, original)
  DIR/fake/*.wav                   (also spoof, deepfake, synthetic); DIR/fake/SYSTEM/*.wav names the attack
  DIR/train/real/*.wav ...         splits, where they exist: train, dev (validation), eval (test)"""


class Folder(Dataset):
    """Dataset of the recordings below a folder; names of sub-folders give the class.

    The innermost sub-folder that names a class decides. The sub-folder below the class names the attack (spoof) or the
    speaker (bona fide). Without train / dev / eval folders the recordings are divided; recordings of one speaker or of
    one file name stay together.

    Args:
        path: the folder.
    """

    def __init__(self, path: str) -> None:
        self.root = Path(path).expanduser()

    def manifest(self) -> Manifest:
        """Build the manifest of all audio files below a class folder; hidden files are left out."""
        if not self.root.is_dir():
            raise ValueError(f"No folder at {str(self.root)!r}; dataset=folder {EXPECTED}.")
        table = classed_folder_table(self.root)
        if table.empty:
            found = ", ".join(sorted(p.name for p in self.root.iterdir())[:10]) or "nothing"
            raise ValueError(f"No recordings below a class folder in {str(self.root)!r} (found: {found}); {EXPECTED}.")
        return Manifest(table, name=self.root.name)


def classed_folder_table(root: Path) -> pd.DataFrame:
    """List the audio files of a folder with a sub-folder for each class, as `folder_table`; every file has a split."""
    table = folder_table(root)
    if len(table) and not table["split"].any():
        table["split"] = assign_splits(table.assign(group=_groups(table)), "group")
    return table


def folder_table(root: Path, all_genuine: bool = False) -> pd.DataFrame:
    """List the audio files below a folder; sub-folder names give class, attack or speaker, and split.

    The split is "" if no sub-folder names one.

    Args:
        root: the folder.
        all_genuine: there are no class folders, and every recording is bona fide.

    Raises:
        ValueError: if only some of the recordings are in split folders.
    """
    rows = [row for file in list_audio_files(root) if (row := _row(root, file, all_genuine))]
    table = pd.DataFrame(rows, columns=["id", "path", "label", "attack", "speaker", "split"])
    twice = table["id"].duplicated(keep=False)  # x.wav beside x.flac
    table["id"] = table["id"].where(~twice, table["id"] + table["path"].str.extract(r"(\.[^./]+)$")[0])
    outside = table["path"][table["split"] == ""]
    if 0 < len(outside) < len(table):
        raise ValueError(
            f"{len(outside)} of {len(table)} recordings in {str(root)!r} lie outside its split folders, first "
            f"{outside.iloc[0]}; move them into train, dev or eval, or rename the split folders."
        )
    return table


def _row(root: Path, file: str, all_genuine: bool) -> tuple[str, str, int, str, str, str] | None:
    *folders, _ = file.split("/")
    classes = [-1] if all_genuine else [place for place, name in enumerate(folders) if is_label(name)]
    if not classes:
        return None
    label = BONAFIDE if all_genuine else parse_label(folders[classes[-1]])
    named = [name for name in folders[classes[-1] + 1 :] if name.lower() not in SPLIT_WORDS]
    below = "/".join(named) or "-"
    attack, speaker = ("-", below) if label == BONAFIDE else ("spoof" if below == "-" else below, "-")
    split = next((SPLIT_WORDS[name.lower()] for name in folders if name.lower() in SPLIT_WORDS), "")
    path = os.path.realpath(root / file)  # `resolve` raises an error at links that lead to each other
    return file.rpartition(".")[0], path, label, attack, speaker, split


def _groups(table: pd.DataFrame) -> pd.Series:
    """Return the group of each row: its speaker, or its file name.

    Splits do not divide a group. Speakers are used if three or more are named. `real/17.wav` and `fake/melgan/17.wav`
    are usually one sentence. A single folder below `real`, such as `wavs`, is no speaker.
    """
    stems = table["id"].str.rpartition("/")[2].str.partition(".")[0]
    named = table["speaker"] != "-"
    return table["speaker"].where(named, stems) if table.loc[named, "speaker"].nunique() >= 3 else stems
