import numpy as np
import pandas as pd
import pytest

import setups
from dfx.detector import build
from dfx.detector.checks import check_config
from replicas import corpus


def composed(root, *overrides):
    given = ["dataset=deep_voice_table", "feature=table", "model=mlp", f"dataset.root={root}"]
    return setups.composed(*given, *overrides)


def test_rows_become_utterances_and_columns_features(replica):
    root = replica("deep_voice_table")
    dataset = corpus("deep_voice_table", root)
    manifest = dataset.manifest()
    file = pd.read_csv(root / "KAGGLE" / "DATASET-balanced.csv")
    assert (manifest.table["label"] == (file["LABEL"] == "REAL")).all()
    vectors = dataset.vectors()
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, file.drop(columns="LABEL"), rtol=1e-6)
    assert "does not name recordings" in dataset.note


def test_blocks_are_neighbouring_rows_of_a_class(replica):
    table = corpus("deep_voice_table", replica("deep_voice_table")).manifest().table
    assert (table.groupby("block").size() == 50).all()
    assert (table.groupby("block")["label"].nunique() == 1).all()


def test_batches_hold_whole_rows(replica):
    cfg = composed(replica("deep_voice_table"))
    check_config(cfg)
    dataset = build.build_dataset(cfg)
    manifest, vectors = dataset.manifest(), dataset.vectors()
    data = build.build_datamodule(cfg, manifest, vectors)
    batch = next(iter(data.val_dataloader()))
    rows = data.tables["dev"]["row"].to_numpy()[batch["index"].numpy()]
    np.testing.assert_array_equal(batch["waveform"].numpy(), vectors[rows])
    assert build.build_detector(cfg, data)(batch["waveform"]).isfinite().all()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("segment_seconds=20", "is a table of 26 features, but a segment has 20: use sample_rate=1 segment_seconds=26"),
        ("feature=mfcc", "is a table of ready features; the chosen feature"),
        ("augment=rawboost", "is a table of ready features; the chosen feature, augmentation"),
    ],
)
def test_what_takes_audio_is_refused(replica, override, words):
    cfg = composed(replica("deep_voice_table"), override)
    dataset = build.build_dataset(cfg)
    with pytest.raises(ValueError, match=words):
        build.build_datamodule(cfg, dataset.manifest(), dataset.vectors())


def test_audio_does_not_go_through_the_feature_of_tables(replica, tmp_path):
    cfg = composed(tmp_path)
    manifest = corpus("in_the_wild", replica("in_the_wild")).manifest()
    with pytest.raises(ValueError, match="feature=table takes ready features, and in_the_wild holds audio"):
        build.build_datamodule(cfg, manifest)


def test_a_value_that_is_no_number_is_named(changed):
    root = changed("deep_voice_table")
    file = root / "KAGGLE" / "DATASET-balanced.csv"
    table = pd.read_csv(file, dtype="str")
    table.loc[7, "mfcc3"] = "n/a"
    table.to_csv(file, index=False)
    with pytest.raises(ValueError, match=r"1 values are not finite numbers, first 'n/a' in row 7, column mfcc3"):
        corpus("deep_voice_table", root).vectors()
