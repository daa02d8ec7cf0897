from replicas import corpus, found

NAME = "ljspeech"


def test_the_release_is_read(replica):
    dataset = corpus(NAME, replica(NAME))
    row = dataset.manifest().table.set_index("id").loc["LJ001-0001"]
    assert (row["transcript"], row["normalised"], row["speaker"]) == ('"Only one', '"Only one', "LJ")
    assert "dataset=vocoded" in found(dataset)["one-class"].text
    assert "30 bonafide rows in all, its authors publish 13100" in found(dataset)["row-count"].text
