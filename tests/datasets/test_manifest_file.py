import pandas as pd
import pytest

from dfx.datasets.manifest_file import ManifestFile


def table(**columns):
    base = {"path": [f"clips/{i}.wav" for i in range(6)], "label": ["bonafide", "fake"] * 3}
    return pd.DataFrame(base | columns)


def test_aliases_and_split_words(tmp_path):
    table(system=["-", "vits"] * 3, split=["train", "Train", "dev", "val", "test", "test"]).to_csv(
        tmp_path / "m.csv", index=False
    )
    read = ManifestFile(str(tmp_path / "m.csv")).manifest().table
    assert set(read["attack"]) == {"-", "vits"}
    assert read["split"].tolist() == ["train", "train", "dev", "dev", "eval", "eval"]
    assert read["path"][0] == str(tmp_path / "clips/0.wav")


def test_a_given_column_wins_over_an_alias(tmp_path):
    table(system=["a"] * 6, vocoder=["-", "wg"] * 3, split=["train"] * 6).to_parquet(tmp_path / "m.parquet")
    read = ManifestFile(str(tmp_path / "m.parquet"), columns={"attack": "vocoder"}).manifest().table
    assert set(read["attack"]) == {"-", "wg"}


def test_without_splits_utterances_are_kept_together(tmp_path):
    table(utterance=["u0", "u0", "u1", "u1", "u2", "u2"]).to_csv(tmp_path / "m.csv", index=False)
    read = ManifestFile(str(tmp_path / "m.csv")).manifest().table
    assert (read.groupby("utterance")["split"].nunique() == 1).all()


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"No table at .*m\.csv.*path and label"):
        ManifestFile(str(tmp_path / "m.csv")).manifest()
