import pytest

from replicas import corpus, found


def test_findings_name_what_is_not_used(replica):
    dataset = corpus("dacon_voice", replica("dacon_voice"))
    dataset.manifest()
    assert "5 test clips and 3 unlabelled ones" in found(dataset)["unknown-speakers"].text
    assert "60 rows in all, its authors publish 55438" in found(dataset)["row-count"].text


def test_a_missing_column_is_named(changed):
    root = changed("dacon_voice")
    file = root / "open" / "train.csv"
    file.write_text(file.read_text().replace("id,path,label", "id,path,target"))
    with pytest.raises(ValueError, match=r"train\.csv has no column label: it has id, path, target"):
        corpus("dacon_voice", root).manifest()
