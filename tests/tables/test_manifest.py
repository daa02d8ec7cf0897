from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfx.tables import manifest
from dfx.tables.manifest import Manifest


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
    back = manifest.read_manifest(tmp_path / f"m{suffix}")
    pd.testing.assert_frame_equal(back.table[list(manifest.COLUMNS)], made.table[list(manifest.COLUMNS)])
    assert back.table["seconds"].tolist() == [1.5, 2.0, 0.1]
    assert back.table["note"].isna().tolist() == [False, False, True]


def test_a_written_manifest_moves_with_its_files(tmp_path):
    made = Manifest(table(path=[f"{tmp_path}/one/{name}.wav" for name in "abc"]))
    made.write(tmp_path / "one" / "m.csv")
    (tmp_path / "one").rename(tmp_path / "two")
    assert manifest.read_manifest(tmp_path / "two" / "m.csv").table["path"][0] == f"{tmp_path}/two/a.wav"


def test_the_least_a_file_needs(tmp_path):
    path = write_csv(tmp_path, "path,label\nreal/a.wav,Bona-Fide\n./fake/a b.wav,FAKE\n/abs/c.flac,spoof\n")
    made = manifest.read_manifest(path)
    assert made.name == "m"
    assert made.table["id"].tolist() == ["real/a", "fake/a b", "/abs/c"]
    assert made.table["path"].tolist() == [f"{tmp_path}/real/a.wav", f"{tmp_path}/fake/a b.wav", "/abs/c.flac"]
    assert made.table["label"].tolist() == [1, 0, 0]
    assert made.table["attack"].tolist() == ["-", "spoof", "spoof"]
    assert made.table["split"].tolist() == ["", "", ""]


def test_columns_and_splits_are_mapped(tmp_path):
    path = write_csv(
        tmp_path,
        "file,label,system,attack,part\na.wav,real,-,x,Training\nb.wav,fake,XTTS,y,validation\nc.wav,fake,,z,Hidden\n",
    )
    columns = {"path": "file", "attack": "system", "split": "part"}
    with pytest.raises(
        ValueError, match=r"1 of 3 rows have an unknown split \('Hidden'\). Say what each is: 'dataset.splits="
    ):
        manifest.read_manifest(path, columns)
    made = manifest.read_manifest(path, columns, {"hidden": "eval"}).table
    assert made["split"].tolist() == ["train", "dev", "eval"]
    assert made["attack"].tolist() == ["-", "XTTS", "spoof"]
    assert manifest.read_manifest(path, columns, {"hidden": "eval", "validation": "eval"}).table["split"][1] == "eval"
    with pytest.raises(ValueError, match="Splits map to 'test': map each word to one of train, dev, eval"):
        manifest.read_manifest(path, columns, {"hidden": "test"})


