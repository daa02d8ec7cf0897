from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfx import scorefiles
from dfx.metrics import eer
from dfx.tables.findings import Finding
from dfx.tables.score_table import ScoreTable

SHARED = Path(__file__).parents[3] / "shared" / "data" / "scores"
needs_scores = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the published score files are not in ../shared/data/scores"
)
IDS = ["LA_E_1", "LA_E_2", "LA_E_3", "LA_E_4"]
SCORES = [2.5, 0.1 + 0.2, -1e-308, -3.0]
LABELS = [1, 1, 0, 0]
KEY = pd.DataFrame({"id": IDS, "label": LABELS, "attack": ["-", "-", "A07", "A08"]})


def write(tmp_path: Path, text: str | bytes, name: str = "file.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def lines(form: str, **columns: list) -> str:
    rows = zip(*(columns.get(name, values) for name, values in ALL.items()), strict=True)
    return "".join(form.format(**dict(zip(ALL, row, strict=True))) + "\n" for row in rows)


ALL = {
    "id": IDS,
    "score": [repr(score) for score in SCORES],
    "word": ["bonafide", "bonafide", "spoof", "spoof"],
    "attack": ["-", "-", "A07", "A08"],
}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (lines("{id} {attack} {word} {score}"), "id attack label score"),  # ASVspoof 2019
        (lines("{id} {score}"), "id score"),  # 2021, Arena
        (lines("{id}\t{score}"), "id score"),
        (lines("{id},{score}"), "id score"),
        ("filename\tcm-score\n" + lines("{id}\t{score}"), "id score"),  # ASVspoof 5, track 1
        (
            "spk\tfilename\tcm-score\tasv-score\tsasv-score\n" + lines("s1\t{id}\t{score}\t1\t2"),
            "id score speaker asv-score sasv-score",
        ),
        (lines("s1 {id} {score} {word}"), "id label score speaker"),  # baselines of ASVspoof 5
        (lines("{id} {word} {score}"), "id label score"),
        (
            "id,attack,label,score,codec\n" + lines("{id},{attack},{word},{score},x"),
            "id attack label score codec",
        ),
        ("File Name;Score\n" + lines("{id};{score}"), "id score"),
        ("id, score\n" + lines("{id}, {score}"), "id score"),
        ("score, id\n" + lines("{score}, {id}"), "id score"),
        ("CM_score,Utterance\n" + lines("{score},{id}"), "id score"),
        ("path,score\n" + lines('"{id}",{score}'), "id score"),
    ],
)
def test_a_format_is_told_by_its_columns_and_every_bit_is_kept(
    tmp_path: Path, text: str, columns: str
) -> None:
    table = scorefiles.read_scores(write(tmp_path, text))
    assert list(table) == columns.split()
    assert table["id"].tolist() == IDS
    assert table["score"].tolist() == SCORES
    assert table.get("label", pd.Series(LABELS)).tolist() == LABELS


@pytest.mark.parametrize(
    "data",
    [
        lines("{id} {score}").replace("\n", "\r\n").encode("utf-8-sig"),
        lines("{id} {score}").encode("utf-16"),  # of PowerShell
        lines("{id} {score}").replace("\n", "\r").encode(),  # of the first Macintoshes
        gzip.compress(lines("{id} {score}").encode()),
        ("# made by X\n\n" + lines("  {id}   {score}  ") + "# end\n").encode(),
        lines("{id} {score}").rstrip().encode(),
    ],
    ids=["windows", "powershell", "mac", "gzip", "comments", "no-end"],
)
def test_what_editors_and_systems_do_to_a_file_does_no_harm(tmp_path: Path, data: bytes) -> None:
    table = scorefiles.read_scores(write(tmp_path, data))
    assert table["id"].tolist() == IDS
    assert table["score"].tolist() == SCORES


