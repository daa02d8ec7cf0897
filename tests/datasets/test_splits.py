import numpy as np
import pandas as pd
import pytest

from dfx.datasets.splits import assign_splits, divide_into_splits, split_group_names, split_without_class_text


def corpus(num=600):
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


def test_groups_stay_together():
    table = corpus()
    split = assign_splits(table, "speaker")
    assert (split.groupby(table["speaker"]).nunique() == 1).all()


def test_each_class_and_attack_is_divided_alike():
    table = corpus()
    split = assign_splits(table, "id")
    shares = pd.crosstab(table["attack"], split, normalize="index")
    assert np.allclose(shares["train"], 0.6, atol=0.02)
    assert np.allclose(shares["eval"], 0.2, atol=0.02)


def test_the_order_of_rows_does_not_matter():
    table = corpus()
    shuffled = table.sample(frac=1.0, random_state=1)
    split = assign_splits(table, "speaker")
    assert (assign_splits(shuffled, "speaker").sort_index() == split).all()


def test_three_recordings_of_each_class_reach_every_split():
    table = pd.DataFrame({"id": list("abcdef"), "label": [1, 1, 1, 0, 0, 0], "attack": ["-"] * 3 + ["x"] * 3})
    assert set(assign_splits(table, "id")[table["label"] == 1]) == {"train", "dev", "eval"}


def test_rows_that_share_any_value_form_one_group_and_an_unknown_value_is_none():
    table = pd.DataFrame(
        {
            "id": list("abcdef"),
            "speaker": ["s1", "-", "s2", None, "s2", ""],
            "utterance": ["u1", "u1", None, None, "u3", "u2"],
        }
    )
    names = split_group_names(table, ["speaker", "utterance"])
    assert names.tolist() == [*("speaker=s1", "speaker=s1", "speaker=s2", "id=d", "speaker=s2", "utterance=u2")]
    shuffled = table.sample(frac=1.0, random_state=1)
    assert split_group_names(shuffled, ["speaker", "utterance"]).sort_index().tolist() == names.tolist()


def test_rows_without_a_value_get_a_split_too():
    table = corpus()
    table.loc[::7, "speaker"] = None
    split = assign_splits(table, "speaker")
    assert set(split) == {"train", "dev", "eval"}
    assert (split.groupby(table["speaker"]).nunique() == 1).all()


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"dataset.groups names speker, which is no column .* it has id, label"):
        divide_into_splits(corpus(), ["speker"])


def test_one_group_that_holds_nearly_all_is_said_to_be_the_reason():
    table = corpus()
    assert not split_without_class_text(table.assign(split=assign_splits(table, "speaker")), ["speaker"])
    table["speaker"] = ["s0"] * 598 + ["s1", "s2"]
    text = split_without_class_text(table.assign(split=assign_splits(table, "speaker")), ["speaker"])
    assert text.startswith(
        "dev, eval cannot have every class: the 600 rows form 3 groups that stay together (by speaker)"
    )
    assert "the largest of 598 rows" in text


@pytest.mark.parametrize("clips", [1, 2, 3, 4, 10])
def test_attacks_of_few_clips_are_shared_out_too(clips):
    rows = [{"id": f"r{i}", "label": 1, "attack": "-"} for i in range(60)]
    rows += [{"id": f"f{i}", "label": 0, "attack": f"sys{i // clips}"} for i in range(60)]
    table = pd.DataFrame(rows)
    split = assign_splits(table, "id")
    shares = split[table["label"] == 0].value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.6, abs=0.04)
    assert shares["dev"] == pytest.approx(0.2, abs=0.04)
    assert shares["eval"] == pytest.approx(0.2, abs=0.04)
