import numpy as np
import pandas as pd
import pytest

from dfx.audio import parts, store
from dfx.detector import build
from dfx.prepare import prepare
from dfx.tables.manifest import Manifest
from setups import GivenDataset, composed

SIZES = "train 8 bona fide + 8 spoof, dev 8 bona fide + 8 spoof, eval 8 bona fide + 8 spoof"


def config(corpus_file, cache, *overrides):
    given = ["dataset=manifest", f"dataset.path={corpus_file}", f"cache={cache}", "num_workers=0"]
    return composed(*given, *overrides, command="prepare")


def test_it_says_what_the_corpus_is_and_what_was_made(corpus_file, corpus, tmp_path, capsys):
    prepare(config(corpus_file, tmp_path))
    told = capsys.readouterr().err
    assert f"48 utterances; {SIZES}\n" in told
    assert "Decoded 48 files in " in told
    assert " a second\n" in told
    folder = next((tmp_path / "waveforms").iterdir())
    opened = store.open_store(corpus, 16000, cache=tmp_path, progress=False)
    assert opened.path == folder
    hours, size = opened.lengths.sum() / 16000 / 3600, 2 * opened.lengths.sum() / 2**20
    assert f"The waveform store {folder} holds all of it: {hours:.2f} hours, {size:.1f} MiB, 0 bad files\n" in told

    prepare(config(corpus_file, tmp_path))
    told = capsys.readouterr().err
    assert "Decod" not in told
    assert "holds all of it" in told


def test_shards_in_turn(corpus_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parts, "MIN_BATCH_BYTES", 128 << 10)
    prepare(config(corpus_file, tmp_path, "shard=1/2"))
    told = capsys.readouterr().err
    folder = next((tmp_path / "waveforms").iterdir())
    assert "Shard 1/2: " in told
    assert f"Other shards of {folder} are not done yet.\n" in told
    prepare(config(corpus_file, tmp_path, "shard=0/2"))
    told = capsys.readouterr().err
    assert "Shard 0/2: " in told
    assert "holds all of it" in told


def test_upkeep_is_for_all_stores_and_touches_no_corpus(corpus_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parts, "MIN_BATCH_BYTES", 128 << 10)
    for rate in (8000, 16000):
        prepare(config(corpus_file, tmp_path, f"sample_rate={rate}"))
    monkeypatch.setattr(build, "build_dataset", None)
    low, high = sorted((tmp_path / "waveforms").iterdir(), reverse=True)
    count = len(parts.part_names(low))
    assert count > 1
    capsys.readouterr()
    prepare(config(corpus_file, tmp_path, "verify=true"))
    assert f"{low}: {count} parts, 0 of them damaged" in capsys.readouterr().err
    prepare(config(corpus_file, tmp_path, "compact=true"))
    assert f"{high}: {count - 1} parts fewer" in capsys.readouterr().err
    prepare(config(corpus_file, tmp_path, "clean=true"))
    expected = f"{low}: 0 recordings (0.0 MiB) belong to no file on disk (confirm=true removes them); 0 in folders"
    assert expected in capsys.readouterr().err


def test_bad_files_are_told_and_too_many_are_an_error(corpus, tmp_path, capsys):
    (tmp_path / "text.wav").write_text("no sound")
    table = corpus.table.copy()
    table.loc[0, "path"] = str(tmp_path / "text.wav")
    Manifest(table).write(tmp_path / "m.csv")
    with pytest.raises(ValueError, match=r"1 of 48 files \(2.1%\) are bad, more than max_bad_fraction 1.0% allows"):
        prepare(config(tmp_path / "m.csv", tmp_path))
    prepare(config(tmp_path / "m.csv", tmp_path, "max_bad_fraction=0.03"))
    (listed,) = tmp_path.glob("waveforms/*/bad_files-*.csv")
    assert f"1 bad files, {listed} says why\n" in capsys.readouterr().err


def test_limits_of_a_file_are_options(corpus_file, tmp_path, capsys):
    given = ["max_bad_fraction=1", "limits.hours=0.0003"]  # about a second
    prepare(config(corpus_file, tmp_path, *given))
    (listed,) = tmp_path.glob("waveforms/*/bad_files-*.csv")
    reasons = pd.read_csv(listed)["reason"]
    assert 0 < len(reasons) < 48
    assert reasons.str.startswith("it is longer than 0.0003 hours (limits.hours): cut it into pieces").all()
    prepare(config(corpus_file, tmp_path, "limits.hours=1"))
    assert ", 0 bad files\n" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"limits.memory_mib=0: it must be positive"):
        prepare(config(corpus_file, tmp_path, "limits.memory_mib=0"))


def test_ready_features_need_no_store(corpus, corpus_file, tmp_path, capsys, monkeypatch):
    ready = GivenDataset(corpus.table, ready=np.zeros((48, 3), np.float32))
    monkeypatch.setattr(build, "build_dataset", lambda _: ready)
    prepare(config(corpus_file, tmp_path))
    assert "ready features and no audio: there is nothing to decode" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shard", ["3/3", "1", "-1/2", "0/0", "a/b"])
def test_a_shard_that_does_not_exist_is_refused(corpus_file, tmp_path, shard):
    with pytest.raises(ValueError, match=f"There is no shard {shard}: shards are numbered from 0, so give one"):
        prepare(config(corpus_file, tmp_path / "cache", f"shard='{shard}'"))
    assert not (tmp_path / "cache").exists()
