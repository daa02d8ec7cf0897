import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfx.metrics import eer
from dfx.scorefiles import join_scores, read_asv_scores, read_key, read_scores
from dfx.scorefiles.joining import without_folder_and_extension
from dfx.tables.manifest import AUDIO_SUFFIXES
from dfx.tables.score_table import ScoreTable

SHARED = Path(__file__).parents[3] / "shared" / "data" / "scores"
IDS = ["LA_E_1", "LA_E_2", "LA_E_3", "LA_E_4"]
SCORES = [2.5, 0.1 + 0.2, -1e-308, -3.0]
LABELS = [1, 1, 0, 0]
ATTACKS = ["-", "-", "A07", "A08"]
KEY = pd.DataFrame({"id": IDS, "label": LABELS, "attack": ATTACKS})


def write(tmp_path, text, name="file.txt"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def lines(form):
    words = ["spoof", "bonafide"]
    rows = zip(IDS, SCORES, LABELS, ATTACKS, strict=True)
    return "".join(
        form.format(id=name, score=repr(score), word=words[label], attack=attack) + "\n"
        for name, score, label, attack in rows
    )


def scored(ids=IDS, scores=SCORES, **more):
    return pd.DataFrame({"id": ids, "score": scores} | more)


def by_kind(findings):
    return {finding.kind: finding.text for finding in findings}


@pytest.mark.parametrize(
    ("header", "form", "columns"),
    [
        ("", "{id} {attack} {word} {score}", "id attack label score"),  # ASVspoof 2019
        ("", "{id} {score}", "id score"),  # 2021, Arena
        ("", "{id}\t{score}", "id score"),
        ("", "{id},{score}", "id score"),
        ("", "s1 {id} {score} {word}", "id label score speaker"),  # baselines of ASVspoof 5
        ("", "{id} {word} {score}", "id label score"),
        ("filename\tcm-score", "{id}\t{score}", "id score"),  # ASVspoof 5, track 1
        (
            "spk\tfilename\tcm-score\tasv-score\tsasv-score",
            "s1\t{id}\t{score}\t1\t2",
            "id score speaker asv-score sasv-score",
        ),
        ("id,attack,label,score,codec", "{id},{attack},{word},{score},x", "id attack label score codec"),
        ("File Name;Score", "{id};{score}", "id score"),
        ("id, score", "{id}, {score}", "id score"),
        ("score, id", "{score}, {id}", "id score"),
        ("CM_score,Utterance", "{score},{id}", "id score"),
        ("path,score", '"{id}",{score}', "id score"),
    ],
)
def test_score_formats_are_recognised_by_columns_and_every_bit_is_kept(tmp_path, header, form, columns):
    table = read_scores(write(tmp_path, f"{header}\n{lines(form)}"))
    assert list(table) == columns.split()
    assert table["id"].tolist() == IDS
    assert table["score"].tolist() == SCORES
    assert table.get("label", pd.Series(LABELS)).tolist() == LABELS


PLAIN = lines("{id} {score}")


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace("\n", "\r\n").encode("utf-8-sig"),
        PLAIN.encode("utf-16"),  # PowerShell
        PLAIN.replace("\n", "\r").encode(),  # the first Macintoshes
        gzip.compress(PLAIN.encode()),
        ("# made by X\n\n" + lines("  {id}   {score}  ") + "# end\n").encode(),
        PLAIN.rstrip().encode(),
    ],
    ids=["windows", "powershell", "mac", "gzip", "comments", "no-end"],
)
def test_encodings_and_line_ends_do_not_matter(tmp_path, data):
    table = read_scores(write(tmp_path, data))
    assert (table["id"].tolist(), table["score"].tolist()) == (IDS, SCORES)


def test_ids_may_hold_spaces(tmp_path):
    table = read_scores(write(tmp_path, "my clip 1.wav 0.5\nother.wav -1\nno 3.wav 2\n"))
    assert table["id"].tolist() == ["my clip 1.wav", "other.wav", "no 3.wav"]
    table = read_scores(write(tmp_path, "u 1 A01 spoof 0.5\nu2 - bonafide 1\nu3 - bonafide 1\n"))
    assert table["id"].tolist() == ["u 1", "u2", "u3"]