def test_ids_may_hold_blanks(tmp_path: Path) -> None:
    table = scorefiles.read_scores(write(tmp_path, "my clip 1.wav 0.5\nother.wav -1\nno 3.wav 2\n"))
    assert table["id"].tolist() == ["my clip 1.wav", "other.wav", "no 3.wav"]
    table = scorefiles.read_scores(write(tmp_path, "u 1 A01 spoof 0.5\nu2 - bonafide 1\nu3 - bonafide 1\n"))
    assert table["id"].tolist() == ["u 1", "u2", "u3"]


def test_what_dfx_writes_is_read(tmp_path: Path) -> None:
    table = ScoreTable(KEY.assign(score=SCORES, id=["a b", "50%", "c,d", 'say "e"'], codec="x"))
    table.write(tmp_path / "a.csv")
    table.write_plain(tmp_path / "a.txt")
    for name in ("a.csv", "a.txt"):
        joined, findings = scorefiles.join(scorefiles.read_scores(tmp_path / name))
        assert joined.trials_hash == table.trials_hash
        assert joined.table["score"].tolist() == SCORES
        assert findings == []
    key = scorefiles.read_key(tmp_path / "a.csv")
    assert list(key) == ["id", "label", "attack", "codec"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "file.txt is empty"),
        (
            "u1 0.5\nu2 high\nu3 0,7\nu4 1\n",
            r"2 of 4 trials have a score that is no number \('u2: high', 'u3: 0,7'\)",
        ),
        (
            "".join(f"u{n} high\n" for n in range(7)) + "u7 1\n" * 9,
            r"7 of 16 .*, 'u4: high', \.\.\. \(7 in all\)\)",
        ),
        ("id,probability\nu1,0.5\n", "has no column of scores: it has id, probability. Call it score"),
        (
            "utterance,fake_probability,label\nu1,0.5,spoof\n",
            "no column of scores: it has .*fake_probability.*turned",
        ),
        ("bonafide target 7.98\nA07 spoof -3\n", "holds scores of speaker verification"),
        ("u1 1 0.5\nu2 0 0.7\n", "2 of 2 labels are unknown .*Unknown label '1': dfx does not guess"),
        ("u1 - bonafide 1\nu2 A1 spoof 1\nu3 A1 spoofy 1\n", r"1 of 3 labels are unknown \('spoofy'\)"),
        ("id,score\nu1,0.5,7\n", "more fields than the header"),
        ("id,score\nu1,0.5\nu2,0.5,7\n", "file.txt is no table .*line 3"),
        ("id,score\n", "a header .* and no trial below"),
        ("only\nwords\nhere\n", "is no score file, its first line is 'only'"),
        ("u1 0.5\nu2 1\nu3\n", r"1 of 3 lines have fewer than 2 columns \('u3'\)"),
    ],
)
def test_another_file_gives_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        scorefiles.read_scores(write(tmp_path, text))


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08 half", b"PAR1 half"])
def test_a_damaged_file_gives_a_sentence(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"file\.txt (is packed with gzip and damaged|cannot be read as Parquet)"
    ):
        scorefiles.read_key(write(tmp_path, data))


def test_a_missing_file_gives_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"nowhere\.txt is not there: give the path of a score file or a key"
    ):
        scorefiles.read_scores(tmp_path / "nowhere.txt")
    with pytest.raises(ValueError, match="is a folder, no file"):
        scorefiles.read_key(tmp_path)


