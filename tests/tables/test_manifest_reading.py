import numpy as np
import pandas as pd
import pytest

from dfx.tables.manifest import Manifest
from dfx.tables.manifest_reading import read_manifest


def write_csv(folder, text):
    (folder / "m.csv").write_text(text)
    return folder / "m.csv"


def test_the_least_a_file_needs(tmp_path):
    path = write_csv(tmp_path, "path,label\nreal/a.wav,Bona-Fide\n./fake/a b.wav,FAKE\n/abs/c.flac,spoof\n")
    made = read_manifest(path)
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
        read_manifest(path, columns)
    made = read_manifest(path, columns, {"hidden": "eval"}).table
    assert made["split"].tolist() == ["train", "dev", "eval"]
    assert made["attack"].tolist() == ["-", "XTTS", "spoof"]
    assert read_manifest(path, columns, {"hidden": "eval", "validation": "eval"}).table["split"][1] == "eval"
    with pytest.raises(ValueError, match="Splits map to 'test': map each word to one of train, dev, eval"):
        read_manifest(path, columns, {"hidden": "test"})


def test_names_that_look_like_numbers_or_nothing_stay_text(tmp_path):
    path = write_csv(tmp_path, "\ufeffid,path,label,speaker,attack\n0012,a.wav,real,007,-\n0013,b.wav,fake,NA,None\n")
    made = read_manifest(path).table
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
        read_manifest(write_csv(tmp_path, text))


def test_a_quotation_mark_that_swallows_rows_is_named(tmp_path):
    rows = [f"{i}.wav,bonafide,train,text {i}" for i in range(48)]
    rows[4], rows[19] = '4.wav,bonafide,train,"Well', '19.wav,spoof,train,"he said'
    (tmp_path / "m.csv").write_text("\n".join(["path,label,split,transcript", *rows]))
    with pytest.raises(ValueError, match=r"has 49 lines, .* join them to 34 rows: .* in line 6 \('4\.wav,"):
        read_manifest(tmp_path / "m.csv")
    rows[4], rows[19] = '4.wav,bonafide,train,"Well, yes"', '19.wav,spoof,train,5" of "snow"'
    (tmp_path / "m.csv").write_text("\n\n".join(["path,label,split,transcript", *rows, ""]))
    assert len(read_manifest(tmp_path / "m.csv")) == 48


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
    assert read_manifest(path).table["text"].tolist() == row


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
        read_manifest(write_csv(tmp_path, text))


def test_wrong_arguments_are_refused_with_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="There is no manifest"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"its suffix is '.txt'; use .csv or .parquet"):
        read_manifest(tmp_path / "m.txt")
    path = write_csv(tmp_path, "path,label\na.wav,real\n")
    with pytest.raises(ValueError, match=r"has no column 'system': it has path, label. Correct the mapping"):
        read_manifest(path, {"attack": "system"})
    with pytest.raises(ValueError, match="Columns 'atack' are unknown to dfx: map id, path"):
        read_manifest(path, {"atack": "label"})


def test_parquet_with_lists_or_damage(tmp_path):
    path = tmp_path / "m.parquet"
    pd.DataFrame(
        {"path": ["a.wav", "b.wav"], "label": ["bonafide", "spoof"], "split": "train", "tags": [["x", "y"], None]}
    ).to_parquet(path)
    made = read_manifest(path)
    assert "'x'" in made.table["tags"][0]
    assert made.hash == read_manifest(path).hash
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        read_manifest(path)


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
            found = read_manifest(path).table
        except ValueError:
            refused += 1
        else:  # the damage is in what Arrow does not need
            assert found["path"].tolist() == rows["path"]
    assert refused > 75