def test_what_dfx_writes_is_read(tmp_path):
    table = ScoreTable(KEY.assign(score=SCORES, id=["a b", "50%", "c,d", 'say "e"'], codec="x"))
    table.write(tmp_path / "a.csv")
    table.write_plain(tmp_path / "a.txt")
    for name in ("a.csv", "a.txt"):
        joined, findings = join_scores(read_scores(tmp_path / name))
        assert joined.trials_hash == table.trials_hash
        assert joined.table["score"].tolist() == SCORES
        assert findings == []
    assert list(read_key(tmp_path / "a.csv")) == ["id", "label", "attack", "codec"]


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        ("LA_0039 {id} - {attack} {word}", "speaker"),
        ("LA_0039 {id} {attack} {word}", "speaker"),
        ("PA_0039 {id} aaa {attack} {word}", "speaker environment"),
        ("LA_0009 {id} alaw ita_tx {attack} {word} notrim eval", "speaker codec transmission trim subset"),
        (
            "PA_0010 {id} R3 M3 d4 r1 m1 s4 c4 {word} notrim eval",
            "speaker asv_room asv_mic asv_distance attacker_room attacker_mic replay_device attacker_distance trim "
            "subset",
        ),
        (
            "LA_0023 DF_{id} nocodec asvspoof {attack} {word} notrim eval traditional_vocoder - - - -",
            "speaker compression source trim subset vocoder_type",
        ),
        ("- DF_{id} - - - {word} - eval", "subset"),
        ("- {id} - - {word} - eval", "subset"),
        ("E_0101 {id} F C01 4 - AC1 {attack} {word} -", "speaker gender codec codec_quality attack_condition"),
        ("E_0101 {id} F C01 {attack} {word}", "speaker gender codec"),
        ("{id} {attack} {word} {score}", ""),
        ("s1 {id} {score} {word}", "speaker"),
        ("{id} {word}", ""),
        ("filename\tcm-label\n{id}\t{word}", ""),
        ("id,path,label,attack,speaker,split\n{id},/x/{id}.wav,{word},{attack},s1,eval", "speaker split"),
    ],
)
def test_key_formats_are_recognised_by_columns(tmp_path, form, columns):
    header, _, form = form.rpartition("\n")
    key = read_key(write(tmp_path, f"{header}\n{lines(form)}"))
    assert list(key) == ["id", "label", "attack", *columns.split()]
    assert key["label"].tolist() == LABELS
    assert key["id"].str.removeprefix("DF_").tolist() == IDS
    assert key["attack"].tolist() == (ATTACKS if "{attack}" in form else ["-"] * 4)


@pytest.mark.parametrize("suffix", [*sorted(AUDIO_SUFFIXES), ".WAV"])
def test_the_suffix_of_every_audio_file_may_be_left_out(suffix):
    ids = pd.Series([f"a/b.c{suffix}", "d.x"])
    assert without_folder_and_extension(ids).tolist() == ["b.c", "d.x"]


def test_lists_in_a_parquet_key_are_text(tmp_path):
    path = tmp_path / "key.parquet"
    words = ["bonafide", "bonafide", "spoof", "spoof"]
    KEY.assign(label=words, tags=[["a"], [], ["b", "c"], None]).to_parquet(path)
    tags = read_key(path)["tags"]
    assert tags.isna().tolist() == [False, False, False, True]
    assert isinstance(tags[0], str)
    assert tags.nunique() == 3


def test_a_manifest_as_parquet_is_a_key(tmp_path):
    path = tmp_path / "manifest.parquet"
    KEY.assign(label=["bonafide", "bonafide", "spoof", "spoof"], path="x.wav").to_parquet(path)
    pd.testing.assert_frame_equal(read_key(path), KEY, check_dtype=False)


SEVEN_WORDS = "".join(f"u{n} high\n" for n in range(7)) + "u7 1\n" * 9