LA21 = "LA_0009 {id} alaw ita_tx {attack} {word} notrim eval"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (lines("LA_0039 {id} - {attack} {word}"), "speaker"),
        (lines("LA_0039 {id} {attack} {word}"), "speaker"),
        (lines("PA_0039 {id} aaa {attack} {word}"), "speaker environment"),
        (lines(LA21), "speaker codec transmission trim subset"),
        (
            lines("PA_0010 {id} R3 M3 d4 r1 m1 s4 c4 {word} notrim eval"),
            "speaker asv_room asv_mic asv_distance attacker_room attacker_mic replay_device attacker_distance trim "
            "subset",
        ),
        (
            lines("LA_0023 DF_{id} nocodec asvspoof {attack} {word} notrim eval traditional_vocoder - - - -"),
            "speaker compression source trim subset vocoder_type",
        ),
        (lines("- DF_{id} - - - {word} - eval"), "subset"),
        (lines("- {id} - - {word} - eval"), "subset"),
        (
            lines("E_0101 {id} F C01 4 - AC1 {attack} {word} -"),
            "speaker gender codec codec_quality attack_condition",
        ),
        (lines("E_0101 {id} F C01 {attack} {word}"), "speaker gender codec"),
        ("filename\tcm-label\n" + lines("{id}\t{word}"), ""),
        (
            "id,path,label,attack,speaker,split\n" + lines("{id},/x/{id}.wav,{word},{attack},s1,eval"),
            "speaker split",
        ),
        (lines("{id} {attack} {word} {score}"), ""),
        (lines("s1 {id} {score} {word}"), "speaker"),
        (lines("{id} {word}"), ""),
    ],
)
def test_a_key_is_told_by_its_columns(tmp_path: Path, text: str, columns: str) -> None:
    key = scorefiles.read_key(write(tmp_path, text))
    assert list(key) == ["id", "label", "attack", *columns.split()]
    assert key["label"].tolist() == LABELS
    assert key["id"].str.removeprefix("DF_").tolist() == IDS
    expected = ALL["attack"] if "A07" in text else ["-"] * 4
    assert key["attack"].tolist() == expected


def test_a_manifest_as_parquet_is_a_key(tmp_path: Path) -> None:
    path = tmp_path / "manifest.parquet"
    KEY.assign(label=ALL["word"], path="x.wav").to_parquet(path)
    pd.testing.assert_frame_equal(scorefiles.read_key(path), KEY, check_dtype=False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("LA_0015 LA_E_1 target\nLA_0015 LA_E_2 nontarget\n", "is a key of speaker verification"),
        ("a b c\n", "no key that dfx knows, its first line is 'a b c'"),
        ("id,codec\nu1,x\n", "has no column label: it has id, codec"),
        ("id,label\nu1,1\nu2,0\n", r"2 of 2 labels are unknown \('1', '0'\)"),
        ("id,label\nu1,bonafide\nu2,maybe\n", r"1 of 2 labels are unknown \('maybe'\)"),
    ],
)
def test_another_key_gives_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        scorefiles.read_key(write(tmp_path, text))


def scored(ids: list[str] = IDS, scores: list[float] = SCORES, **more: list) -> pd.DataFrame:
    return pd.DataFrame({"id": ids, "score": scores} | more)


def kinds(findings: list[Finding]) -> dict[str, str]:
    return {finding.kind: finding.text for finding in findings}


def test_scores_in_any_order_meet_their_key() -> None:
    key = KEY.assign(speaker=list("abcd"))
    table, findings = scorefiles.join(scored(IDS[::-1], SCORES[::-1]), key)
    assert table.table["score"].tolist() == SCORES
    assert table.table["speaker"].tolist() == list("abcd")
    assert table.attacks().keys() == {"A07", "A08"}
    assert findings == []


