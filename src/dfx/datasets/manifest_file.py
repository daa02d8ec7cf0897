"""Your own table: a CSV or Parquet file with one row a recording."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from dfx.datasets.base import Dataset
from dfx.datasets.splits import assign
from dfx.tables.manifest import Manifest, read


class ManifestFile(Dataset):
    """A table with the columns `path` and `label`, and where known `split`, `attack`, `speaker`, `id`.

    Every other column is kept, and results can be broken down by it. Without a `split` column the rows are divided by
    `splits.assign`, grouped by `utterance` or `speaker` where the table has one.

    Args:
        path: the table, `.csv` or `.parquet`; recordings are named relative to its folder, or by absolute paths.
        columns: name that dfx uses -> name in the table, for example `{attack: vocoder}`; see `ALIASES`.
        splits: word in the table -> train, dev or eval, for words that dfx does not know.
    """

    # Names other than dfx's own that stand for a column when the table has no column of dfx's name.
    ALIASES: ClassVar[dict[str, tuple[str, ...]]] = {
        "path": ("file", "filename", "audio"),
        "attack": ("system", "system_id", "attack_id"),
        "speaker": ("speaker_id", "spk"),
    }

    def __init__(
        self, path: str, columns: dict[str, str] | None = None, splits: dict[str, str] | None = None
    ) -> None:
        self.path = Path(path).expanduser()
        self.columns = columns
        self.splits = splits

    def manifest(self) -> Manifest:
        """The table as a manifest, each row with a split."""
        if not self.path.is_file():
            raise ValueError(
                f"No table at {str(self.path)!r}; dataset=manifest expects dataset.path=FILE.csv or FILE.parquet "
                "with the columns path and label (and split, attack, speaker where known)."
            )
        manifest = read(self.path, columns=self.columns, splits=self.splits, aliases=self.ALIASES)
        table = manifest.table
        if (table["split"] == "").all():
            group = next(
                (c for c in ("utterance", "speaker") if c in table and (table[c] != "-").any()), "id"
            )
            table = table.assign(split=assign(table, group))
        return Manifest(table, name=self.path.stem)