@pytest.mark.parametrize(
    ("read", "text", "sentence"),
    [
        (read_scores, "", "file.txt is empty"),
        (
            read_scores,
            "u1 0.5\nu2 high\nu3 0,7\nu4 1\n",
            r"2 of 4 trials have a score that is not a number \('u2: high', 'u3: 0,7'\)",
        ),
        (read_scores, SEVEN_WORDS, r"7 of 16 .*, 'u4: high', \.\.\. \(7 in all\)\)"),
        (read_scores, "id,probability\nu1,0.5\n", "has no score column: it has id, probability. Call"),
        (read_scores, "id,fake_probability,label\nu1,0.5,spoof\n", "no score column: .*fake.*1 - probability"),
        (read_scores, "bonafide target 7.98\nA07 spoof -3\n", "holds scores of speaker verification"),
        (read_scores, "u1 1 0.5\nu2 0 0.7\n", "2 of 2 labels are unknown .*Unknown label '1': dfx does not guess"),
        (read_scores, "u1 - bonafide 1\nu2 A1 spoof 1\nu3 A1 spoofy 1\n", r"1 of 3 labels are unknown \('spoofy'\)"),
        (read_scores, "id,score\nu1,0.5,7\n", "more fields than the header"),
        (read_scores, "id,score\nu1,0.5\nu2,0.5,7\n", "file.txt is not a table .*line 3"),
        (read_scores, "u1 1_000\nu2 1\n", r"1 of 2 trials have a score that is not a number \('u1: 1_000'\)"),
        (read_scores, "u1 0.7 0.3\nu2 0.1 0.9\n", "has two columns of numbers, .* which is the score of bona fide"),
        (read_scores, "u1,0.5,\nu2,0.7,\n", "Its lines end with ','"),
        (read_scores, '"id,score"\nu1,0.5\n', "has its whole header in quotation marks"),
        (read_scores, 'id,score,text\nu1,1,"a\nu2,2,b"\n', "has 3 lines, .* join them to 2 rows: .* line 2"),
        (read_key, 'id,label,text\nu1,spoof,"a\nu2,spoof,b"\n', "has 3 lines, .* join them to 2 rows"),
        (read_scores, "id,score\n", "a header .* and no trial below"),
        (read_scores, "only\nwords\nhere\n", "is not a score file, its first line is 'only'"),
        (read_scores, "u1 0.5\nu2 1\nu3\n", r"1 of 3 lines have fewer than 2 columns \('u3'\)"),
        (read_key, b"\x1f\x8b\x08 half", r"file\.txt is packed with gzip and damaged"),
        (read_key, b"PAR1 half", r"file\.txt cannot be read as Parquet"),
        (read_key, "LA_0015 LA_E_1 target\nLA_0015 LA_E_2 nontarget\n", "is a key of speaker verification"),
        (read_key, "a b c\n", "not a key that dfx knows, its first line is 'a b c'"),
        (read_key, "id,codec\nu1,x\n", "has no column label: it has id, codec"),
        (read_key, "id,label\nu1,1\nu2,0\n", r"2 of 2 labels are unknown \('1', '0'\)"),
        (read_key, "id,label\nu1,bonafide\nu2,maybe\n", r"1 of 2 labels are unknown \('maybe'\)"),
        (read_asv_scores, "u1 0.5\n", "1 of 1 lines do not have the columns attack, kind, score .'u1 0.5'"),
        (read_asv_scores, "bonafide target 1\nA07 spoof 1\n", "got 1 target, 0 nontarget, 1 spoof of 2"),
        (read_asv_scores, "bonafide target 1\nb nontarget 1\nA07 spoof nan\n", "1 of 3 scores are not finite"),
        (read_asv_scores, "u1 - bonafide 1\n", "do not have the columns attack, kind, score"),
    ],
)
def test_a_file_of_another_kind_or_damaged_is_refused(tmp_path, read, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(write(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no file '.*nowhere\.txt': give the path of a score file or a key"):
        read_scores(tmp_path / "nowhere.txt")
    with pytest.raises(ValueError, match="is a folder"):
        read_key(tmp_path)


def test_scores_in_any_order_are_joined():
    table, findings = join_scores(scored(IDS[::-1], SCORES[::-1]), KEY.assign(speaker=list("abcd")))
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
        (scored(), None, "x.txt does not say which trials are bona fide: give a key too"),
        (
            scored(label=[0, 0, 1, 1]),
            KEY,
            "x.txt: 4 of 4 labels contradict the key .'LA_E_1: spoof there, bonafide in the key'",
        ),
    ],
)
def test_what_would_give_a_wrong_number_is_refused(scores, key, sentence):
    with pytest.raises(ValueError, match=sentence):
        join_scores(scores, key, "x.txt")


def test_scores_that_are_not_in_the_key_are_left_out_with_a_warning():
    table, (found,) = join_scores(scored([*IDS, "enrol"], [*SCORES, 0.0]), KEY, "x.txt")
    assert len(table) == 4
    assert (found.kind, found.severity) == ("extra-trials", "warning")
    assert "1 of 5 scores are of trials that the key does not have ('enrol')" in found.text


@pytest.mark.parametrize(
    ("form", "what"),
    [
        ("{}.flac", "the extension"),
        ("{}.WAV", "the extension"),
        ("flac/{}.flac", "folder and extension"),
        (r"C:\data\{}.flac", "folder and extension"),
    ],
)
def test_folders_and_extensions_may_differ_where_each_id_has_one_partner(form, what):
    other = [form.format(name) for name in IDS]
    for scores, key in ((scored(other), KEY), (scored(), KEY.assign(id=other))):
        table, findings = join_scores(scores, key)
        assert table.table["score"].tolist() == SCORES
        assert table.table["id"].tolist() == key["id"].tolist()
        assert f"match scores only without {what}" in by_kind(findings)["ids-adapted"]


def test_folders_that_distinguish_trials_are_kept():
    ids = ["a/1.wav", "b/1.wav", "a/2.wav", "b/2.wav"]
    with pytest.raises(ValueError, match="no trial in common"):
        join_scores(scored(ids), KEY.assign(id=["1", "2", "3", "4"]))
    table, _ = join_scores(scored(ids), KEY.assign(id=[name[:-4] for name in ids]))
    assert table.table["score"].tolist() == SCORES


def test_eval_is_the_default_part_of_a_key_with_subsets():
    hidden = ["h1", "h2", "h3", "h4"]
    key = pd.concat([KEY.assign(subset="eval"), KEY.assign(subset="hidden_track_1", id=hidden)])
    everything = pd.concat([scored(), scored(hidden)])
    table, findings = join_scores(everything, key)
    assert table.table["id"].tolist() == IDS
    assert "4 of 8 trials of the key are not in its subset eval" in by_kind(findings)["subset"]
    assert len(join_scores(everything, key, part="all")[0]) == 8
    assert join_scores(everything, key, part="hidden")[0].table["id"].tolist() == hidden
    assert len(join_scores(scored(), key)[0]) == 4  # those left out need no score
    with pytest.raises(ValueError, match="4 scores belong to other parts of the key, such as part=hidden"):
        join_scores(scored(hidden), key)
    with pytest.raises(ValueError, match="has the parts eval, hidden, got part=dev"):
        join_scores(everything, key, part="dev")
    with pytest.raises(ValueError, match="has no subset and no split, got part=dev"):
        join_scores(scored(), KEY, part="dev")


def test_a_key_of_several_splits_is_divided_by_the_letter_in_the_ids(tmp_path):
    text = lines("s {id} - {attack} {word}")
    key = read_key(write(tmp_path, text + text.replace("_E_", "_D_")))
    table, findings = join_scores(scored(), key)
    assert len(table) == 4
    assert "not in its split eval" in by_kind(findings)["split"]
    dev, _ = join_scores(scored([name.replace("_E_", "_D_") for name in IDS]), key, part="dev")
    assert dev.table["split"].unique().tolist() == ["dev"]


def test_in_track_2_a_trial_is_a_speaker_and_an_utterance(tmp_path):
    trials = ["s1\tu1", "s2\tu1", "s1\tu2", "s2\tu2"]
    scores = "spk\tfilename\tcm-score\tasv-score\tsasv-score\n"
    scores += "".join(f"{trial}\t{1 - n // 2}\t{n}\t{-n}\n" for n, trial in enumerate(trials))
    labels = ["bonafide\ttarget", "bonafide\tnontarget", "spoof\tspoof", "spoof\tspoof"]
    key = "spk\tfilename\tcm-label\tasv-label\n"
    key += "".join(f"{trial}\t{label}\n" for trial, label in reversed(list(zip(trials, labels, strict=True))))
    score_file, key_file = write(tmp_path, scores, "s.tsv"), write(tmp_path, key, "k.tsv")
    table, _ = join_scores(read_scores(score_file), read_key(key_file))
    assert table.table["id"].tolist() == ["s2 u2", "s1 u2", "s2 u1", "s1 u1"]
    assert table.bonafide.tolist() == [1, 1]
    assert [group.tolist() for group in read_asv_scores(score_file, key_file)] == [[0], [1], [3, 2]]
    assert read_asv_scores(score_file, key_file, "sasv-score").nontarget.tolist() == [-1]
    with pytest.raises(ValueError, match="does not say which trials are target"):
        read_asv_scores(score_file)
    others = write(tmp_path, key.replace("s1\tu1\tbonafide\ttarget\n", ""), "others.tsv")
    with pytest.raises(ValueError, match=r"1 of 4 trials are not in the key others.tsv \(s1 u1\)"):
        read_asv_scores(score_file, others)


def test_scores_of_speaker_verification(tmp_path):
    text = "bonafide target 1.5\nbonafide nontarget -1\nA07 spoof 0.25\nA08 spoof 0.5\n"
    asv = read_asv_scores(write(tmp_path, text))
    assert [group.tolist() for group in asv] == [[1.5], [-1], [0.25, 0.5]]
    scores = "s1 LA_E_1 1.5\ns2 LA_E_1 -1\ns1 LA_E_2 0.25\n"  # ASVspoof 2021: the same rows in scores and key
    rows = (("LA_E_1", "target"), ("LA_E_1", "nontarget"), ("LA_E_2", "spoof"))
    key = "".join(f"s {name} none - {kind} {kind} notrim eval\n" for name, kind in rows)
    asv = read_asv_scores(write(tmp_path, scores), write(tmp_path, key, "key.txt"))
    assert [group.tolist() for group in asv] == [[1.5], [-1], [0.25]]


def test_speaker_verification_is_read_for_the_part_of_the_key_that_is_measured(tmp_path):
    trials = [(kind, part) for part in ("eval", "hidden_track") for kind in ("target", "nontarget", "spoof")]
    rows = [f"s LA_E_{n} none - {kind} {kind} notrim {part}\n" for n, (kind, part) in enumerate(trials)]
    scores = [f"s LA_E_{n} {n}\n" for n in range(6)]
    key = write(tmp_path, "".join(rows), "key.txt")
    for given in (scores, scores[::-1], scores[:3]):  # in the order of the key, in another one, of eval only
        path = write(tmp_path, "".join(given))
        assert [group.tolist() for group in read_asv_scores(path, key)] == [[0], [1], [2]]
    path = write(tmp_path, "".join(scores))
    assert [group.tolist() for group in read_asv_scores(path, key, part="hidden")] == [[3], [4], [5]]
    assert [len(group) for group in read_asv_scores(path, key, part="all")] == [2, 2, 2]
    with pytest.raises(ValueError, match="has the parts eval, hidden, got part=dev"):
        read_asv_scores(path, key, part="dev")
    twice = write(tmp_path, "".join([*rows, rows[0].replace("target", "nontarget")]), "twice.txt")
    with pytest.raises(ValueError, match=r"1 of 7 trials repeat an id .* must have the order of the key"):
        read_asv_scores(path, twice)
    with pytest.raises(ValueError, match=r"1 of 3 trials of the key have no score \('s LA_E_2'\)"):
        read_asv_scores(write(tmp_path, "".join(scores[:2])), key)
    with pytest.raises(ValueError, match=r"2 of 3 trials repeat an id .* Keep one score"):
        read_asv_scores(write(tmp_path, scores[0] * 3), key)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published score files are not in ../shared/data/scores")
def test_published_scores_are_joined_with_the_published_protocol():
    scores = read_scores(SHARED / "asvspoof2019_la_eval_cm_softmax.txt")
    table, _ = join_scores(scores[["id", "score"]], read_key(SHARED / "asvspoof2019_la_protocol.txt"))
    own, _ = join_scores(scores)
    assert len(table) == 71237
    assert table.trials_hash == own.trials_hash
    assert table.attacks().keys() == own.attacks().keys()
    assert eer(table.bonafide, table.spoof)[0] == pytest.approx(0.05057773285300, abs=1e-9)
    asv = read_asv_scores(SHARED / "asvspoof2019_la_eval_asv.txt")
    assert [len(group) for group in asv] == [5370, 33327, 63882]
