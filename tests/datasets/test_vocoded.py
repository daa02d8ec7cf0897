import os
import re

import numpy as np
import pandas as pd
import pytest
import soundfile

from dfx import audio
from dfx.datasets import Vocoded, vocoded_files
from dfx.datasets.synthesis.twins import TwinJob
from dfx.tables.findings import make_finding
from setups import GivenDataset

FAST = ["lpc", "mu_law_8bit", "griffin_lim_40"]


def hum(seconds, seed, rate=16_000):
    """Something with a pitch, a spectrum and pauses."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * rng.uniform(0.98, 1.02) * 120 * n * time) / n for n in range(1, 20))
    return 0.05 * tone * (1.1 + np.sin(2 * np.pi * 3 * time)) + 1e-3 * rng.standard_normal(len(time))


def speakers(root, count=5, clips=6):
    """Clips of .3 s, `speaker/number.wav`."""
    for speaker in range(count):
        for number in range(clips):
            seed = speaker * clips + number
            audio.write_audio(root / f"s{speaker}" / f"{number}.wav", hum(0.3 + 0.01 * seed, seed), 16_000)
    return root


def vocoded(bonafide, cache, **options):
    given = {"vocoders": FAST, "num_workers": 0, "progress": False, **options}
    return Vocoded(str(bonafide), cache=str(cache), **given)


def contents(corpus):
    return {path.name: path.read_bytes() for path in corpus.folder.rglob("*.flac")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return speakers(tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def corpus(folder, cache):
    made = vocoded(folder, cache)
    made.manifest()
    return made


def test_every_recording_has_a_twin_of_its_speaker_split_length_and_level(corpus, folder):
    table = corpus.manifest().table
    genuine, twins = table[table["label"] == 1], table[table["label"] == 0]
    assert len(genuine) == len(twins) == 30
    assert set(genuine["attack"]) == {"-"}
    assert set(table["source"]) == {folder.name}
    pairs = twins.merge(genuine, on="utterance", suffixes=("", "_of"), validate="one_to_one")
    assert (pairs["id"] == pairs["id_of"] + "@" + pairs["attack"]).all()
    assert (pairs["speaker"] == pairs["speaker_of"]).all()
    assert (pairs["split"] == pairs["split_of"]).all()
    for row in pairs.itertuples():
        info = soundfile.info(row.path)
        assert (info.format, info.samplerate, info.channels, info.subtype) == ("FLAC", 16_000, 1, "PCM_16")
        twin, original = (audio.read_audio(row.path, 16_000), audio.read_audio(folder / f"{row.utterance}.wav", 16_000))
        assert twin.shape == original.shape
        assert twin.std() == pytest.approx(original.std(), rel=0.1)
        assert not np.array_equal(twin, original)
        np.testing.assert_array_equal(audio.read_audio(row.path_of, 16_000), original)


def test_speakers_stay_whole_and_vocoders_are_dealt_evenly(corpus):
    table = corpus.manifest().table
    assert (table.groupby("speaker")["split"].nunique() == 1).all()
    assert set(table["split"]) == {"train", "dev", "eval"}
    dealt = table[table["label"] == 0].groupby(["speaker", "attack"]).size().unstack()
    assert (dealt == 2).all(axis=None)


def test_a_second_call_makes_nothing(corpus, folder, cache):
    before = {path: path.stat().st_mtime_ns for path in corpus.folder.rglob("*") if path.is_file()}
    again = vocoded(folder, cache).manifest()
    assert again.hash == corpus.manifest().hash
    assert {path: path.stat().st_mtime_ns for path in corpus.folder.rglob("*") if path.is_file()} == before


def test_the_table_beside_the_files_is_the_corpus(corpus):
    from dfx.datasets import ManifestFile

    manifest = corpus.manifest()
    (table,) = corpus.folder.glob(f"{manifest.name}-{manifest.hash}.csv")
    assert ManifestFile(str(table)).manifest().table["path"].tolist() == manifest.table["path"].tolist()


def test_an_interrupted_build_goes_on_to_the_same_bits(corpus, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("dfx.datasets.made_files.FEW_FILES", 0)
    corpus.manifest()
    expected = {path.relative_to(corpus.folder): path for path in corpus.folder.rglob("*.flac")}
    other = vocoded(folder, tmp_path, num_workers=2)
    kept = sorted(expected)[:40]
    for name in kept:
        (other.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (other.folder / name).write_bytes(expected[name].read_bytes())
    half = other.folder / "lpc" / "00" / ".tmp-99-x.flac"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"half a file")
    os.utime(half, (0, 0))
    before = {name: (other.folder / name).stat().st_mtime_ns for name in kept}
    other.manifest()
    assert contents(other) == contents(corpus)
    assert {name: (other.folder / name).stat().st_mtime_ns for name in kept} == before
    assert not list(other.folder.rglob(".tmp-*"))


def test_a_changed_recording_gets_a_new_twin(tmp_path):
    root = speakers(tmp_path / "voices", count=1, clips=6)
    first = vocoded(root, tmp_path / "cache", vocoders=["mu_law_8bit"]).manifest().table
    audio.write_audio(root / "s0" / "3.wav", hum(0.7, 99), 16_000)
    second = vocoded(root, tmp_path / "cache", vocoders=["mu_law_8bit"]).manifest().table
    changed = first["path"] != second["path"]
    assert set(first["id"][changed]) == {"s0/3", "s0/3@mu_law_8bit"}


def test_every_vocoder_for_every_recording(folder, cache):
    table = vocoded(folder, cache, twins_per_clip=None).manifest().table
    twins = table[table["label"] == 0]
    assert (twins.groupby("utterance")["attack"].agg(set).map(len) == 3).all()
    assert len(table) == 4 * 30


def test_vocoders_kept_for_eval_are_in_no_other_split(folder, cache):
    table = vocoded(folder, cache, eval_only=["lpc"]).manifest().table
    assert set(table["split"][table["attack"] == "lpc"]) == {"eval"}
    assert set(table["attack"][table["split"] == "train"]) == {"-", "mu_law_8bit", "griffin_lim_40"}


def test_twins_alone_or_beside_the_recordings_themselves(folder, cache):
    alone = vocoded(folder, cache, genuine=False).manifest().table
    assert set(alone["label"]) == {0}
    beside = vocoded(folder, cache, match_genuine=False).manifest().table
    genuine = beside[beside["label"] == 1]
    assert sorted(genuine["path"]) == sorted(str(path) for path in folder.rglob("*.wav"))
    assert set(beside["id"]) == set(vocoded(folder, cache).manifest().table["id"])


def test_the_band_of_copies_is_that_of_twins(folder, cache):
    import av

    if "libopencore_amrnb" not in av.codecs_available:
        pytest.skip("FFmpeg without libopencore_amrnb")
    table = vocoded(folder, cache, vocoders=["amr_5kbps", "mu_law_8bit"]).manifest().table
    narrow = table["path"].map(lambda path: _share_above_4_khz(audio.read_audio(path, 16_000)) < 1e-6)
    assert (narrow == table["utterance"].isin(table["utterance"][table["attack"] == "amr_5kbps"])).all()
    assert narrow[table["label"] == 1].sum() == narrow[table["label"] == 0].sum() == 15


def _share_above_4_khz(waveform):
    power = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) ** 2
    return float(power[len(power) * 9 // 16 :].sum() / power.sum())


def test_a_folder_with_splits_keeps_them_and_a_split_file_fixes_others(tmp_path):
    splits = tmp_path / "splits"
    for number, place in enumerate(("train/a", "train/b", "dev/a", "test", "test")):
        audio.write_audio(splits / place / f"{number}.wav", hum(0.3, number), 16_000)
    table = vocoded(splits, tmp_path).manifest().table.query("label == 1").set_index("utterance").sort_index()
    table = table.loc[["train/a/0", "train/b/1", "dev/a/2", "test/3", "test/4"]]
    assert table["split"].to_dict() == {
        "train/a/0": "train",
        "train/b/1": "train",
        "dev/a/2": "dev",
        "test/3": "eval",
        "test/4": "eval",
    }
    assert table["speaker"].to_dict() == dict(zip(table.index, ["a", "b", "a", "-", "-"], strict=True))
    audio.write_audio(splits / "5.wav", hum(0.3, 5), 16_000)
    with pytest.raises(ValueError, match=r"1 of 6 recordings .* outside its split folders"):
        vocoded(splits, tmp_path).manifest()
    plain = speakers(tmp_path / "plain")
    fixed = tmp_path / "fixed.csv"
    pd.DataFrame({"id": [f"s{s}/{n}" for s in range(5) for n in range(6)], "split": "eval"}).to_csv(fixed)
    assert set(vocoded(plain, tmp_path, split_file=str(fixed)).manifest().table["split"]) == {"eval"}


def test_only_genuine_recordings_of_a_folder_with_classes(tmp_path):
    for number in range(4):
        audio.write_audio(tmp_path / "in" / "real" / f"{number}.wav", hum(0.3, number), 16_000)
        audio.write_audio(tmp_path / "in" / "fake" / f"{number}.wav", hum(0.3, number + 9), 16_000)
    table = vocoded(tmp_path / "in", tmp_path).manifest().table
    assert set(table["utterance"]) == {f"real/{number}" for number in range(4)}


def test_the_bona_fide_rows_of_a_corpus_hand_down_what_is_known_of_them(folder, cache):
    paths = sorted(str(path) for path in folder.rglob("*.wav"))
    table = pd.DataFrame({"id": [f"u{n}" for n in range(30)], "path": paths})
    table["label"] = [1, 1, 0] * 10
    table["attack"] = ["-", "-", "A01"] * 10
    table = table.assign(speaker="x", split=["train", "dev", "eval"] * 10, language="en", source="here")
    findings = make_finding("row-count", "note", "look"), make_finding("one-class", "warning", "one class")
    made = vocoded(
        "mine", cache, corpora={"mine": GivenDataset(table, note="not speech", findings=findings)}, vocoders=["lpc"]
    )
    manifest = made.manifest()
    assert made.note == "not speech"
    assert [one.kind for one in made.findings] == ["row-count"]
    assert manifest.counts().to_numpy().tolist() == [[10, 10], [10, 10]]
    assert set(manifest.table["language"]) == {"en"}
    assert set(manifest.table["source"]) == {"here"}
    spoof = vocoded("mine", cache, corpora={"mine": GivenDataset(table[table["label"] == 0])})
    with pytest.raises(ValueError, match="has no genuine recording"):
        spoof.manifest()


def test_bad_recordings_are_named_with_their_reason_and_left_out(tmp_path):
    root = speakers(tmp_path / "voices")
    (root / "s0" / "text.wav").write_text("no audio")
    audio.write_audio(root / "s1" / "silent.flac", np.zeros(8_000), 16_000)
    audio.write_audio(root / "s2" / "constant.wav", np.full(8_000, 0.1), 16_000)
    tolerant = vocoded(root, tmp_path, max_bad_fraction=0.1)
    manifest = tolerant.manifest()
    assert len(manifest) == 60
    (bad,) = tolerant.findings
    assert (bad.kind, bad.count) == ("bad-recording", 3)
    assert set(bad.examples) == {"s0/text", "s1/silent", "s2/constant"}
    assert re.search(r"3 of 33 .*it is silent.*it is silent", bad.text)
    with pytest.raises(ValueError, match=r"3 of 33 .*max_bad_fraction=0.01: replace"):
        vocoded(root, tmp_path).manifest()


def test_a_recording_that_could_not_be_read_for_a_while_is_tried_again(tmp_path, monkeypatch):
    root = speakers(tmp_path / "voices")
    read = audio.read_audio_blocks

    def failing(path, *options):
        if path.endswith("s0/0.wav"):
            raise audio.AudioError(path, "input/output error", may_pass=True)
        return read(path, *options)

    tolerant = vocoded(root, tmp_path, max_bad_fraction=0.1)
    with monkeypatch.context() as patched:
        patched.setattr(audio, "read_audio_blocks", failing)
        for _ in range(2):
            assert len(tolerant.manifest()) == 58
            assert "s0/0 (input/output error)" in tolerant.findings[0].text
    assert len(tolerant.manifest()) == 60
    assert not tolerant.findings
    assert "s0/0" in set(tolerant.manifest().table["id"])


def test_a_recording_at_which_a_process_dies_is_named(corpus, tmp_path):
    done = corpus.manifest().table["path"][0]
    jobs = [
        TwinJob("first.wav", done, "a", "lpc", 16000, ""),
        TwinJob("crash.wav", str(tmp_path / "x" / "b.flac"), "b", "world", 16000, ""),
        TwinJob("later.wav", str(tmp_path / "x" / "c.flac"), "c", "lpc", 16000, ""),
    ]
    with pytest.raises(ValueError, match=r"died \(signal 11, SIGSEGV\) while it made a twin of crash.wav by world"):
        vocoded_files.vocoded_file_crash_error(jobs, -11)


def test_any_rate_format_and_length(tmp_path):
    root = tmp_path / "voices"
    stereo = np.stack([hum(0.5, 1, 96_000), hum(0.5, 2, 96_000)], axis=1)
    audio.write_audio(root / "wide.flac", stereo, 96_000)
    audio.write_audio(root / "narrow.wav", hum(0.5, 3, 8_000), 8_000)
    audio.write_audio(root / "short.wav", hum(0.1, 4), 16_000)
    soundfile.write(root / "coded.ogg", hum(0.5, 5, 44_100), 44_100)
    table = vocoded(root, tmp_path).manifest().table
    files = {"coded": (8_000, 1), "narrow": (8_000, 1), "short": (1_600, 1), "wide": (8_000, 1)}  # frames, channels
    for row in table.itertuples():
        info = soundfile.info(row.path)
        assert (info.frames, info.channels) == files[row.utterance]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vocoders": ["hifigan"]}, r"vocoders=\[hifigan\] must name some of griffin_lim_40"),
        ({"vocoders": []}, r"vocoders=\[\] must name"),
        ({"eval_only": FAST}, "leave some for train"),
        ({"eval_only": ["world"]}, "must name some of dataset.vocoders"),
        ({"twins_per_clip": 4}, "give 1 to 3"),
        ({"codec": "gsm"}, "codec=gsm is unknown: give one of opus_12kbps"),
        ({"codec": "opus_12kbps", "match_genuine": False}, "to the spoofed class only"),
    ],
)
def test_impossible_options_are_refused(options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        vocoded(tmp_path, tmp_path, **options)


def test_a_place_that_is_neither_folder_nor_corpus_is_named(tmp_path):
    with pytest.raises(ValueError, match="bonafide=nowhere is neither a folder nor the name of a dataset"):
        vocoded("nowhere", tmp_path).manifest()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no genuine recording"):
        vocoded(tmp_path / "empty", tmp_path).manifest()
