import pytest

from dfx.datasets.delimited import read_delimited


def write(path, text):
    path.write_bytes(text.encode())
    return path


def test_everything_is_text_and_nothing_is_missing(tmp_path):
    path = write(tmp_path / "t.csv", '\ufeffid,speaker\r\n007,NA\r\n008,\r\n"9,1","say ""hi"""\r\n')
    table = read_delimited(path, need=["id"])
    assert table.to_numpy().tolist() == [["007", "NA"], ["008", ""], ["9,1", 'say "hi"']]


def test_a_transcript_may_have_several_lines(tmp_path):
    path = write(tmp_path / "t.csv", 'id,text,label\n1,"one, two\nthree",real\n2,four,fake\n')
    assert read_delimited(path, need=["id", "label"])["text"].tolist() == ["one, two\nthree", "four"]
    write(path, 'id,text,label\n1,one,"real\n2,two,fake\n3,three,fake"\n')
    with pytest.raises(ValueError, match=r"join them to 2 rows: .* in line 2"):
        read_delimited(path, need=["id"])


def test_without_quoting_every_line_is_a_row(tmp_path):
    path = write(tmp_path / "t.csv", 'id|text\r\n1|"an open quote\r\n2|two\u2028\rlines\x0b\r\n3|"shut"\r\n')
    table = read_delimited(path, "|", quoted=False)
    assert table["text"].tolist() == ['"an open quote', "two\u2028\rlines\x0b", '"shut"']


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("id,label\n1,real\n2\n\n3\n", r"2 of 3 rows do not have 2 fields \('2', '3'\)"),
        ("id,label\n1,real,x\n2,fake,x\n", "2 of 2 rows do not have 2 fields"),
        ("name,label\n1,real\n", "has no column id: it has name, label"),
        ('id,label\n1,"real\n2,fake\n3,"real"\n', "has 4 lines, and quotation marks join them to 2 rows: .* line 2"),
        ('id,label\n1,"real\n' + "2,fake\n" * 20_000, "a quotation mark is not closed"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        read_delimited(write(tmp_path / "t.csv", text), need=["id"])


def test_another_encoding_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("id\nMüller\n".encode("latin-1"))
    with pytest.raises(ValueError, match="is not UTF-8"):
        read_delimited(path)
