import shutil

import pytest

from dfx.datasets import ASVspoof2021
from replicas import NUM_SPEAKERS, corpus, found, lines

NUM = 4 * NUM_SPEAKERS  # trials of the subset eval


def early(key, track):
    """Make the key as it was in 2021: 8 columns (PA: 7), blank except for label and subset."""
    rows = []
    for line in key.read_text().splitlines():
        fields = line.split()
        subset = next(word for word in ("eval", "progress", "hidden") if word in fields)
        label = "spoof" if "spoof" in fields else "bonafide"
        hidden = "hidden_track_1" if track == "PA" else "hidden_track"
        blanks = "- -" if track == "PA" else "- - -"
        rows.append(f"- {fields[1]} {blanks} {label} - {hidden if subset == 'hidden' else subset}\n")
    key.write_text("".join(rows))


@pytest.mark.parametrize(
    ("track", "columns", "spoof"),
    [
        ("LA", "codec transmission trim subset", "A08 alaw loc_tx notrim eval"),
        (
            "DF",
            "compression source trim subset vocoder_type task team gender_pair language",
            "A14 low_mp3 asvspoof notrim eval traditional_vocoder - - - -",
        ),
        (
            "PA",
            "asv_room asv_mic asv_distance attacker_room attacker_mic replay_device attacker_distance trim subset",
            "spoof R2 M2 d2 r1 m1 s3 c4 notrim eval",
        ),
    ],
)
def test_columns_of_a_full_key(replica, track, columns, spoof):
    name = f"asvspoof2021_{track.lower()}"
    dataset = corpus(name, replica(name))
    table = dataset.manifest().table
    assert table[["attack", *columns.split()]].iloc[1].tolist() == spoof.split()
    assert table["attack"].iloc[0] == "-"
    assert table["speaker"].nunique() == NUM_SPEAKERS
    left = found(dataset)["subset"]
    assert (left.severity, left.count) == ("note", 8)
    assert f"8 of {NUM + 8} trials of {name} are not in the subset eval" in left.text


@pytest.mark.parametrize("track", ["LA", "DF", "PA"])
def test_an_early_key(changed, track):
    name = f"asvspoof2021_{track.lower()}"
    root = changed(name)
    (key,) = [path for path in root.rglob("trial_metadata.txt") if path.parent.name == "CM"]
    early(key, track)
    dataset = corpus(name, root)
    table = dataset.manifest().table
    assert set(table.columns) == {"id", "path", "label", "attack", "speaker", "split", "subset"}
    assert len(table) == NUM
    assert table["attack"].unique().tolist() == ["-", "spoof"]
    text = found(dataset)["early-key"].text
    assert f"https://www.asvspoof.org/asvspoof2021/{track}-keys-full.tar.gz" in text
    assert "without speaker" in text
    assert len(corpus(name, root, subset="hidden").manifest()) == 4
    with pytest.raises(ValueError, match=r"dataset\.divide needs the speakers of asvspoof2021_.., and this key"):
        corpus(name, root, divide=True).manifest()


def test_subsets(replica):
    name, root = "asvspoof2021_la", replica("asvspoof2021_la")
    assert len(corpus(name, root, subset="progress").manifest()) == 4
    everything = corpus(name, root, subset="all")
    assert len(everything.manifest()) == NUM + 8
    assert not everything.findings  # official counts are those of eval
    with pytest.raises(ValueError, match="no subset 'test': use eval, progress, hidden or all"):
        ASVspoof2021(track="LA", subset="test")
    with pytest.raises(ValueError, match="no track 'SV': use LA, DF, PA"):
        ASVspoof2021(track="SV")


