from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import replicas
import soundfile
import yaml

from dfx.config.schema import CONF_DIR
from dfx.datasets import ASVspoof2021
from dfx.tables.findings import Finding

NUM = 4 * replicas.NUM_SPEAKERS  # trials of the subset eval


def corpus(root: Path, track: str, **options: object) -> ASVspoof2021:
    facts = yaml.safe_load((CONF_DIR / "dataset" / f"asvspoof2021_{track.lower()}.yaml").read_text())["facts"]
    return ASVspoof2021(track=track, root=str(root), facts=facts, **options)  # type: ignore[arg-type]


def found(dataset: ASVspoof2021) -> dict[str, Finding]:
    return {finding.kind: finding for finding in dataset.findings}


def early(key: Path, track: str) -> None:
    """Make the key what it was in 2021: 8 columns (PA: 7), blank but for label and subset."""
    lines = []
    for line in key.read_text().splitlines():
        fields = line.split()
        subset = next(word for word in ("eval", "progress", "hidden") if word in fields)
        label = "spoof" if "spoof" in fields else "bonafide"
        hidden = "hidden_track_1" if track == "PA" else "hidden_track"
        blanks = "- -" if track == "PA" else "- - -"
        lines.append(f"- {fields[1]} {blanks} {label} - {hidden if subset == 'hidden' else subset}\n")
    key.write_text("".join(lines))


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
def test_a_track_with_its_full_key(tmp_path: Path, track: str, columns: str, spoof: str) -> None:
    root = replicas.REPLICAS[f"asvspoof2021_{track.lower()}"](tmp_path)
    dataset = corpus(root, track)
    manifest = dataset.manifest()
    assert manifest.counts().to_dict("index") == {"eval": {"bonafide": NUM // 2, "spoof": NUM // 2}}
    assert manifest.table[["attack", *columns.split()]].iloc[1].tolist() == spoof.split()
    assert manifest.table["attack"].iloc[0] == "-"
    assert manifest.table["speaker"].nunique() == replicas.NUM_SPEAKERS
    assert all(soundfile.info(path).frames for path in manifest.table["path"])
    assert set(found(dataset)) == {"subset", "row-count"}
    left = found(dataset)["subset"]
    assert (left.severity, left.count) == ("note", 8)
    assert f"8 of {NUM + 8} trials of asvspoof2021_{track.lower()} are not in the subset eval" in left.text


@pytest.mark.parametrize("track", ["LA", "DF", "PA"])
def test_an_early_key(tmp_path: Path, track: str) -> None:
    root = replicas.REPLICAS[f"asvspoof2021_{track.lower()}"](tmp_path)
    (key,) = [path for path in root.rglob("trial_metadata.txt") if path.parent.name == "CM"]
    early(key, track)
    dataset = corpus(root, track)
    table = dataset.manifest().table
    assert set(table.columns) == {"id", "path", "label", "attack", "speaker", "split", "subset"}
    assert len(table) == NUM
    assert table["attack"].unique().tolist() == ["-", "spoof"]
    text = found(dataset)["early-key"].text
    assert f"https://www.asvspoof.org/asvspoof2021/{track}-keys-full.tar.gz" in text
    assert "without speaker" in text
    assert len(corpus(root, track, subset="hidden").manifest()) == 4
    with pytest.raises(
        ValueError, match=r"dataset\.divide needs the speakers of asvspoof2021_.., and this key"
    ):
        corpus(root, track, divide=True).manifest()


def test_subsets(tmp_path: Path) -> None:
    root = replicas.asvspoof2021_la(tmp_path)
    assert len(corpus(root, "LA", subset="progress").manifest()) == 4
    everything = corpus(root, "LA", subset="all")
    assert len(everything.manifest()) == NUM + 8
    assert not everything.findings  # official counts are those of eval
    with pytest.raises(ValueError, match="no subset 'test': use eval, progress, hidden or all"):
        corpus(root, "LA", subset="test")
    with pytest.raises(ValueError, match="no track 'SV': use LA, DF, PA"):
        ASVspoof2021(track="SV")


def test_trials_can_be_divided_by_speaker(tmp_path: Path) -> None:
    kept = tmp_path / "splits.csv"
    dataset = corpus(replicas.asvspoof2021_df(tmp_path), "DF", divide=True, split_file=str(kept))
    manifest = dataset.manifest()
    assert (manifest.counts().to_numpy() >= 2).all()
    assert manifest.counts().index.tolist() == ["train", "dev", "eval"]
    assert (manifest.table.groupby("speaker")["split"].nunique() == 1).all()
    assert kept.is_file()
    assert "row-count" not in found(dataset)


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
def test_keys_and_merged_audio_where_people_put_them(tmp_path: Path, place: str) -> None:
    root = replicas.asvspoof2021_df(tmp_path)
    key = root / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt"
    text = key.read_text()
    shutil.rmtree(root / "DF-keys-full")
    merged = root / "ASVspoof2021_DF_eval" / "flac"
    merged.mkdir(parents=True)
    for path in sorted(root.rglob("DF_E_*.flac")):
        path.rename(merged / path.name)
    (root / place).mkdir(parents=True, exist_ok=True)
    (root / place / "trial_metadata.txt").write_text(text)
    dataset = corpus(root, "DF")
    assert dataset.manifest().table["path"].str.startswith(str(merged)).all()
    assert "rows-without-file" not in found(dataset)
    if place.startswith("ASVspoof2021_DF_eval"):  # then its folder is whole, too
        assert len(corpus(merged.parent, "DF").manifest()) == NUM


def test_audio_without_keys_is_explained(tmp_path: Path) -> None:
    root = replicas.asvspoof2021_la(tmp_path)
    shutil.rmtree(root / "keys")
    for place in (root, root / "ASVspoof2021_LA_eval"):
        with pytest.raises(ValueError, match="asvspoof2021_la was not found") as error:
            corpus(place, "LA").manifest()
        assert "The audio comes without labels: unpack the keys beside it" in str(error.value)
        assert "LA-keys-full.tar.gz" in str(error.value)


def test_a_part_that_is_missing_is_counted(tmp_path: Path) -> None:
    root = replicas.asvspoof2021_df(tmp_path)
    shutil.rmtree(root / "ASVspoof2021_DF_eval_part03")
    dataset = corpus(root, "DF")
    assert len(dataset.manifest()) == NUM
    assert found(dataset)["rows-without-file"].count == NUM // 4
    shutil.rmtree(root / "ASVspoof2021_DF_eval_part00")
    shutil.rmtree(root / "ASVspoof2021_DF_eval_part01")
    shutil.rmtree(root / "ASVspoof2021_DF_eval_part02")
    dataset = corpus(root, "DF")
    dataset.manifest()
    assert found(dataset)["rows-without-file"].count == NUM


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("LA_1 LA_E_9 alaw x A07 spoof notrim eval", "1 of 45 .* are not of the track DF: 'LA_E_9'"),
        (
            "T DF_E_9 x x A07 spoof notrim test x - - - -",
            "1 of 45 .* are in none of the subsets .*: 'DF_E_9'",
        ),
        (
            "T DF_E_9 x x A07 fake notrim eval x - - - -",
            r"1 of 37 rows of asvspoof2021_df have a label .*'fake'",
        ),
        (
            "T DF_E_2000001 x x A07 spoof notrim eval x - - - -",
            r"2 of 37 .* have a duplicate id: 'DF_E_2000001'",
        ),
        ("T DF_E_9 x x spoof", r"1 of 45 lines have fewer than 13 columns \('T DF_E_9 x x spoof'\)"),
    ],
)
def test_a_damaged_key_is_explained(tmp_path: Path, line: str, sentence: str) -> None:
    root = replicas.asvspoof2021_df(tmp_path)
    key = root / "DF-keys-full" / "keys" / "DF" / "CM" / "trial_metadata.txt"
    if line.startswith("LA_1"):
        line += " x - - - -"
    key.write_text(f"{key.read_text()}{line}\n")
    with pytest.raises(ValueError, match=sentence):
        corpus(root, "DF").manifest()


def test_a_key_of_another_width_is_explained(tmp_path: Path) -> None:
    root = replicas.asvspoof2021_la(tmp_path)
    (root / "keys" / "LA" / "CM" / "trial_metadata.txt").write_text("LA_E_1000001 spoof\n")
    with pytest.raises(ValueError, match=r"has 2 columns in its first line .* dfx reads 8 columns"):
        corpus(root, "LA").manifest()
