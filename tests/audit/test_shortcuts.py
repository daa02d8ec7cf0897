import numpy as np
import pandas as pd
import pytest

from dfx.audio.measures import SCALARS
from dfx.audit import shortcut_models, shortcuts
from dfx.audit.shortcuts import shortcut_auc_of_values
from dfx.metrics import auc


def table(clips=400, **columns):
    """Measures of clips that nothing but the label tells apart, half of them spoof; train, train, dev, eval in turn."""
    generator = np.random.default_rng(0)
    label = np.arange(clips) % 2
    return pd.DataFrame(
        {
            "label": label,
            "split": np.array(["train", "train", "dev", "eval"])[np.arange(clips) // 2 % 4],
            **{scalar.name: generator.standard_normal(clips) for scalar in SCALARS},
            "bandwidth": 8000.0,
            "num_samples": generator.integers(8000, 90000, clips) | 1,
            "sample_rate": 16000,
            "bits": 16,
            "channels": 1,
            "format": "wav/pcm_16",
            **columns,
        }
    )


SPOOF = np.arange(400) % 2 == 0


def by_name(rows):
    return {row["name"]: row for row in rows}


def said(rows, made):
    return {found.kind: f"{found.severity} {found.text}" for found in shortcuts.find_shortcuts(rows, made, 16000)}


def test_nothing_is_found_where_nothing_is():
    made = table()
    rows = shortcuts.evaluate_shortcut_scalars(made, {})
    assert not said(rows, made)
    assert all(row["strength"] < 0.6 for row in rows)


@pytest.mark.parametrize(
    ("column", "values", "kind", "words"),
    [
        ("num_samples", np.where(SPOOF, 256 * 51, 256 * 51 + 1), "shortcut-length", "multiple of 256"),
        ("duration", np.where(SPOOF, 3.0, 2.0) + np.arange(400) % 7, "shortcut-length", "duration"),
        ("sample_rate", np.where(SPOOF, 24000, 16000), "shortcut-band", "sample rate"),
        ("bandwidth", np.where(SPOOF, 4000.0, 7900.0), "shortcut-band", "conditioning.bandwidth_hz=3600"),
        ("trailing_silence", np.where(SPOOF, 0.2, 0.1), "shortcut-silence", "trailing silence"),
        ("peak", np.where(SPOOF, -1.0, -3.0), "shortcut-level", "conditioning.loudness_db=-23"),
        ("noise_floor", np.where(SPOOF, -90.0, -60.0), "shortcut-noise", "lower in spoof"),
        ("dc", np.where(SPOOF, 0.01, 0.0), "shortcut-offset", "higher in spoof"),
        ("effective_bits", np.where(SPOOF, 11.0, 16.0), "shortcut-file", "bits that the values use"),
        ("channels", np.where(SPOOF, 2, 1), "shortcut-file", "channels"),
        ("format", np.where(SPOOF, "mpeg/mpeg_layer_iii", "wav/pcm_16"), "shortcut-file", "file format"),
    ],
)
def test_each_scalar_is_named_with_its_advice(column, values, kind, words):
    made = table(**{column: values})
    found = said(shortcuts.evaluate_shortcut_scalars(made, {}), made)
    assert list(found) == [kind]
    assert words in found[kind]
    assert "What to do: " in found[kind]


def test_severity_grows_with_the_leak():
    generator = np.random.default_rng(1)
    for shift, severity in ((0.3, "note"), (0.6, "warning"), (2.0, "error")):
        made = table(4000, loudness=generator.standard_normal(4000) + shift * (np.arange(4000) % 2))
        assert said(shortcuts.evaluate_shortcut_scalars(made, {}), made)["shortcut-level"].startswith(severity)


def test_the_direction_is_that_of_train():
    made = table()
    turned = np.where(made["split"] == "eval", -1, 1) * np.where(SPOOF, 1.0, -1.0)
    row = by_name(shortcuts.evaluate_shortcut_scalars(table(loudness=turned), {"elsewhere": table(loudness=-turned)}))[
        "loudness"
    ]
    assert row["places"]["train"]["auc"] == 1
    assert row["places"]["eval"]["auc"] == 0
    assert row["places"]["elsewhere"]["auc"] == pytest.approx(0.25)  # right in its eval, wrong elsewhere


def test_a_class_too_few_has_no_auc():
    made = table()
    made = made[(made["label"] == 1) | (made["split"] == "dev")]
    rows = by_name(shortcuts.evaluate_shortcut_scalars(made, {}))
    assert rows["loudness"]["auc"] is not None
    assert rows["loudness"]["places"] == {}
    assert by_name(shortcuts.evaluate_shortcut_scalars(made[made["label"] == 1], {}))["loudness"]["auc"] is None


def corpus(made, cepstra=None):
    noise = np.random.default_rng(2).standard_normal((len(made), 40)).astype(np.float32)
    return shortcut_models.ShortcutClips(made, noise if cepstra is None else cepstra)


def places(clips, others=None):
    return {row["name"]: row["places"] for row in shortcut_models.evaluate_shortcut_models(clips, others or {}, seed=0)}


def test_models_find_what_one_auc_does_not_see():
    either_end = np.where(SPOOF, np.random.default_rng(3).choice([-1.0, 1.0], 400), 0.0)
    made = table(loudness=either_end)
    assert by_name(shortcuts.evaluate_shortcut_scalars(made, {}))["loudness"]["strength"] < 0.55
    tested = places(corpus(made), {"elsewhere": corpus(made)})
    assert tested["all scalars"]["eval"]["auc"] > 0.9
    assert tested["all scalars"]["eval"]["eer"] < 0.2
    assert tested["sample rate alone"]["eval"]["auc"] == 0.5
    assert set(tested["all scalars"]) == {"dev", "eval", "elsewhere"}


def test_length_is_in_one_model_and_not_in_the_other():
    made = table(num_samples=np.where(SPOOF, 256 * 51, 256 * 51 + 1))
    found = {name: tested["eval"]["auc"] for name, tested in places(corpus(made)).items()}
    assert found["all scalars"] == found["basic scalars, multiple of 256"] == 1
    assert found["all scalars but length"] < 0.7
    assert found["basic scalars"] < 0.7


def test_cepstra_have_a_model_of_their_own():
    cepstra = np.zeros((400, 40), np.float32)
    cepstra[SPOOF, 3] = 1
    assert places(corpus(table(), cepstra))[shortcut_models.CEPSTRA]["eval"]["auc"] == 1


def test_only_so_many_clips_are_learned_from(monkeypatch):
    monkeypatch.setattr(shortcut_models, "MAX_TRAIN", 60)
    monkeypatch.setattr(shortcut_models, "CHUNK", 33)
    made = table(num_samples=np.where(SPOOF, 256 * 51, 256 * 51 + 1))
    again = [shortcut_models.evaluate_shortcut_models(corpus(made), {}, seed=1) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0][-2]["places"]["eval"]["auc"] == 1


def test_a_rare_class_is_drawn_whole():
    drawn = shortcut_models.draw_balanced_clips(np.arange(1000) + 5, np.arange(1000) < 990, 100, seed=0)
    assert len(drawn) == len(set(drawn)) == 100
    assert set(range(995, 1005)) <= set(drawn)


def test_no_model_without_both_classes_in_train():
    made = table()
    assert places(corpus(made[(made["label"] == 1) | (made["split"] != "train")])) == {}


def auc_of_spoof(spoof, bonafide):
    label = np.repeat([0, 1], [len(spoof), len(bonafide)])
    return shortcut_auc_of_values(pd.DataFrame({"label": label}), np.concatenate([spoof, bonafide]))


def test_auc_counts_ties_half():
    generator = np.random.default_rng(0)
    spoof, bonafide = generator.integers(0, 9, 80), generator.integers(2, 11, 50)
    found = auc_of_spoof(spoof, bonafide)
    assert found.auc == pytest.approx(auc(spoof, bonafide))
    assert found.strength == pytest.approx(auc(bonafide, spoof))
    assert found.reversed() == pytest.approx(auc_of_spoof(-spoof, -bonafide))


def test_auc_needs_ten_clips_of_each_class():
    assert auc_of_spoof(np.ones(9), np.ones(10)) is None
    assert auc_of_spoof(np.ones(10), []) is None


def test_the_interval_covers_the_truth():
    generator = np.random.default_rng(1)
    truth = 0.7602  # of normal values, means one deviation apart: Phi(1 / sqrt(2))
    hits = 0
    for _ in range(400):
        found = auc_of_spoof(generator.normal(1, 1, 60), generator.normal(0, 1, 40))
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_perfect_separation_of_few_clips_is_not_certain():
    few, many = (auc_of_spoof(np.ones(10), np.zeros(10)), auc_of_spoof(np.ones(1000), np.zeros(1000)))
    assert few.deviation == pytest.approx(0.1)
    assert (many.low, many.high) == (pytest.approx(0.998, abs=1e-3), 1)


def test_one_value_tells_nothing():
    found = auc_of_spoof(np.ones(20), np.ones(20))
    assert found == (0.5, 0.5, 0.5, 0)
    assert found.is_chance


def what_to_beat(*scalars):
    rows = []
    for number, aucs in enumerate(scalars):
        cells = {place: {"auc": value, "low": value - 0.04, "high": value + 0.04} for place, value in aucs.items()}
        rows.append({"title": f"scalar {number}", "places": cells})
    return shortcut_models.shortcut_auc_to_beat(rows, [], "")


def test_dev_chooses_what_is_to_beat():
    found = what_to_beat({"dev": 0.7, "eval": 0.6}, {"dev": 0.5, "eval": 0.65})
    assert (found["name"], found["auc"], found["eer"]) == ("scalar 0 alone", 0.6, None)
    assert "that much is reached on the files as they are" in found["text"]
    assert found["text"].endswith("without listening (scalar 0 alone, chosen on dev).")


def test_without_dev_eval_chooses_and_chance_is_called_so():
    found = what_to_beat({"eval": 0.49}, {"eval": 0.52})
    assert (found["name"], found["auc"]) == ("scalar 1 alone", 0.52)
    assert "no more than chance is reached on the files as they are" in found["text"]
    assert found["text"].endswith("(scalar 1 alone, chosen on eval).")
