"""Your own table of recordings, in a CSV or Parquet file."""

from __future__ import annotations

from pathlib import Path

from dfx.datasets.corpus import Dataset
from dfx.datasets.splits import assign_splits
from dfx.tables.manifest import Manifest
from dfx.tables.manifest_reading import read_manifest


class ManifestFile(Dataset):
    """Dataset from a table with the columns `path` and `label`.

    If known, it also has `split`, `attack`, `speaker` and `id`. All other columns are kept, and results can be broken
    down by them. Without a `split` column the rows are divided by `splits.assign_splits`; rows of one `utterance` or
    `speaker` stay together if the table has such a column.

    Args:
        path: the table, `.csv` or `.parquet`; paths in it are relative to its folder, or absolute.
        columns: name in dfx -> name in the table, for example `{attack: vocoder}`; see `manifest_reading.ALIASES`.
        splits: word in the table -> train, dev or eval, for words that dfx does not know.
    """

    def __init__(self, path: str, columns: dict[str, str] | None = None, splits: dict[str, str] | None = None) -> None:
        self.path = Path(path).expanduser()
        self.columns = columns
        self.splits = splits

    def manifest(self) -> Manifest:
        """Read the table as a manifest in which every row has a split."""
        if not self.path.is_file():
            raise ValueError(
                f"No table at {str(self.path)!r}; dataset=manifest expects dataset.path=FILE.csv or FILE.parquet "
                "with the columns path and label (and split, attack, speaker where known)."
            )
        manifest = read_manifest(self.path, self.columns, self.splits)
        table = manifest.table
        if (table["split"] == "").all():
            known = (name for name in ("utterance", "speaker") if name in table and (table[name] != "-").any())
            group = next(known, "id")
            table = table.assign(split=assign_splits(table, group))
        return Manifest(table, name=self.path.stem)