@pytest.mark.parametrize(
    ("scores", "key", "sentence"),
    [
        (scored(IDS[:3], SCORES[:3]), KEY, r"x.txt: 1 of 4 trials of the key have no score \('LA_E_4'\)"),
        (scored(["a", "b"], [1, 2]), KEY, "no trial in common: the scores have 'a', the key 'LA_E_1'"),
        (scored([*IDS[:3], IDS[0]]), KEY, r"x.txt: 1 of 4 trials repeat an id \('LA_E_1'\). Keep one score"),
        (scored(), KEY.assign(id=[*IDS[:3], IDS[0]]), "The key of x.txt: 1 of 4 trials repeat an id"),
        (
            scored(scores=[1, np.nan, np.inf, 2]),
            KEY,
            r"x.txt: 2 of 4 .* not a finite number: 'LA_E_2 \(nan\)', 'LA_E_3",
        ),
        (scored(), KEY.assign(label=1), "x.txt: there is no spoof among the 4 trials"),
        (scored(), None, "x.txt says nothing of which trials are bona fide: give a key too"),
        (
            scored(label=[0, 0, 1, 1]),
            KEY,
            "x.txt: 4 of 4 labels contradict the key .'LA_E_1: spoof there, bonafide in the key'",
        ),
    ],
)
def test_what_would_give_a_wrong_number_is_refused(
    scores: pd.DataFrame, key: pd.DataFrame | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        scorefiles.join(scores, key, "x.txt")


def test_scores_that_the_key_lacks_are_left_out_and_told() -> None:
    table, findings = scorefiles.join(scored([*IDS, "enrol"], [*SCORES, 0.0]), KEY, "x.txt")
    assert len(table) == 4
    assert findings[0].severity == "warning"
    assert (
        "1 of 5 scores are of trials that the key does not have ('enrol')" in kinds(findings)["extra-trials"]
    )


@pytest.mark.parametrize(
    ("form", "what"),
    [
        ("{}.flac", "the extension"),
        ("{}.WAV", "the extension"),
        ("flac/{}.flac", "folder and extension"),
        (r"C:\data\{}.flac", "folder and extension"),
    ],
)
def test_folders_and_extensions_may_differ_where_each_id_has_one_partner(form: str, what: str) -> None:
    other = [form.format(name) for name in IDS]
    for scores, key in ((scored(other), KEY), (scored(), KEY.assign(id=other))):
        table, findings = scorefiles.join(scores, key)
        assert table.table["score"].tolist() == SCORES
        assert table.table["id"].tolist() == key["id"].tolist()
        assert f"match scores without {what} only" in kinds(findings)["ids-adapted"]


def test_folders_that_tell_trials_apart_are_not_dropped() -> None:
    ids = ["a/1.wav", "b/1.wav", "a/2.wav", "b/2.wav"]
    with pytest.raises(ValueError, match="no trial in common"):
        scorefiles.join(scored(ids), KEY.assign(id=["1", "2", "3", "4"]))
    table, _ = scorefiles.join(scored(ids), KEY.assign(id=[name[:-4] for name in ids]))
    assert table.table["score"].tolist() == SCORES


def test_of_a_key_with_subsets_eval_is_judged() -> None:
    key = pd.concat(
        [KEY.assign(subset="eval"), KEY.assign(subset="hidden_track_1", id=["h1", "h2", "h3", "h4"])]
    )
    everything = pd.concat([scored(), scored(["h1", "h2", "h3", "h4"])])
    table, findings = scorefiles.join(everything, key)
    assert table.table["id"].tolist() == IDS
    assert "4 of 8 trials of the key are not in its subset eval and left out" in kinds(findings)["subset"]
    assert len(scorefiles.join(everything, key, part="all")[0]) == 8
    assert scorefiles.join(everything, key, part="hidden")[0].table["id"].tolist() == ["h1", "h2", "h3", "h4"]
    assert len(scorefiles.join(scored(), key)[0]) == 4  # those left out need no score
    with pytest.raises(ValueError, match="4 scores belong to other parts of the key, as to part=hidden"):
        scorefiles.join(scored(["h1", "h2", "h3", "h4"]), key)
    with pytest.raises(ValueError, match="has the parts eval, hidden, got part=dev"):
        scorefiles.join(everything, key, part="dev")
    with pytest.raises(ValueError, match="has no subset and no split, got part=dev"):
        scorefiles.join(scored(), KEY, part="dev")


def test_protocols_in_one_file_are_divided_by_the_letter_of_the_ids(tmp_path: Path) -> None:
    text = lines("s {id} - {attack} {word}")
    key = scorefiles.read_key(write(tmp_path, text + text.replace("_E_", "_D_")))
    table, findings = scorefiles.join(scored(), key)
    assert len(table) == 4
    assert "not in its split eval" in kinds(findings)["split"]
    dev, _ = scorefiles.join(scored([name.replace("_E_", "_D_") for name in IDS]), key, part="dev")
    assert dev.table["split"].unique().tolist() == ["dev"]


def test_in_track_2_a_trial_is_a_speaker_and_an_utterance(tmp_path: Path) -> None:
    trials = ["s1\tu1", "s2\tu1", "s1\tu2", "s2\tu2"]
    scores = "spk\tfilename\tcm-score\tasv-score\tsasv-score\n"
    scores += "".join(f"{trial}\t{1 - n // 2}\t{n}\t{-n}\n" for n, trial in enumerate(trials))
    labels = ["bonafide\ttarget", "bonafide\tnontarget", "spoof\tspoof", "spoof\tspoof"]
    key = "spk\tfilename\tcm-label\tasv-label\n"
    key += "".join(f"{trial}\t{label}\n" for trial, label in reversed(list(zip(trials, labels, strict=True))))
    score_file, key_file = write(tmp_path, scores, "s.tsv"), write(tmp_path, key, "k.tsv")
    table, _ = scorefiles.join(scorefiles.read_scores(score_file), scorefiles.read_key(key_file))
    assert table.table["id"].tolist() == ["s2 u2", "s1 u2", "s2 u1", "s1 u1"]
    assert table.bonafide.tolist() == [1, 1]
    asv = scorefiles.read_asv(score_file, key_file)
    assert [group.tolist() for group in asv] == [[0], [1], [3, 2]]
    assert scorefiles.read_asv(score_file, key_file, "sasv-score").nontarget.tolist() == [-1]
    with pytest.raises(ValueError, match="does not say which trials are target"):
        scorefiles.read_asv(score_file)
    with pytest.raises(ValueError, match=r"1 of 4 trials are not in the key k.tsv \('s1 u1'\)"):
        scorefiles.read_asv(score_file, write(tmp_path, key.replace("s1\tu1", "s9\tu1"), "k.tsv"))


def test_scores_of_speaker_verification(tmp_path: Path) -> None:
    text = "bonafide target 1.5\nbonafide nontarget -1\nA07 spoof 0.25\nA08 spoof 0.5\n"
    asv = scorefiles.read_asv(write(tmp_path, text))
    assert [group.tolist() for group in asv] == [[1.5], [-1], [0.25, 0.5]]
    scores = "s1 LA_E_1 1.5\ns2 LA_E_1 -1\ns1 LA_E_2 0.25\n"  # ASVspoof 2021: the same rows in scores and key
    key = "".join(
        f"s {name} none - {kind} {kind} notrim eval\n"
        for name, kind in (("LA_E_1", "target"), ("LA_E_1", "nontarget"), ("LA_E_2", "spoof"))
    )
    asv = scorefiles.read_asv(write(tmp_path, scores), write(tmp_path, key, "key.txt"))
    assert [group.tolist() for group in asv] == [[1.5], [-1], [0.25]]


def test_of_a_key_with_subsets_speaker_verification_is_judged_on_eval_too(tmp_path: Path) -> None:
    trials = [(kind, part) for part in ("eval", "hidden_track") for kind in ("target", "nontarget", "spoof")]
    rows = [f"s LA_E_{n} none - {kind} {kind} notrim {part}\n" for n, (kind, part) in enumerate(trials)]
    scores = [f"s LA_E_{n} {n}\n" for n in range(6)]
    key = write(tmp_path, "".join(rows), "key.txt")
    for given in (scores, scores[::-1], scores[:3]):  # in the order of the key, in another one, of eval only
        path = write(tmp_path, "".join(given))
        assert [group.tolist() for group in scorefiles.read_asv(path, key)] == [[0], [1], [2]]
    path = write(tmp_path, "".join(scores))
    assert [group.tolist() for group in scorefiles.read_asv(path, key, part="hidden")] == [[3], [4], [5]]
    assert [len(group) for group in scorefiles.read_asv(path, key, part="all")] == [2, 2, 2]
    with pytest.raises(ValueError, match="has the parts eval, hidden, got part=dev"):
        scorefiles.read_asv(path, key, part="dev")
    with pytest.raises(ValueError, match=r"1 of 3 trials of the key have no score \('s LA_E_2'\)"):
        scorefiles.read_asv(write(tmp_path, "".join(scores[:2])), key)
    with pytest.raises(ValueError, match=r"2 of 3 trials repeat an id .* Keep one score"):
        scorefiles.read_asv(write(tmp_path, scores[0] * 3), key)
    twice = write(tmp_path, "".join([*rows, rows[0].replace("target", "nontarget")]), "twice.txt")
    with pytest.raises(
        ValueError, match=r"1 of 7 trials repeat an id .* the scores must have the order of the key"
    ):
        scorefiles.read_asv(write(tmp_path, "".join(scores)), twice)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("u1 0.5\n", "1 of 1 lines do not have the columns attack, kind, score .'u1 0.5'"),
        ("bonafide target 1\nA07 spoof 1\n", "got 1 target, 0 nontarget, 1 spoof of 2"),
        ("bonafide target 1\nb nontarget 1\nA07 spoof nan\n", "1 of 3 scores are not finite"),
        ("u1 - bonafide 1\n", "do not have the columns attack, kind, score"),
    ],
)
def test_other_scores_of_speaker_verification_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        scorefiles.read_asv(write(tmp_path, text))


