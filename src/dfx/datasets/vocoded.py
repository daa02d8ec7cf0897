"""Vocoded dataset: genuine recordings and spoofed twins, made by vocoders and codecs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfx import files
from dfx.datasets import vocoded_files
from dfx.datasets.corpus import Dataset
from dfx.datasets.folder import classed_folder_table, folder_table
from dfx.datasets.splits import divide_into_splits
from dfx.datasets.synthesis import twins
from dfx.datasets.synthesis.twins import CODECS, COPY, VOCODERS
from dfx.tables.findings import Finding, make_finding, some_items
from dfx.tables.labels import BONAFIDE, SPOOF
from dfx.tables.manifest import NO_ATTACK, Manifest


class Vocoded(Dataset):
    """Dataset of genuine recordings and their spoofed twins, equal in length, level, speaker and split.

    The attack of a twin is its vocoder, `utterance` the id of its original, `source` the corpus of it; every other
    column is that of its original. Files are made once, as 16-bit FLAC at 16 kHz in `<cache>/vocoded/<version>`, and
    shared by all corpora of twins; the version follows from the code of `synthesis`. The same recordings give the same
    twins on every machine, except for rounding. A table of each corpus lies beside them.

    Args:
        bonafide: a folder of genuine recordings (if sub-folders name the classes, its genuine class), or the name of
            one of `corpora`, whose bona fide rows are taken.
        corpora: corpora by name.
        vocoders: names from `dfx.datasets.synthesis.twins.VOCODERS`; all of them if None.
        eval_only: those of them that are used in eval only.
        twins_per_clip: vocoders for each recording, assigned evenly within split and speaker; all of them if None.
        genuine: include the genuine recordings.
        match_genuine: give copies of them that went through all steps of a twin except the vocoder (rate, band of the
            vocoder, codec, level, format); False: the recordings themselves.
        codec: one of `dfx.datasets.synthesis.twins.CODECS`, applied last to twins and copies; None: none.
        split_file: CSV (id, split) for a folder without splits and classes; written if it does not exist.
        max_bad_fraction: more recordings that cannot be used are an error.
        cache, num_workers, progress: as for `Demo`.

    Raises:
        ValueError: if an option is impossible, or a vocoder's library is missing.
    """

    def __init__(
        self,
        bonafide: str,
        corpora: Mapping[str, Dataset] | None = None,
        vocoders: Sequence[str] | None = None,
        eval_only: Sequence[str] = (),
        twins_per_clip: int | None = 1,
        genuine: bool = True,
        match_genuine: bool = True,
        codec: str | None = None,
        split_file: str | None = None,
        max_bad_fraction: float = 0.01,
        cache: str | None = None,
        num_workers: int | None = None,
        progress: bool = True,
    ) -> None:
        self.vocoders = list(dict.fromkeys(VOCODERS if vocoders is None else vocoders))
        self.eval_only = list(eval_only)
        _check_options(self.vocoders, self.eval_only, twins_per_clip, genuine and not match_genuine, codec)
        self.bonafide = bonafide
        self.corpus = (corpora or {}).get(bonafide)
        self.note = self.corpus.note if self.corpus else ""
        self.twins_per_clip = twins_per_clip or len(self.vocoders)
        self.genuine, self.match_genuine = genuine, match_genuine
        self.codec = codec or ""
        self.split_file = Path(split_file).expanduser() if split_file else None
        self.max_bad_fraction = max_bad_fraction
        self.folder = files.cache_dir(cache) / "vocoded" / vocoded_files.vocoded_files_version()
        self.num_workers = num_workers
        self.progress = progress

    def manifest(self) -> Manifest:
        """Make the files that are missing, and return the manifest.

        `findings` then names recordings without twins.

        Raises:
            ValueError: if there is no genuine recording, too many cannot be used, or a process that makes files dies.
        """
        originals, name, found = self._originals()
        copies = self.genuine and self.match_genuine
        options = self.vocoders, self.eval_only, self.twins_per_clip, copies, self.codec
        jobs = vocoded_files.plan_vocoded_files(self.folder, originals, *options)
        reasons = vocoded_files.make_vocoded_files(self.folder, jobs, self.num_workers, self.progress)
        bad = originals["path"].isin(list(reasons))
        if bad.any():
            found = [*found, self._bad_recordings(originals[bad], reasons, len(originals))]
        self.findings = tuple(found)

        made = pd.DataFrame([job for job in jobs if job.source not in reasons], columns=twins.TwinJob._fields)
        table = originals.set_index("id", drop=False).loc[made["id"]].reset_index(drop=True)
        is_copy = made["vocoder"] == COPY
        table["id"] = table["id"].where(is_copy, table["id"] + "@" + made["vocoder"])
        table["path"] = made["target"]
        table["label"] = table["label"].where(is_copy, SPOOF)
        table["attack"] = made["vocoder"].mask(is_copy, NO_ATTACK)
        if self.genuine and not self.match_genuine:
            table = pd.concat([originals[~bad], table], ignore_index=True)
        manifest = Manifest(table, name=f"vocoded_{name}")
        kept = self.folder / f"{manifest.name}-{manifest.hash}.csv"
        if not kept.exists():
            with files.atomic_write(kept) as temporary:
                manifest.write(temporary)
        return manifest

    def _originals(self) -> tuple[pd.DataFrame, str, Sequence[Finding]]:
        """Return the bona fide rows, and the name and the findings of their corpus."""
        folder, name, found = Path(self.bonafide).expanduser(), self.bonafide, list[Finding]()
        if self.corpus is not None:
            table = self.corpus.manifest().table
            found = [one for one in self.corpus.findings if one.kind != "one-class"]  # twins are the other
        elif folder.is_dir():
            name = folder.absolute().name
            table = classed_folder_table(folder)
            if table.empty:
                table = self._genuine_folder(folder)
        else:
            raise ValueError(
                f"dataset.bonafide={self.bonafide} is neither a folder nor the name of a dataset: give the folder of "
                "genuine recordings, or the name of an option of `dataset`."
            )
        table = table[table["label"] == BONAFIDE].reset_index(drop=True)
        if table.empty:
            raise ValueError(
                f"dataset.bonafide={self.bonafide} has no genuine recording: twins need bona fide originals. Give "
                "another folder or corpus."
            )
        if "utterance" not in table:
            table["utterance"] = table["id"]
        if "source" not in table:
            table["source"] = name
        return table, name, found

    def _genuine_folder(self, folder: Path) -> pd.DataFrame:
        """List the recordings of a folder of genuine speech only; its sub-folders name speakers, or splits."""
        table = folder_table(folder, all_genuine=True)
        if len(table) and not table["split"].any():
            named = table["speaker"].nunique() >= 3  # one folder, such as `wavs`, names no speaker
            table["split"] = divide_into_splits(table, ["speaker", "id"] if named else ["id"], self.split_file)
        return table

    def _bad_recordings(self, bad: pd.DataFrame, reasons: Mapping[str, str], total: int) -> Finding:
        """Create a finding about the recordings that cannot be used; a ValueError if they are too many."""
        examples = [f"{name} ({reasons[path]})" for name, path in zip(bad["id"], bad["path"], strict=True)]
        text = f"{len(bad)} of {total} genuine recordings cannot be used and are left out: {some_items(examples)}."
        if len(bad) > self.max_bad_fraction * total:
            raise ValueError(
                f"{text} That is more than dataset.max_bad_fraction={self.max_bad_fraction}: replace or remove them, "
                "or raise it."
            )
        return make_finding("bad-recording", "warning", f"{text} What to do: replace or convert them.", bad["id"])


def _check_options(
    vocoders: Sequence[str], eval_only: Sequence[str], each: int | None, as_they_are: bool, codec: str | None
) -> None:
    known = ", ".join(VOCODERS)
    if not vocoders or not set(vocoders) <= set(VOCODERS):
        raise ValueError(f"dataset.vocoders=[{', '.join(vocoders)}] must name some of {known}.")
    seen = [name for name in vocoders if name not in eval_only]
    if not seen or not set(eval_only) <= set(vocoders):
        raise ValueError(
            f"dataset.eval_only=[{', '.join(eval_only)}] must name some of dataset.vocoders, and leave some for train: "
            f"these are {', '.join(vocoders)}."
        )
    if each is not None and not 1 <= each <= len(seen):
        raise ValueError(
            f"dataset.twins_per_clip={each} is impossible: give 1 to {len(seen)}, the number of vocoders in train, or "
            "null for all of them."
        )
    if codec is not None and codec not in CODECS:
        raise ValueError(f"dataset.codec={codec} is unknown: give one of {', '.join(CODECS)}, or null.")
    if codec is not None and as_they_are:
        raise ValueError(
            f"dataset.codec={codec} with match_genuine=false would be applied to the spoofed class only: leave "
            "match_genuine as it is."
        )
    for name in {*vocoders, *([codec] if codec else [])}:
        twins.check_twin_library(name)
