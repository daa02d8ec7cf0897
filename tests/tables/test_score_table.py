import math

import numpy as np
import pandas as pd
import pytest

from dfx.tables.score_table import ScoreTable


def rows(**changes):
    columns = {
        "id": ["u1", "u2", "u3", "u4"],
        "attack": ["-", "-", "A01", "A02"],
        "label": [1, 1, 0, 0],
        "score": [2.5, 0.5, -1.0, -3.0],
    }
    return pd.DataFrame(columns | changes)


def test_scores_are_split_by_class_and_attack():
    table = ScoreTable(rows())
    assert table.bonafide.tolist() == [2.5, 0.5]
    assert table.spoof.tolist() == [-1.0, -3.0]
    assert {name: scores.tolist() for name, scores in table.attacks().items()} == {"A01": [-1], "A02": [-3]}
    assert len(table) == 4


def test_an_unknown_attack_is_no_attack():
    assert list(ScoreTable(rows(attack=["-", "-", "-", "A02"])).attacks()) == ["A02"]


def test_other_types_are_converted_and_the_given_frame_is_unchanged():
    types = {"id": "category", "attack": "category", "label": "bool", "score": "float32"}
    frame = rows().astype(types)
    table = ScoreTable(frame).table
    assert table["label"].dtype == np.int64
    assert table["score"].dtype == np.float64
    assert table["id"].tolist() == ["u1", "u2", "u3", "u4"]
    assert frame["label"].dtype == bool
    assert ScoreTable(rows().astype({"label": "int8"})).table["label"].dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": [1.0, math.nan, 2.0, math.inf]}, r"2 of 4 .* not a finite number: 'u2 \(nan\)', 'u4 \(inf\)'\."),
        ({"score": ["1", "2", "three", "4"]}, r"1 of 4 .* not a finite number: 'u3 \(three\)'\."),
        ({"score": [1, 2, None, 4]}, r"1 of 4 .* not a finite number: 'u3"),
        ({"id": ["a", "b", "a", "a"]}, r"2 of 4 utterances repeat an id: 'a', 'a'\. Score each utterance once\."),
        ({"id": ["a", "b", None, "d"]}, r"1 of 4 utterances have no id"),
        ({"attack": ["-", "-", "A01", ""]}, r"1 of 4 utterances have no attack: 'u4'"),
        ({"label": [1, 1, 0, 2]}, r"1 of 4 utterances have an unknown label: 'u4 \(2\)'\."),
        ({"label": ["bonafide", 1, 0, 0]}, r"have an unknown label: 'u1 \(bonafide\)'\. Use 1 for bona fide"),
    ],
)
def test_a_bad_row_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        ScoreTable(rows(**changes))


def test_only_the_first_offenders_are_listed():
    frame = pd.DataFrame({"id": [f"u{i}" for i in range(99)], "attack": "-", "label": 1, "score": math.nan})
    with pytest.raises(ValueError, match=r"99 of 99 .*'u4 \(nan\)', \.\.\. \(99 in all\)\. Look at"):
        ScoreTable(frame)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="attack missing, got id, label, score, speaker"):
        ScoreTable(rows(speaker=list("abcd")).drop(columns="attack"))


AWKWARD = ["a b", 'say "hi"', "50% off", "x,y", "NA"]


@pytest.fixture
def awkward():
    frame = pd.DataFrame({"id": AWKWARD, "attack": ["-", "-", "A 1", "g+w", "None"], "label": [1, 1, 0, 0, 0]})
    scores = [0.1 + 0.2, 1 / 3, -1e-308, 123456789.123456789, np.nextafter(1.0, 2.0)]
    return ScoreTable(frame.assign(score=scores))


def test_csv_returns_every_bit_and_the_metadata(tmp_path, awkward):
    table = ScoreTable(awkward.table.assign(speaker=["007", "p 1", "-", "é", ""]))
    table.write(tmp_path / "eval.csv")
    pd.testing.assert_frame_equal(ScoreTable.read(tmp_path / "eval.csv").table, table.table)