def test_names_that_look_like_numbers_or_nothing_stay_text(tmp_path):
    path = write_csv(tmp_path, "\ufeffid,path,label,speaker,attack\n0012,a.wav,real,007,-\n0013,b.wav,fake,NA,None\n")
    made = manifest.read_manifest(path).table
    assert made["id"].tolist() == ["0012", "0013"]
    assert made["speaker"].tolist() == ["007", "NA"]
    assert made["attack"].tolist() == ["-", "None"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: give a table with a header"),
        ("path,label\n", "is empty"),
        ("name,kind\na,b\n", "has no column path and no column label: it has name, kind. Name the column"),
        ("file,kind\na,b\n", "has no column label: it has file, kind. Name the column"),
        ("path,label\na.wav,real\n,fake\n", r"1 of 2 .* have no path: '1'"),
        ("path,label\na.wav,real\nb.wav,1\nc.wav,\n", r"2 of 3 labels are unknown \('1', 'nan'\). Unknown label '1'"),
        ("id,path,label\nx,a.wav,real\nx,b.wav,fake\n", "2 of 2 .* have a duplicate id: 'x', 'x'"),
        (
            "path,label\na.wav,real\na.flac,fake\n",
            "2 of 2 .* a path that without its suffix is not unique: 'a.wav', 'a.flac'",
        ),
        ('path,label\n"a.wav,real\n', "is not a comma-separated UTF-8 table"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        manifest.read_manifest(write_csv(tmp_path, text))


def test_a_quotation_mark_that_swallows_rows_is_named(tmp_path):
    rows = [f"{i}.wav,bonafide,train,text {i}" for i in range(48)]
    rows[4], rows[19] = '4.wav,bonafide,train,"Well', '19.wav,spoof,train,"he said'
    (tmp_path / "m.csv").write_text("\n".join(["path,label,split,transcript", *rows]))
    with pytest.raises(ValueError, match=r"has 49 lines, .* join them to 34 rows: .* in line 6 \('4\.wav,"):
        manifest.read_manifest(tmp_path / "m.csv")
    rows[4], rows[19] = '4.wav,bonafide,train,"Well, yes"', '19.wav,spoof,train,5" of "snow"'
    (tmp_path / "m.csv").write_text("\n\n".join(["path,label,split,transcript", *rows, ""]))
    assert len(manifest.read_manifest(tmp_path / "m.csv")) == 48


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('path,label,text\na.wav,real,"one\ntwo"\nb.wav,fake,three\n', ["one\ntwo", "three"]),
        ('path,label,text\r\na.wav,real,"Well, yes\r\n\r\nand no"\r\n', ["Well, yes\r\n\r\nand no"]),
        ('text,path,label\n"one, two\nthree",a.wav,real\n', ["one, two\nthree"]),
    ],
)
def test_a_transcript_may_have_several_lines(tmp_path, text, row):
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode())
    assert manifest.read_manifest(path).table["text"].tolist() == row


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('path,label,text\na.wav,real,"one\nb.wav,fake,two"\n', 2),
        ('path,label,text\na.wav,real,"one\ntwo"\nb.wav,fake,"three\nc.wav,real,"four\n', 4),
        ('path,text,label\na.wav,"one,real\nb.wav,two",fake\n', 2),  # the label of the second row
        ('path,text,label\na.wav,"one,real\nb.wav,"two,fake\n', 2),
        ('path,label,speaker\na.wav,real,"one\ntwo"\n', 2),
        ('path,label,system\na.wav,fake,"one\ntwo"\n', 2),
    ],
)
def test_lines_that_may_be_lost_rows_are_refused(tmp_path, text, line):
    with pytest.raises(ValueError, match=rf"quotation marks join them to . rows: .* is in line {line} "):
        manifest.read_manifest(write_csv(tmp_path, text))


def test_a_line_break_in_metadata_is_written_as_a_blank(tmp_path):
    made = Manifest(table(text=["one,\r\ntwo", None, "four"], speaker=["x\ny", "x", "x"]))
    made.write(tmp_path / "m.csv")
    back = manifest.read_manifest(tmp_path / "m.csv").table
    assert back["text"].fillna("-").tolist() == ["one, two", "-", "four"]
    assert back["speaker"].tolist() == ["x y", "x", "x"]


def test_wrong_arguments_are_refused_with_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="There is no manifest"):
        manifest.read_manifest(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"its suffix is '.txt'; use .csv or .parquet"):
        manifest.read_manifest(tmp_path / "m.txt")
    path = write_csv(tmp_path, "path,label\na.wav,real\n")
    with pytest.raises(ValueError, match=r"has no column 'system': it has path, label. Correct the mapping"):
        manifest.read_manifest(path, {"attack": "system"})
    with pytest.raises(ValueError, match="Columns 'atack' are unknown to dfx: map id, path"):
        manifest.read_manifest(path, {"atack": "label"})


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


def test_parquet_with_lists_or_damage(tmp_path):
    path = tmp_path / "m.parquet"
    pd.DataFrame(
        {"path": ["a.wav", "b.wav"], "label": ["bonafide", "spoof"], "split": "train", "tags": [["x", "y"], None]}
    ).to_parquet(path)
    made = manifest.read_manifest(path)
    assert "'x'" in made.table["tags"][0]
    assert made.hash == manifest.read_manifest(path).hash
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        manifest.read_manifest(path)


def test_a_damaged_parquet_file_is_one_sentence_and_never_other_rows(tmp_path):
    rows = {"id": [f"u{number}" for number in range(200)], "path": [f"/a/{number}.wav" for number in range(200)]}
    table = pd.DataFrame(rows | {"label": [0, 1] * 100, "split": "eval"})
    path = tmp_path / "corpus.parquet"
    Manifest(table).write(path)
    data = path.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for start in generator.integers(4, len(data) - 20, 150):
        path.write_bytes(data[:start] + generator.bytes(16) + data[start + 16 :])
        try:
            found = manifest.read_manifest(path).table
        except ValueError:
            refused += 1
        else:  # the damage is in what Arrow does not need
            assert found["path"].tolist() == rows["path"]
    assert refused > 75