def table_of(bonafide: np.ndarray, spoof: np.ndarray) -> ScoreTable:
    scores = np.concatenate([bonafide, spoof])
    labels = [1] * len(bonafide) + [0] * len(spoof)
    ids = [f"u{number}" for number in range(len(scores))]
    return ScoreTable(pd.DataFrame({"id": ids, "attack": "-", "label": labels, "score": scores}))


NORMAL = np.random.default_rng(0).normal(size=(2, 200))


@pytest.mark.parametrize(
    ("bonafide", "spoof", "kind", "sentence"),
    [
        (np.ones(50), np.ones(50), "constant-scores", "All 100 scores are 1"),
        (np.ones(50), np.r_[np.zeros(49), 1], "few-values", "have 2 different values"),
        (
            np.r_[np.ones(49), 0.5, 2],
            np.r_[np.zeros(9), np.ones(20)],
            "crowded-scores",
            "69 of 80 scores are 1",
        ),
        (
            NORMAL[0] - 1,
            NORMAL[1] + 1,
            "wrong-way",
            "well below 0.5: the scores rank the trials the wrong way",
        ),
        (
            1 / (1 + np.exp(2 - NORMAL[0])),
            1 / (1 + np.exp(-2 - NORMAL[1])),
            "fake-probabilities",
            "1 - score",
        ),
        (
            1 / (1 + np.exp(-2 - NORMAL[0])),
            1 / (1 + np.exp(2 - NORMAL[1])),
            "probabilities",
            "need log-likelihood",
        ),
    ],
)
def test_odd_scores_are_doubted(bonafide: np.ndarray, spoof: np.ndarray, kind: str, sentence: str) -> None:
    found = kinds(scorefiles.doubts(table_of(bonafide, spoof)))
    assert next(iter(found)) == kind
    assert sentence in found[kind]


