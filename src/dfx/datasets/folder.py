"""Your own recordings: a folder whose sub-folders are named after the classes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dfx.datasets import recordings
from dfx.datasets.base import Dataset
from dfx.datasets.splits import assign
from dfx.tables.labels import BONAFIDE, is_label, parse_label
from dfx.tables.manifest import SPLIT_WORDS, Manifest

EXPECTED = """expected sub-folders named after the classes, for example
  DIR/real/*.wav                   (also bonafide, genuine, human, original)
  DIR/fake/*.wav                   (also spoof, deepfake, synthetic); DIR/fake/SYSTEM/*.wav names the attack
  DIR/train/real/*.wav ...         splits, where they exist: train, dev (validation), eval (test)"""


class Folder(Dataset):
    """Recordings below a folder; the class is the innermost sub-folder that names one.

    The sub-folder below the class names the attack (spoof) or the speaker (bona fide). Without train / dev / eval
    folders the recordings are divided by `splits.assign`; what stays together is said at `_groups`.

    Args:
        path: the folder.
    """

    def __init__(self, path: str) -> None:
        self.root = Path(path).expanduser()

    def manifest(self) -> Manifest:
        """One row for each audio file below a class folder, hidden files left out."""
        if not self.root.is_dir():
            raise ValueError(f"No folder at {str(self.root)!r}; dataset=folder {EXPECTED}.")
        rows = [row for name in recordings.below(self.root) if (row := self._row(name))]
        if not rows:
            found = sorted(p.name for p in self.root.iterdir())[:10]
            raise ValueError(
                f"No recordings below a class folder in {str(self.root)!r} "
                f"(found: {', '.join(found) or 'nothing'}); {EXPECTED}."
            )
        table = pd.DataFrame(rows)
        twins = table["id"].duplicated(keep=False)  # x.wav beside x.flac
        suffixes = table["path"].str.extract(r"(\.[^./]+)$")[0]
        table["id"] = table["id"].where(~twins, table["id"] + suffixes)
        named = table["split"] != ""
        if named.any() and not named.all():
            outside = table.loc[~named, "path"].iloc[0]
            raise ValueError(
                f"{int((~named).sum())} of {len(table)} recordings in {str(self.root)!r} lie outside the split "
                f"folders, first {outside}; move them into train, dev or eval, or remove the split folders."
            )
        if not named.any():
            table["split"] = assign(table.assign(group=_groups(table)), "group")
        return Manifest(table, name=self.root.name)

    def _row(self, file: str) -> dict[str, object] | None:
        *folders, _ = file.split("/")
        classes = [position for position, name in enumerate(folders) if is_label(name)]
        if not classes:
            return None
        at = classes[-1]
        label = parse_label(folders[at])
        named = [name for name in folders[at + 1 :] if name.lower() not in SPLIT_WORDS]
        below = "/".join(named) or "-"
        split = next((SPLIT_WORDS[name.lower()] for name in folders if name.lower() in SPLIT_WORDS), "")
        bonafide = label == BONAFIDE
        return {
            "id": file.rpartition(".")[0],
            "path": str((self.root / file).resolve()),
            "label": label,
            "attack": "-" if bonafide else ("spoof" if below == "-" else below),
            "speaker": below if bonafide else "-",
            "split": split,
        }


def _groups(table: pd.DataFrame) -> pd.Series:
    """What must not be divided: a speaker, where three or more are named, else recordings of one file name.

    `real/17.wav` and `fake/melgan/17.wav` are, as a rule, one sentence. A single folder below `real`, such as `wavs`,
    names no speaker.
    """
    stems = table["id"].str.rpartition("/")[2].str.partition(".")[0]
    named = table["speaker"] != "-"
    return table["speaker"].where(named, stems) if table.loc[named, "speaker"].nunique() >= 3 else stems
