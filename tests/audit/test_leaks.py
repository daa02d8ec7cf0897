import numpy as np
import pandas as pd
import pytest

from dfx.audit.duplicates import DuplicateGroups
from dfx.audit.leaks import find_leaks


def table(**columns):
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


def matches(exact=None, near=None):
    groups = []
    for given in (exact or {}, near or {}):
        group = np.full(8, -1)
        group[list(given)] = list(given.values())
        groups.append(group)
    return DuplicateGroups(groups[0], groups[1], "")


def by_kind(found):
    return {entry.kind: entry for entry in found.findings}


def row(found, kind, first="train", second="eval"):
    return next(r for r in found.rows if (r["kind"], r["first"], r["second"]) == (kind, first, second))


@pytest.mark.parametrize(
    ("columns", "present", "absent"),
    [
        ({"speaker": list("abcdefga")}, {"leaked-speaker": "1 of the 2 clips of eval (50%)"}, ""),
        ({"speaker": ["-", "Unknown", *"cdef", "-", "unknown"]}, {}, "leaked-speaker"),
        ({"speaker": ["-"] * 8}, {"no-speakers": "names no speakers"}, ""),
        ({"sentence": list("abcdefgb")}, {"leaked-utterance": "Utterance on both sides of a split"}, ""),
        ({"source": list("xxyyzzzx")}, {"leaked-source": "Source on both sides of a split"}, ""),
        ({"source": ["page"] * 8}, {}, "leaked-source"),  # one for all divides nothing
        ({"room": list("12345671")}, {"leaked-room": "divide by room"}, ""),
        ({}, {"no-unseen-attack": "1 of the 1 attacks of eval"}, "seen-attacks"),
        (
            {"attack": ["-", "A1", "-", "A2", "-", "A1", "-", "A3"]},
            {"seen-attacks": "0 of the 1 attacks of eval"},
            "no-unseen-attack",
        ),
        ({"attack": ["-", "spoof"] * 4}, {}, "seen-attacks no-unseen-attack"),
    ],
)
def test_what_splits_share(columns, present, absent):
    found = by_kind(find_leaks(table(**columns), matches(), groups=["room"]))
    for kind, words in present.items():
        assert words in found[kind].text
    assert not set(absent.split()) & set(found)


def test_shared_values_are_counted_where_they_are_known():
    found = find_leaks(table(speaker=list("abcdefga")), matches())
    assert row(found, "speaker").items() >= {"values": 1, "clips": 1, "of": 2, "share": 0.5}.items()
    assert row(found, "speaker", "train", "dev")["values"] == 0
    assert by_kind(found)["leaked-speaker"].examples == ("a",)
    unknown = find_leaks(table(speaker=["-", "Unknown", *"cdef", "-", "unknown"]), matches())
    assert row(unknown, "speaker")["of"] == 0


def examples(found, kind):
    return found[kind].severity, found[kind].examples


def test_exact_duplicates_across_splits_in_both_classes_and_within_one():
    groups = {0: 5, 6: 5, 1: 6, 2: 6, 3: 7, 4: 7}
    leaks = find_leaks(table(), matches(groups, groups))
    found = by_kind(leaks)
    assert examples(found, "duplicate-audio-across-splits") == ("error", ("c0 = c6", "c3 = c4"))
    assert examples(found, "duplicate-audio-in-both-classes") == ("error", ("c1 = c2", "c3 = c4"))
    assert not any(kind.startswith("same-recording") for kind in found)  # said once is enough
    assert row(leaks, "duplicate audio")["clips"] == 1
    within = by_kind(find_leaks(table(), matches({0: 1, 2: 1}, {0: 1, 2: 1})))
    assert examples(within, "duplicate-audio-within-a-split") == ("note", ("c0 = c2",))


def test_near_duplicates_are_told_apart_from_exact_ones():
    found = by_kind(find_leaks(table(), matches({0: 5, 2: 5}, {0: 9, 2: 9, 6: 9})))
    assert "duplicate-audio-within-a-split" in found
    assert examples(found, "same-recording-across-splits") == ("error", ("c0 = c2 = c6",))
    twins = by_kind(find_leaks(table(), matches({}, {1: 6, 2: 6})))
    assert twins["same-recording-in-both-classes"].severity == "warning"  # an attack by a codec looks like this