def test_trials_can_be_divided_by_speaker(replica, tmp_path):
    kept = tmp_path / "splits.csv"
    name = "asvspoof2021_df"
    dataset = corpus(name, replica(name), divide=True, split_file=str(kept))
    manifest = dataset.manifest()
    assert (manifest.counts().to_numpy() >= 2).all()
    assert manifest.counts().index.tolist() == ["train", "dev", "eval"]
    assert (manifest.table.groupby("speaker")["split"].nunique() == 1).all()
    assert kept.is_file()
    assert "row-count" not in found(dataset)


@pytest.mark.parametrize(
    ("kept", "words"),
    [(0, "none of the 18 rows is bonafide, so no split has both"), (1, "dev, eval cannot have every")],
)
def test_a_division_without_bona_fide_in_a_split_is_reported(changed, kept, words):
    root = changed("asvspoof2021_df")
    (key,) = root.rglob("trial_metadata.txt")
    rows = key.read_text().splitlines()
    bonafide = [row for row in rows if " bonafide " in row]
    lines(key, *[row for row in rows if row not in bonafide[kept:]])
    dataset = corpus("asvspoof2021_df", root, divide=True)
    dataset.manifest()
    assert words in found(dataset)["split-without-class"].text


@pytest.mark.parametrize(
    "place",
    [
        "keys/DF/CM",
        "keys/CM",  # as the early archive unpacks
        "DF-keys-stage-1/keys/CM",
        "DF-keys-full/keys/DF/CM",
        "ASVspoof2021_DF_eval/keys/DF/CM",
        "ASVspoof2021_DF_eval/DF-keys-full/keys/DF/CM",
        "ASVspoof2021_DF_eval",
        "",
    ],
)
def test_keys_and_merged_audio_where_people_put_them(changed, place):
    root = changed("asvspoof2021_df")
    text = (root / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt").read_text()
    shutil.rmtree(root / "DF-keys-full")
    merged = root / "ASVspoof2021_DF_eval" / "flac"
    merged.mkdir(parents=True)
    for path in sorted(root.rglob("DF_E_*.flac")):
        path.rename(merged / path.name)
    (root / place).mkdir(parents=True, exist_ok=True)
    (root / place / "trial_metadata.txt").write_text(text)
    dataset = corpus("asvspoof2021_df", root)
    assert dataset.manifest().table["path"].str.startswith(str(merged)).all()
    assert "rows-without-file" not in found(dataset)
    if place.startswith("ASVspoof2021_DF_eval"):  # then its folder is complete, too
        assert len(corpus("asvspoof2021_df", merged.parent).manifest()) == NUM


def test_audio_without_keys_is_explained(changed):
    root = changed("asvspoof2021_la")
    shutil.rmtree(root / "keys")
    for place in (root, root / "ASVspoof2021_LA_eval"):
        with pytest.raises(ValueError, match="asvspoof2021_la was not found") as error:
            corpus("asvspoof2021_la", place).manifest()
        assert "The audio comes without labels: unpack the keys beside it" in str(error.value)
        assert "LA-keys-full.tar.gz" in str(error.value)


def test_missing_parts_are_counted(changed):
    root = changed("asvspoof2021_df")
    for parts, missing in ((["03"], NUM // 4), (["00", "01", "02"], NUM)):
        for part in parts:
            shutil.rmtree(root / f"ASVspoof2021_DF_eval_part{part}")
        dataset = corpus("asvspoof2021_df", root)
        assert len(dataset.manifest()) == NUM
        assert found(dataset)["rows-without-file"].count == missing


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("LA_1 LA_E_9 alaw x A07 spoof notrim eval x - - - -", "1 of 45 .* not of the track DF: 'LA_E_9'"),
        ("T DF_E_9 x x A07 spoof notrim test x - - - -", "1 of 45 .* in none of the subsets .*: 'DF_E_9'"),
    ],
)
def test_a_damaged_key_is_explained(changed, line, sentence):
    root = changed("asvspoof2021_df")
    with (root / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt").open("a") as key:
        key.write(f"{line}\n")
    with pytest.raises(ValueError, match=sentence):
        corpus("asvspoof2021_df", root).manifest()
