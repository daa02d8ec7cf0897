from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfx import audio
from dfx.audio.store import open_store
from dfx.audit import collect, measure
from dfx.tables.manifest import Manifest


def gather(table: pd.DataFrame, cache: Path, num_workers: int = 0) -> collect.Measures:
    return collect.collect(Manifest(table), 16000, cache, num_workers, progress=False)


def test_rows_keep_their_order_and_share_files(fair: pd.DataFrame, tmp_path: Path) -> None:
    rows = fair.iloc[[7, 3, 7, 1]].assign(id=list("abcd")).reset_index(drop=True)
    found = gather(rows, tmp_path)
    alone = gather(rows.iloc[[3]].reset_index(drop=True), tmp_path)
    assert found.table["digest"][0] == found.table["digest"][2]
    assert found.table["digest"][3] == alone.table["digest"][0]
    np.testing.assert_array_equal(found.array("lfcc")[3], alone.array("lfcc")[0])
    assert found.table["duration"][0] == pytest.approx(found.store.length(0) / 16000)


def test_what_was_measured_takes_the_place_of_metadata_of_the_same_name(
    fair: pd.DataFrame, tmp_path: Path
) -> None:
    found = gather(fair.head(4).assign(sample_rate="said to be 8000", room="r"), tmp_path)
    assert set(found.table["sample_rate"]) == {16000}
    assert set(found.table["room"]) == {"r"}


def test_a_killed_audit_goes_on_where_it_was(
    fair: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfx.audio.store_parts.MIN_PART_BYTES", 1 << 18)  # several parts
    first = gather(fair, tmp_path)
    folder = first.store.path / f"audit-{collect.VERSION}"
    parts = sorted(folder.glob("*.npz"))
    assert len(parts) > 3
    parts[1].unlink()
    parts[2].write_bytes(parts[2].read_bytes()[:1000])
    (folder / "part-00001.npz.123.tmp").write_bytes(b"half")
    asked: list[str] = []
    whole = measure.measure
    monkeypatch.setattr(measure, "measure", lambda job: asked.append(job.notes.name) or whole(job))
    again = gather(fair, tmp_path)
    assert asked == [parts[1].name, parts[2].name]
    pd.testing.assert_frame_equal(first.table, again.table)
    assert not list(folder.glob("*.tmp"))


@pytest.mark.slow
def test_processes_measure_the_same(
    fair: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfx.audio.store_parts.MIN_PART_BYTES", 1 << 18)
    monkeypatch.setattr(collect, "FEW_CLIPS", 1)
    one, two = gather(fair, tmp_path / "a"), gather(fair, tmp_path / "b", num_workers=2)
    pd.testing.assert_frame_equal(one.table, two.table)


def test_a_file_that_the_store_found_bad_is_not_opened_again(
    fair: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = fair.head(3).copy()
    bad = tmp_path / "crash.wav"
    bad.write_text("no audio")
    rows.loc[1, "path"] = str(bad)
    open_store(Manifest(rows), 16000, tmp_path / "cache", max_bad_fraction=1, num_workers=0, progress=False)
    opened: list[str] = []
    whole = audio.probe
    monkeypatch.setattr(audio, "probe", lambda path: opened.append(path) or whole(path))
    found = gather(rows, tmp_path / "cache").table
    assert found["good"].tolist() == [True, False, True]
    assert "no decoder" in found["reason"][1]
    assert sorted(opened) == sorted([rows["path"][0], rows["path"][2]])


def test_bad_files_have_reasons_and_no_measures(fair: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    rows = fair.head(3).copy()
    rows["path"] = [str(tmp_path / "gone.wav"), str(tmp_path / "text.wav"), rows["path"][2]]
    found = gather(rows, tmp_path / "cache").table
    assert found["good"].tolist() == [False, False, True]
    assert "does not exist" in found["reason"][0]
    assert "no decoder" in found["reason"][1]
    assert np.isnan(found["duration"][0])
