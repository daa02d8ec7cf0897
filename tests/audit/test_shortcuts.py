from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dfx.audio.measures import SCALARS
from dfx.audit import models, shortcuts


def table(clips: int = 400, **columns: np.ndarray) -> pd.DataFrame:
    """Measures of clips that nothing but the label tells apart, half of them spoof; train, train, dev, eval in turn."""
    generator = np.random.default_rng(0)
    label = np.arange(clips) % 2
    return pd.DataFrame(
        {
            "label": label,
            "split": np.array(["train", "train", "dev", "eval"])[np.arange(clips) // 2 % 4],
            **{name: generator.standard_normal(clips) for name in SCALARS},
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


def by_name(rows: list[dict]) -> dict[str, dict]:
    return {row["name"]: row for row in rows}


def said(rows: list[dict], made: pd.DataFrame) -> dict[str, str]:
    return {found.kind: f"{found.severity} {found.text}" for found in shortcuts.findings(rows, made, 16000)}


def test_nothing_is_found_where_nothing_is() -> None:
    made = table()
    rows = shortcuts.look(made, {})
    assert not said(rows, made)
    assert all(row["whole"].strength < 0.6 for row in rows)


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
def test_each_scalar_is_named_with_its_advice(column: str, values: np.ndarray, kind: str, words: str) -> None:
    made = table(**{column: values})
    found = said(shortcuts.look(made, {}), made)
    assert list(found) == [kind]
    assert words in found[kind]
    assert "What to do: " in found[kind]


def test_severity_grows_with_the_leak() -> None:
    generator = np.random.default_rng(1)
    for shift, severity in ((0.3, "note"), (0.6, "warning"), (2.0, "error")):
        made = table(4000, loudness=generator.standard_normal(4000) + shift * (np.arange(4000) % 2))
        assert said(shortcuts.look(made, {}), made)["shortcut-level"].startswith(severity)


def test_the_direction_is_that_of_train() -> None:
    made = table()
    turned = np.where(made["split"] == "eval", -1, 1) * np.where(SPOOF, 1.0, -1.0)
    row = by_name(shortcuts.look(table(loudness=turned), {"elsewhere": table(loudness=-turned)}))["loudness"]
    assert row["places"]["train"].auc == 1
    assert row["places"]["eval"].auc == 0
    assert row["places"]["elsewhere"].auc == pytest.approx(0.25)  # right in its eval, wrong elsewhere


def test_a_class_too_few_has_no_auc() -> None:
    made = table()
    made = made[(made["label"] == 1) | (made["split"] == "dev")]
    rows = by_name(shortcuts.look(made, {}))
    assert rows["loudness"]["whole"] is not None
    assert rows["loudness"]["places"] == {}
    assert by_name(shortcuts.look(made[made["label"] == 1], {}))["loudness"]["whole"] is None


def corpus(made: pd.DataFrame, cepstra: np.ndarray | None = None) -> models.Corpus:
    noise = np.random.default_rng(2).standard_normal((len(made), 40)).astype(np.float32)
    return models.Corpus(made, noise if cepstra is None else cepstra)


def test_models_find_what_one_auc_does_not_see() -> None:
    made = table(
        loudness=np.where(SPOOF, np.random.default_rng(3).choice([-1.0, 1.0], 400), 0.0)
    )  # spoof: either end
    assert by_name(shortcuts.look(made, {}))["loudness"]["whole"].strength < 0.55
    tested = {model.name: model for model in models.test(corpus(made), {"elsewhere": corpus(made)}, seed=0)}
    assert tested["all scalars"].places["eval"][0].auc > 0.9
    assert tested["all scalars"].places["eval"][1] < 0.2
    assert tested["sample rate alone"].places["eval"][0].auc == 0.5
    assert set(tested["all scalars"].places) == {"dev", "eval", "elsewhere"}


def test_length_is_in_one_model_and_not_in_the_other() -> None:
    made = table(num_samples=np.where(SPOOF, 256 * 51, 256 * 51 + 1))
    tested = {model.name: model.places["eval"][0].auc for model in models.test(corpus(made), {}, seed=0)}
    assert tested["all scalars"] == tested["basic scalars, multiple of 256"] == 1
    assert tested["all scalars but length"] < 0.7
    assert tested["basic scalars"] < 0.7


def test_cepstra_have_a_model_of_their_own() -> None:
    cepstra = np.zeros((400, 40), np.float32)
    cepstra[SPOOF, 3] = 1
    made = table()
    tested = {
        model.name: model.places["eval"][0].auc for model in models.test(corpus(made, cepstra), {}, seed=0)
    }
    assert tested[models.CEPSTRA] == 1


def test_only_so_many_clips_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MAX_TRAIN", 60)
    monkeypatch.setattr(models, "CHUNK", 33)
    made = table(num_samples=np.where(SPOOF, 256 * 51, 256 * 51 + 1))
    again = [models.test(corpus(made), {}, seed=1) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0][-2].places["eval"][0].auc == 1


def test_a_rare_class_is_drawn_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MAX_TRAIN", 100)
    is_spoof = np.arange(1000) < 990
    drawn = models._drawn(np.arange(1000) + 5, is_spoof, 0)
    assert len(drawn) == len(set(drawn)) == 100
    assert set(range(995, 1005)) <= set(drawn)


def test_no_model_without_both_classes_in_train() -> None:
    made = table()
    assert models.test(corpus(made[(made["label"] == 1) | (made["split"] != "train")]), {}, seed=0) == []
