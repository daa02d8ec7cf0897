from replicas import corpus, found

NAME = "in_the_wild"


def test_the_release_is_read(replica):
    dataset = corpus(NAME, replica(NAME))
    table = dataset.manifest().table
    assert table["label"].value_counts().to_dict() == {1: 48, 0: 48}
    assert {"King, Jr. 3", "Alec Guinness 0"} <= set(table["speaker"])
    assert set(table["attack"]) == {"-", "spoof"}
    words = "48 bonafide and 48 spoof rows in all, its authors publish 19963 and 11816"
    assert words in found(dataset)["row-count"].text
