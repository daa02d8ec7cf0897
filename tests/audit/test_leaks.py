from __future__ import annotations

import numpy as np
import pandas as pd

from dfx.audit import leaks
from dfx.audit.duplicates import Matches
from dfx.tables.findings import Finding


def table(**columns: list) -> pd.DataFrame:
    """Eight clips: four in train, two in dev, two in eval, the classes in turn."""
    return pd.DataFrame(
        {
            "id": [f"c{n}" for n in range(8)],
            "label": [1, 0] * 4,
            "attack": ["-", "A1"] * 4,
            "speaker": list("abcdefgh"),
            "split": ["train"] * 4 + ["dev"] * 2 + ["eval"] * 2,
            "good": True,
            **columns,
        }
    )


def matches(exact: dict[int, int] | None = None, near: dict[int, int] | None = None) -> Matches:
    groups = []
    for given in (exact or {}, near or {}):
        group = np.full(8, -1)
        group[list(given)] = list(given.values())
        groups.append(group)
    return Matches(groups[0], groups[1], "")


def kinds(found: list[Finding]) -> dict[str, Finding]:
    return {entry.kind: entry for entry in found}


def row(found: leaks.Leaks, kind: str, first: str = "train", second: str = "eval") -> dict:
    return next(r for r in found.rows if (r["kind"], r["first"], r["second"]) == (kind, first, second))


def test_a_speaker_in_train_and_eval() -> None:
    found = leaks.find_leaks(table(speaker=list("abcdefga")), matches())
    assert row(found, "speaker") | {"values": 1, "clips": 1, "of": 2, "share": 0.5} == row(found, "speaker")
    assert row(found, "speaker", "train", "dev")["values"] == 0
    leak = kinds(found.findings)["leaked-speaker"]
    assert leak.examples == ("a",)
    assert "1 of the 2 clips of eval (50%)" in leak.text


def test_unknown_speakers_are_no_leak() -> None:
    found = leaks.find_leaks(table(speaker=["-", "Unknown", "c", "d", "e", "f", "-", "unknown"]), matches())
    assert "leaked-speaker" not in kinds(found.findings)
    assert row(found, "speaker")["of"] == 0


def test_a_corpus_without_speakers_says_so() -> None:
    found = leaks.find_leaks(table(speaker=["-"] * 8), matches())
    assert kinds(found.findings)["no-speakers"].severity == "note"


def test_utterances_go_by_any_of_their_names_and_sources_and_groups_too() -> None:
    found = leaks.find_leaks(
        table(sentence=list("abcdefgb"), source=list("xxyyzzzx"), room=list("12345671")),
        matches(),
        groups=["room"],
    )
    assert {"leaked-utterance", "leaked-source", "leaked-room"} <= set(kinds(found.findings))


def test_one_source_for_all_is_no_finding() -> None:
    assert "leaked-source" not in kinds(leaks.find_leaks(table(source=["page"] * 8), matches()).findings)


def test_exact_duplicates_across_splits_in_both_classes_and_within_one() -> None:
    found = leaks.find_leaks(
        table(), matches({0: 5, 6: 5, 1: 6, 2: 6, 3: 7, 4: 7}, {0: 5, 6: 5, 1: 6, 2: 6, 3: 7, 4: 7})
    )
    said = kinds(found.findings)
    assert said["duplicate-audio-across-splits"].examples == ("c0 = c6", "c3 = c4")
    assert said["duplicate-audio-in-both-classes"].examples == ("c1 = c2", "c3 = c4")
    assert said["duplicate-audio-across-splits"].severity == "error"
    assert not any(kind.startswith("same-recording") for kind in said)  # said once is enough
    assert row(found, "duplicate audio")["clips"] == 1

    within = kinds(leaks.find_leaks(table(), matches({0: 1, 2: 1}, {0: 1, 2: 1})).findings)
    assert within["duplicate-audio-within-a-split"].severity == "note"


def test_near_duplicates_are_told_apart_from_exact_ones() -> None:
    found = kinds(leaks.find_leaks(table(), matches({0: 5, 2: 5}, {0: 9, 2: 9, 6: 9})).findings)
    assert set(found) >= {"duplicate-audio-within-a-split", "same-recording-across-splits"}
    assert found["same-recording-across-splits"].examples == ("c0 = c2 = c6",)
    twins = kinds(leaks.find_leaks(table(), matches({}, {1: 6, 2: 6})).findings)
    assert (
        twins["same-recording-in-both-classes"].severity == "warning"
    )  # a codec as an attack looks like this


def test_attacks_seen_and_unseen() -> None:
    attacks = ["-", "A1", "-", "A2", "-", "A1", "-", "A3"]
    assert "no-unseen-attack" in kinds(leaks.find_leaks(table(), matches()).findings)
    seen = kinds(
        leaks.find_leaks(
            table(attack=[*attacks[:7], "A1"], split=["train"] * 4 + ["dev"] * 2 + ["eval"] * 2), matches()
        ).findings
    )
    assert "1 of the 1 attacks of eval" in seen["no-unseen-attack"].text
    none = leaks.find_leaks(table(attack=attacks), matches())
    assert "0 of the 1 attacks of eval" in kinds(none.findings)["seen-attacks"].text
    unnamed = leaks.find_leaks(table(attack=["-", "spoof"] * 4), matches())
    assert not {"seen-attacks", "no-unseen-attack"} & set(kinds(unnamed.findings))