def test_honest_scores_are_not_doubted() -> None:
    assert scorefiles.doubts(table_of(NORMAL[0] + 1, NORMAL[1] - 1)) == []
    assert scorefiles.doubts(table_of(NORMAL[0], NORMAL[1])) == []  # chance is no wrong way
    assert not scorefiles.backwards([0.0, 0.1], [0.5, 2.0])  # one order in six: too few trials to say


@needs_scores
def test_published_scores_meet_the_published_protocol() -> None:
    scores = scorefiles.read_scores(SHARED / "asvspoof2019_la_eval_cm_softmax.txt")
    key = scorefiles.read_key(SHARED / "asvspoof2019_la_protocol.txt")
    table, _ = scorefiles.join(scores[["id", "score"]], key)
    own, _ = scorefiles.join(scores)
    assert len(table) == 71237
    assert table.trials_hash == own.trials_hash
    assert table.attacks().keys() == own.attacks().keys()
    assert eer(table.bonafide, table.spoof)[0] == pytest.approx(0.05057773285300, abs=1e-9)
    assert [doubt.kind for doubt in scorefiles.doubts(table)] == ["probabilities"]
    asv = scorefiles.read_asv(SHARED / "asvspoof2019_la_eval_asv.txt")
    assert [len(group) for group in asv] == [5370, 33327, 63882]
