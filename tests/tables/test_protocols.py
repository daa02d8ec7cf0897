import pytest

from dfx.tables import protocols

LAYOUTS = {4: ("speaker", "id", "", "label"), 6: ("speaker", "id", "a", "b", "c", "label")}


def write(tmp_path, text):
    path = tmp_path / "protocol.txt"
    path.write_bytes(text.encode())
    return path


def test_ids_may_hold_spaces_and_quotation_marks_and_nothing_is_missing(tmp_path):
    path = write(tmp_path, 's1 clip of "u 1 - spoof\nnull NA - bonafide\n\n  s3\tu 3  -\tspoof  \ns4 u4 - spoof\n')
    table = protocols.read_protocol(path, LAYOUTS)
    assert table["id"].tolist() == ['clip of "u 1', "NA", "u 3", "u4"]
    assert table["speaker"].tolist() == ["s1", "null", "s3", "s4"]
    assert table["label"].tolist() == ["spoof", "bonafide", "spoof", "spoof"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("s1 u1 spoof\n", r"has 3 columns in its first line \('s1 u1 spoof'\); dfx reads 4 columns \(speaker, id, -, "),
        ("a " * 30 + "\n", "has 30 columns in its first line"),
        ("s1 u1 - spoof\n" + "a " * 30 + "\n", "has lines of more than 14 columns; dfx reads 4 columns"),
        ("", "protocol.txt is empty: obtain it again"),
        ("\n\n", "protocol.txt is empty"),
        ("s1 u1 - spoof\ns2 u2 - spoof\ns3 u3\n", r"1 of 3 lines have fewer than 4 columns \('s3 u3'\)"),
    ],
)
def test_another_file_is_explained(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        protocols.read_protocol(write(tmp_path, text), LAYOUTS)
