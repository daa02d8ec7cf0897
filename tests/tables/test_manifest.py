from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfx.tables import manifest
from dfx.tables.manifest import Manifest
from dfx.tables.manifest_reading import read_manifest


def table(**changes):
    columns = {
        "id": ["a", "b", "c d"],
        "path": ["/x/a.wav", "/x/b.wav", "/x/c d.wav"],
        "label": [1, 0, 0],
        "attack": ["-", "A07", "A08"],
        "speaker": ["s1", "s1", "s2"],
        "split": ["train", "dev", "eval"],
    }
    return pd.DataFrame(columns | changes)


def write_csv(folder, text):
    (folder / "m.csv").write_text(text)
    return folder / "m.csv"


def test_columns_are_typed_and_extra_ones_kept():
    made = Manifest(table(codec=["a", "b", "c"], snr_db=[1.0, np.nan, 3.0]), "mine")
    assert list(made.table) == [*manifest.COLUMNS, "codec", "snr_db"]
    assert made.table["label"].dtype == np.int64
    assert len(made) == 3
    assert made.table["snr_db"].isna().sum() == 1


def test_defaults_of_attack_speaker_and_split():
    bare = table().drop(columns=["attack", "speaker", "split"])
    made = Manifest(bare, require_split=False).table
    assert made["attack"].tolist() == ["-", "spoof", "spoof"]
    assert made["speaker"].tolist() == ["-", "-", "-"]
    assert made["split"].tolist() == ["", "", ""]
    with pytest.raises(ValueError, match="lacks split: it has id, path, label"):
        Manifest(bare)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"id": ["a", "a", "b"]},
            "2 of 3 utterances of Manifest have a duplicate id: 'a', 'a'. Give each row its own id",
        ),
        ({"id": ["a", None, "b"]}, "1 of 3 utterances of Manifest have no id"),
        ({"id": ["a", "b\nc", "d"]}, r"1 of 3 .* have a line break in the id: 'b\\nc'"),
        ({"path": ["/x/a", "/x/b\rc", "/d"]}, "1 of 3 .* have a line break in the path: 'b'"),
        ({"path": ["/x/a", np.nan, ""]}, "2 of 3 .* have no path: 'b', 'c d'"),
        ({"path": ["/x/a", "b.wav", "/x/c"]}, "1 of 3 .* have a relative path: 'b'"),
        ({"label": [1, 2, 0]}, r"1 of 3 labels are not 1 or 0 \('2'\)"),
        ({"label": ["real", "fake", "fake"]}, "3 of 3 labels are not 1 or 0 .*parse_label"),
        ({"attack": ["A07", "A07", "A08"]}, "1 of 3 .* are bona fide and have an attack: 'a'. Write '-' there"),
        ({"split": ["train", "test", "eval"]}, "1 of 3 .* have an unknown split: 'b'. Use train, dev, eval"),
    ],
)
def test_one_sentence_names_what_is_wrong(changes, message):
    with pytest.raises(ValueError, match=message):
        Manifest(table(**changes))


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="Manifest mine is empty"):
        Manifest(table().iloc[:0], "mine")


def test_split_and_counts():
    made = Manifest(table(split=["dev", "dev", "eval"]), "mine")
    assert made.split("dev").table["id"].tolist() == ["a", "b"]
    assert made.split("eval").table.index.tolist() == [0]
    with pytest.raises(ValueError, match="Manifest mine has no utterance in split 'train': it has dev, eval"):
        made.split("train")
    counts = made.counts()
    assert counts.index.tolist() == ["dev", "eval"]
    assert counts["bonafide"].tolist() == [1, 0]
    assert counts["spoof"].tolist() == [1, 1]


def test_hash_follows_contents_and_order():
    first = Manifest(table())
    assert first.hash == Manifest(table(), "other name").hash
    assert len(first.hash) == 16
    assert first.hash != Manifest(table(speaker=["s1", "s1", "s3"])).hash
    assert first.hash != Manifest(table().iloc[::-1]).hash
    assert first.hash != Manifest(table(codec="x")).hash
    assert Manifest(table(codec="x")).hash != Manifest(table(vocoder="x")).hash
    assert Manifest(table(codec=["x", None, 3])).hash


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_written_and_read_back(tmp_path, suffix):
    paths = [f"{tmp_path}/clips/a.wav", "/elsewhere/b.wav", f"{tmp_path}/c, d.wav"]
    made = Manifest(table(path=paths, note=["x", 'quo"ted', None], seconds=[1.5, 2.0, 0.1]), "m")
    made.write(tmp_path / "sub" / ".." / f"m{suffix}")
    back = read_manifest(tmp_path / f"m{suffix}")
    pd.testing.assert_frame_equal(back.table[list(manifest.COLUMNS)], made.table[list(manifest.COLUMNS)])
    assert back.table["seconds"].tolist() == [1.5, 2.0, 0.1]
    assert back.table["note"].isna().tolist() == [False, False, True]


def test_a_written_manifest_moves_with_its_files(tmp_path):
    made = Manifest(table(path=[f"{tmp_path}/one/{name}.wav" for name in "abc"]))
    made.write(tmp_path / "one" / "m.csv")
    (tmp_path / "one").rename(tmp_path / "two")
    assert read_manifest(tmp_path / "two" / "m.csv").table["path"][0] == f"{tmp_path}/two/a.wav"


def test_a_line_break_in_metadata_is_written_as_a_blank(tmp_path):
    made = Manifest(table(text=["one,\r\ntwo", None, "four"], speaker=["x\ny", "x", "x"]))
    made.write(tmp_path / "m.csv")
    back = read_manifest(tmp_path / "m.csv").table
    assert back["text"].fillna("-").tolist() == ["one, two", "-", "four"]
    assert back["speaker"].tolist() == ["x y", "x", "x"]


def test_objects_and_categories_become_text():
    made = Manifest(
        table(
            path=[Path("/x/a"), Path("/x/b"), Path("/x/c")],
            attack=pd.Categorical(["-", "A07", "A08"]),
            speaker=[1, None, 3],
        )
    )
    assert made.table["path"].tolist() == ["/x/a", "/x/b", "/x/c"]
    assert made.table["attack"].tolist() == ["-", "A07", "A08"]
    assert made.table["speaker"][1] == "-"
