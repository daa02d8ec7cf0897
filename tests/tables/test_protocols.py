from __future__ import annotations

from pathlib import Path

import pytest

from dfx.tables import protocols

LAYOUTS = {4: ("speaker", "id", "", "label"), 6: ("speaker", "id", "a", "b", "c", "label")}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "protocol.txt"
    path.write_bytes(text.encode())
    return path


def test_columns_by_their_number(tmp_path: Path) -> None:
    table = protocols.read_protocol(write(tmp_path, "s1 u1 - spoof\ns2 u2 - bonafide\n"), LAYOUTS)
    assert table.to_dict("list") == {
        "speaker": ["s1", "s2"],
        "id": ["u1", "u2"],
        "label": ["spoof", "bonafide"],
    }
    wide = protocols.read_protocol(write(tmp_path, "s1 u1 x y z spoof\n"), LAYOUTS)
    assert list(wide.columns) == ["speaker", "id", "a", "b", "c", "label"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffs1 NA - spoof\n\nnull u2 - bonafide\n",  # byte-order mark, empty line, words that look like no value
        "s1 NA - spoof\r\nnull u2 - bonafide",  # of Windows, and without an end
        "  s1\tNA  -\tspoof  \nnull u2 - bonafide\n",  # tabs and several spaces
    ],
)
def test_what_editors_leave_behind_does_no_harm(tmp_path: Path, text: str) -> None:
    table = protocols.read_protocol(write(tmp_path, text), LAYOUTS)
    assert table["id"].tolist() == ["NA", "u2"]
    assert table["speaker"].tolist() == ["s1", "null"]


def test_ids_may_hold_spaces_and_quotation_marks(tmp_path: Path) -> None:
    path = write(tmp_path, 's1 clip of "u 1 - spoof\ns2 u2 - bonafide\ns3 u 3 - spoof\ns4 u4 - spoof\n')
    table = protocols.read_protocol(path, LAYOUTS)
    assert table["id"].tolist() == ['clip of "u 1', "u2", "u 3", "u4"]
    assert table["label"].tolist() == ["spoof", "bonafide", "spoof", "spoof"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "s1 u1 spoof\n",
            r"has 3 columns in its first line \('s1 u1 spoof'\); dfx reads 4 columns \(speaker, id, -, ",
        ),
        ("a " * 30 + "\n", "has 30 columns in its first line"),
        ("s1 u1 - spoof\n" + "a " * 30 + "\n", "has lines of more than 14 columns; dfx reads 4 columns"),
        ("", "protocol.txt is empty: obtain it again"),
        ("\n\n", "protocol.txt is empty"),
        ("s1 u1 - spoof\ns2 u2 - spoof\ns3 u3\n", r"1 of 3 lines have fewer than 4 columns \('s3 u3'\)"),
    ],
)
def test_another_file_is_explained(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        protocols.read_protocol(write(tmp_path, text), LAYOUTS)