def test_csv_is_what_the_contract_says(tmp_path):
    ScoreTable(rows()).write(tmp_path / "eval.csv")
    lines = (tmp_path / "eval.csv").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["id,attack,label,score", "u1,-,bonafide,2.5"]
    assert lines[3] == "u3,A01,spoof,-1.0"


def test_plain_format_returns_every_bit_and_has_four_fields(tmp_path, awkward):
    path = tmp_path / "eval.txt"
    awkward.write_plain(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(len(line.split()) == 4 for line in lines)
    assert lines[0] == "a%20b - bonafide 0.30000000000000004"
    pd.testing.assert_frame_equal(ScoreTable.read(path).table, awkward.table)


def test_an_official_file_is_read(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text("LA_1 A11 spoof 3.49e-06\nLA_2 -  bonafide\t0.99\n", encoding="utf-8")
    table = ScoreTable.read(path)
    assert table.table["id"].tolist() == ["LA_1", "LA_2"]
    assert table.bonafide.tolist() == [0.99]
    assert table.spoof.tolist() == [3.49e-06]


def test_columns_of_a_csv_may_stand_in_any_order_and_after_a_byte_order_mark(tmp_path):
    path = tmp_path / "scores.csv"
    content = "score,label,id,attack,note\r\n1.5,Real,u1,-,x\r\n0.5,FAKE,u2,A01,y\r\n"
    path.write_text(content, encoding="utf-8-sig", newline="")
    table = ScoreTable.read(path)
    assert table.bonafide.tolist() == [1.5]
    assert table.table.columns.tolist() == ["id", "attack", "label", "score", "note"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "bad.txt is not a score file; its first line is ''"),
        ("LA_1 0.5\n", "bad.txt is not a score file; its first line is 'LA_1 0.5'. Use CSV"),
        ("id,score\nu1,0.5\n", "bad.txt is not a score file"),
        ("u1 - bonafide 0.5\nu2 A01 spoof\n", r"bad.txt cannot be used: 1 of 2 .* number: 'u2 \(\)"),
        ("u1 - bonafide 0.5\nu2 A01 spoof 1 2\n", "bad.txt cannot be used: .*line 2"),
        ("u1 - bonafide 0.5\nu2 A01 spoof nan\n", r"bad.txt cannot be used: 1 of 2 .* number: 'u2 \(nan\)"),
        ("u1 - 1 0.5\n", "bad.txt cannot be used: Unknown label '1'"),
    ],
)
def test_a_bad_file_gives_a_sentence(tmp_path, content, message):
    path = tmp_path / "bad.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        ScoreTable.read(path)


def test_the_hash_of_the_trials_is_over_ids_and_labels_only():
    table = ScoreTable(rows())
    other = ScoreTable(rows(score=[1.0, 2.0, 3.0, 4.0], attack=["-", "-", "-", "-"]).iloc[::-1])
    assert table.trials_hash == other.trials_hash
    assert len(table.trials_hash) == 16
    assert table.trials_hash != ScoreTable(rows(label=[1, 0, 0, 0])).trials_hash
    assert table.trials_hash != ScoreTable(rows().iloc[:3]).trials_hash
    assert ScoreTable(rows(id=["a\tb", "c", "d", "é"])).trials_hash


def test_a_line_break_in_metadata_is_written_as_a_blank(tmp_path):
    rows = {"id": ["a", "b"], "attack": ["-", "A1"], "label": [1, 0], "score": [1.0, 0.0], "text": ["x\r\ny", "z"]}
    ScoreTable(pd.DataFrame(rows)).write(tmp_path / "s.csv")
    assert ScoreTable.read(tmp_path / "s.csv").table["text"].tolist() == ["x y", "z"]
    with pytest.raises(ValueError, match=r"1 of 2 utterances have a line break in the id: 'a\\nb'"):
        ScoreTable(pd.DataFrame(rows | {"id": ["a\nb", "c"]}))
