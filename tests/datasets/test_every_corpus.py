"""What holds for every published corpus, on its small copy (`replicas.py`)."""

from pathlib import Path

import pytest

from replicas import NUM_SPEAKERS, REPLICAS, corpus, found

THREE_SPLITS = [[6, 6]] * 3
EVAL_ONLY = [[2 * NUM_SPEAKERS, 2 * NUM_SPEAKERS]]
# corpus -> bona fide and spoof rows of each split (a number: at least so many), and kinds of findings beside row-count
EXPECTED = {
    "add2022": (THREE_SPLITS, []),
    "asvspoof2019_la": (THREE_SPLITS, ["files-without-row"] * 2),  # recordings that enrol speakers
    "asvspoof2019_pa": (THREE_SPLITS, ["files-without-row"] * 2),
    "asvspoof2021_la": (EVAL_ONLY, ["subset"]),
    "asvspoof2021_df": (EVAL_ONLY, ["subset"]),
    "asvspoof2021_pa": (EVAL_ONLY, ["subset"]),
    "asvspoof5": (THREE_SPLITS, ["files-without-row"] * 2),
    "dacon_voice": ([[18, 18], [6, 6], [6, 6]], ["unknown-speakers"]),
    "deep_voice": ([[4, 28], [2, 14], [2, 14]], ["shared-voices"]),
    "deep_voice_table": (100, []),
    "fakeavceleb": (6, ["repeated-audio"]),
    "for": ([[8, 8]] * 3, ["mp3-history"]),
    "in_the_wild": (6, []),
    "ljspeech": ([[18, 0], [6, 0], [6, 0]], ["one-class"]),
    "mlaad": (6, []),
    "wavefake": (6, ["copied-files"]),
}
TOGETHER = {  # columns whose values stay within one split
    "deep_voice": "source", "deep_voice_table": "block", "fakeavceleb": "speaker", "in_the_wild": "speaker",
    "mlaad": "utterance", "wavefake": "utterance",
}  # fmt: skip
PROTOCOLS = {  # corpora whose rows come from a protocol: its file, a row with an unknown label, a repeated row
    "add2022": ("track1_label.txt", "ADD_E1_9.wav real", "ADD_E1_1000001.wav fake"),
    "asvspoof2019_la": (
        "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.dev.trl.txt",
        "LA_0000 LA_D_9 - A01 fake",
        "LA_0000 LA_D_1000001 - - bonafide",
    ),
    "asvspoof2021_df": (
        "DF-keys-full/keys/DF/CM/trial_metadata.txt",
        "T DF_E_9 x x A07 fake notrim eval x - - - -",
        "T DF_E_2000001 x x A07 spoof notrim eval x - - - -",
    ),
    "asvspoof5": (
        "ASVspoof5_protocols/ASVspoof5.train.tsv",
        "T_0 T_9 F - - - - - fake -",
        "T_0 T_0001000001 F - - - - - bonafide -",
    ),
    "dacon_voice": ("open/train.csv", "X,./train/X.ogg,genuine", "RUNQ0001,./train/RUNQ0001.ogg,real"),
    "fakeavceleb": (
        "FakeAVCeleb_v1.2/meta_data.csv",
        "a,-,-,rtvc,A,RealVideo-NoAudio,x,men,1.mp4,FakeAVCeleb/x",
        "id00000,-,-,real,A,RealVideo-RealAudio,x,women,00109.mp4,"
        "FakeAVCeleb/RealVideo-RealAudio/Asian (East)/women/id00000",
    ),
    "in_the_wild": ("release_in_the_wild/meta.csv", "96.wav,Someone,genuine", "5.wav,Someone,spoof"),
}


def test_every_corpus_is_here():
    assert set(EXPECTED) == set(REPLICAS)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_copy_is_read(name, replica):
    counts, kinds = EXPECTED[name]
    dataset = corpus(name, replica(name))
    manifest = dataset.manifest()
    got = manifest.counts().to_numpy()
    assert (got >= counts).all() if isinstance(counts, int) else got.tolist() == counts
    assert [finding.kind for finding in dataset.findings if finding.kind != "row-count"] == kinds
    assert manifest.name == name
    if name in TOGETHER:
        assert (manifest.table.groupby(TOGETHER[name])["split"].nunique() == 1).all()


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_found_below_the_folder_of_the_corpora(name, replica, monkeypatch):
    expected = corpus(name, replica(name)).manifest().hash
    monkeypatch.setenv("DFX_DATA", str(replica(name)))
    assert corpus(name, None).manifest().hash == expected


@pytest.mark.parametrize("name", EXPECTED)
def test_a_missing_folder_is_explained(name, tmp_path):
    dataset = corpus(name, tmp_path)
    with pytest.raises(ValueError, match=f"{name} was not found: .* holds nothing") as error:
        dataset.manifest()
    assert f"\n{dataset.tree}\n" in str(error.value)
    assert str(error.value).endswith(f"It is obtained from {dataset.facts['page']}")


@pytest.mark.parametrize("name", [*PROTOCOLS, "ljspeech", "mlaad"])
def test_missing_files_are_counted(name, changed):
    root = changed(name)
    first = Path(corpus(name, root).manifest().table["path"][0])
    first.rename(first.with_name(f"surplus{first.suffix}"))
    dataset = corpus(name, root)
    dataset.manifest()
    assert found(dataset)["rows-without-file"].count == 1
    surplus = [f for f in dataset.findings if f.kind == "files-without-row" and "surplus" in "".join(f.examples)]
    assert len(surplus) == 1


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("problem", ["label", "id"])
def test_a_wrong_row_is_named(name, problem, changed):
    root = changed(name)
    file, unknown, repeated = PROTOCOLS[name]
    with (root / file).open("a") as protocol:
        protocol.write(f"{unknown if problem == 'label' else repeated}\n")
    words = r"1 of \d+ rows of \w+ have a label that" if problem == "label" else r"2 of \d+ .* have a duplicate id"
    with pytest.raises(ValueError, match=words):
        corpus(name, root).manifest()
