import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfx import audio
from dfx.audio import measures
from dfx.audio.parts import FILE_BYTES
from dfx.audio.store import open_store
from dfx.audit import corpus_measures
from dfx.tables.manifest import Manifest


def measured(table, cache, num_workers=0):
    return corpus_measures.measure_corpus(Manifest(table), 16000, cache, num_workers, progress=False)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Batches of 16 files."""
    monkeypatch.setattr("dfx.audio.parts.MIN_BATCH_BYTES", 16 * FILE_BYTES)


@pytest.fixture
def opened(monkeypatch):
    """Paths of the files that are measured."""
    paths = []
    whole = audio.probe_audio
    monkeypatch.setattr(audio, "probe_audio", lambda path: paths.append(path) or whole(path))
    return paths


def test_rows_keep_their_order_and_may_share_a_file(fair, tmp_path):
    rows = fair.iloc[[7, 3, 7, 1]].assign(id=list("abcd")).reset_index(drop=True)
    found = measured(rows, tmp_path)
    alone = measured(rows.iloc[[3]].reset_index(drop=True), tmp_path)
    assert found.table["digest"][0] == found.table["digest"][2]
    assert found.table["digest"][3] == alone.table["digest"][0]
    np.testing.assert_array_equal(found.lfcc[3], alone.lfcc[0])
    np.testing.assert_array_equal(found.fingerprint[3], alone.fingerprint[0])
    assert found.table["duration"][0] == pytest.approx(found.store.lengths[0] / 16000)


def test_a_measure_replaces_metadata_of_the_same_name(fair, tmp_path):
    table = measured(fair.head(4).assign(sample_rate="said to be 8000", room="r"), tmp_path).table
    assert set(table["sample_rate"]) == {16000}
    assert set(table["room"]) == {"r"}


def test_only_new_and_changed_files_are_measured(fair, tmp_path, opened):
    rows = fair.head(4).copy()
    changing = tmp_path / "changing.wav"
    changing.write_bytes(Path(rows["path"][3]).read_bytes())
    rows.loc[3, "path"] = str(changing)
    measured(rows.head(3), tmp_path / "cache")
    opened.clear()
    measured(rows, tmp_path / "cache")
    assert set(opened) == {str(changing)}
    opened.clear()
    measured(rows.iloc[[3, 1]], tmp_path / "cache")
    assert not opened
    audio.write_audio(changing, np.full(5000, 0.5), 16000)
    os.utime(changing, ns=(1, 1))
    table = measured(rows, tmp_path / "cache").table
    assert set(opened) == {str(changing)}
    assert table["duration"][3] == pytest.approx(5000 / 16000)


def test_a_killed_audit_measures_only_what_it_had_not_finished(fair, tmp_path, monkeypatch, opened):
    monkeypatch.setattr(corpus_measures, "SAVE_SECONDS", 0)
    first = measured(fair, tmp_path)
    opened.clear()
    parts = sorted((tmp_path / "measures").rglob("*.parquet"))
    assert len(parts) > 5
    lost = {path for part in parts[:2] for path in pd.read_parquet(part)["path"]}
    parts[0].unlink()
    parts[1].write_bytes(parts[1].read_bytes()[:1000])
    unfinished = parts[0].with_name(".tmp-x.parquet")
    unfinished.write_bytes(b"another process is writing this")
    again = measured(fair, tmp_path)
    assert set(opened) == lost
    assert unfinished.exists()
    pd.testing.assert_frame_equal(first.table, again.table)
    np.testing.assert_array_equal(first.lfcc, again.lfcc)


def test_what_was_measured_before_an_interruption_is_kept(fair, tmp_path, monkeypatch, opened):
    whole, calls = measures.measure_clip, []

    def interrupted(path, *how):
        calls.append(path)
        if len(calls) > 40:
            raise KeyboardInterrupt
        return whole(path, *how)

    with monkeypatch.context() as patch:
        patch.setattr(measures, "measure_clip", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measured(fair, tmp_path)
    opened.clear()
    measured(fair, tmp_path)
    assert len(set(opened)) <= 160 - 30  # finished batches are kept


def test_a_file_that_could_not_be_measured_is_tried_again(fair, tmp_path, monkeypatch):
    rows = fair.head(2)
    measured(rows.head(1), tmp_path)  # decoded and measured before

    def fails(path, *_):
        raise audio.AudioError(path, "Input/output error")

    open_store(Manifest(rows), 16000, cache=tmp_path, num_workers=0, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(audio, "probe_audio", fails)
        table = measured(rows, tmp_path).table
    assert table["good"].tolist() == [True, False]
    assert table["reason"].tolist() == ["", "Input/output error"]
    assert measured(rows, tmp_path).table["good"].all()


@pytest.mark.slow
def test_processes_measure_the_same(fair, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_measures, "FEW_FILES", 1)
    one, two = measured(fair, tmp_path / "a"), measured(fair, tmp_path / "b", num_workers=2)
    pd.testing.assert_frame_equal(one.table, two.table)
    np.testing.assert_array_equal(one.lfcc, two.lfcc)


def test_bad_files_have_reasons_and_no_measures_and_are_not_opened_again(fair, tmp_path, opened):
    (tmp_path / "text.wav").write_text("no audio")
    rows = fair.head(3).copy()
    rows["path"] = [str(tmp_path / "gone.wav"), str(tmp_path / "text.wav"), rows["path"][2]]
    open_store(Manifest(rows), 16000, cache=tmp_path / "cache", max_bad_fraction=1, num_workers=0, progress=False)
    opened.clear()
    found = measured(rows, tmp_path / "cache").table
    assert found["good"].tolist() == [False, False, True]
    assert "does not exist" in found["reason"][0]
    assert "no decoder" in found["reason"][1]
    assert np.isnan(found["duration"][0])
    assert opened == [rows["path"][2]]
