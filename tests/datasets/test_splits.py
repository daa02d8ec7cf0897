from __future__ import annotations

import numpy as np
import pandas as pd

from dfx.datasets.splits import assign


def corpus(num: int = 600) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, num)
    attack = np.where(label == 1, "-", generator.choice(["vits", "melgan", "hifigan"], num))
    return pd.DataFrame(
        {
            "id": [f"u{i}" for i in range(num)],
            "label": label,
            "attack": attack,
            "speaker": [f"s{i}" for i in generator.integers(0, 60, num)],
        }
    )


def test_groups_stay_together() -> None:
    table = corpus()
    split = assign(table, "speaker")
    assert (split.groupby(table["speaker"]).nunique() == 1).all()


def test_each_class_and_attack_is_divided_alike() -> None:
    table = corpus()
    split = assign(table, "id")
    shares = pd.crosstab(table["attack"], split, normalize="index")
    assert np.allclose(shares["train"], 0.6, atol=0.02)
    assert np.allclose(shares["eval"], 0.2, atol=0.02)


def test_the_order_of_rows_does_not_matter() -> None:
    table = corpus()
    shuffled = table.sample(frac=1.0, random_state=1)
    split = assign(table, "speaker")
    assert (assign(shuffled, "speaker").sort_index() == split).all()


def test_three_recordings_of_each_class_reach_every_split() -> None:
    table = pd.DataFrame({"id": list("abcdef"), "label": [1, 1, 1, 0, 0, 0], "attack": ["-"] * 3 + ["x"] * 3})
    assert set(assign(table, "id")[table["label"] == 1]) == {"train", "dev", "eval"}
