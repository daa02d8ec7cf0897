import pandas as pd
import pytest

from dfx.audio.audio_files import list_audio_files
from dfx.datasets.corpus import Corpus

FACTS = {
    "page": "https://example.org/tones",
    "folders": ["tones", "Tones-1.0/data"],
    "labels": {"genuine": "bonafide", "fake": "spoof"},
}


class Tones(Corpus):
    """A corpus of the tests: `list.txt` with id, label and split, audio in `clips`."""

    name = "tones"
    tree = "  DIR/list.txt\n  DIR/clips/*.wav"
    marks = ("list.txt",)

    def __init__(self, root, facts=None, **options):
        super().__init__(root=str(root) if root else None, facts=FACTS | (facts or {}), **options)
        self.by_id = True

    def table(self):
        names = ["id", "label", "split", "speaker", "attack"]
        rows = pd.read_csv(self.require("list.txt"), sep=" ", names=names, dtype="str")
        rows = rows.dropna(axis=1, how="all")
        if self.by_id:
            return self.paths_by_id(rows, [self.folder() / "clips", self.folder() / "more"], others=["u0"])
        return self.paths_by_name(rows, rows["id"] + ".wav", self.folder() / "clips")


def write(root, *lines, files="u1.wav u2.wav"):
    (root / "clips").mkdir(parents=True)
    for name in files.split():
        (root / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "clips" / name).touch()
    (root / "list.txt").write_text("".join(f"{line}\n" for line in lines))
    return root


TWO = ("u1 genuine train", "u2 fake eval")


def finding_of(corpus, kind):
    (found,) = [found for found in corpus.findings if found.kind == kind]
    return found


@pytest.mark.parametrize("below", ["", "tones", "Tones-1.0/data"])
def test_the_folder_is_the_root_or_one_of_its_names_below(tmp_path, below, monkeypatch):
    write(tmp_path / below, *TWO)
    assert Tones(tmp_path).folder() == tmp_path / below
    monkeypatch.setenv("DFX_DATA", str(tmp_path))
    assert Tones(None).folder() == tmp_path / below


def test_a_folder_of_its_name_is_preferred_to_the_one_around_it(tmp_path):
    write(tmp_path, *TWO)  # of another corpus, which has the same mark
    write(tmp_path / "tones", *TWO)
    assert Tones(tmp_path).folder() == tmp_path / "tones"


def test_a_missing_folder_is_explained(tmp_path, monkeypatch):
    monkeypatch.delenv("DFX_DATA", raising=False)
    end = (
        "Expected, at dataset.root=DIR or below $DFX_DATA:\n  DIR/list.txt\n  DIR/clips/*.wav\n"
        "It is obtained from https://example.org/tones"
    )
    (tmp_path / "music").mkdir()
    for root, found in (
        (None, "no folder was given and $DFX_DATA is not set"),
        (tmp_path / "nowhere", f"there is no folder {tmp_path}/nowhere"),
        (tmp_path, f"{tmp_path} holds 'music'"),
        (tmp_path / "music", f"{tmp_path}/music holds nothing"),
    ):
        with pytest.raises(ValueError, match="tones was not found") as error:
            Tones(root).manifest()
        assert found in str(error.value)
        assert str(error.value).endswith(end)


def test_a_missing_part_is_named_with_advice(tmp_path):
    write(tmp_path, *TWO)
    with pytest.raises(
        ValueError, match=r"(?s)'clips', 'list.txt'; no a\.txt or b\.txt\..*\nLook there\.\nIt is obtained"
    ):
        Tones(tmp_path).require("a.txt", "b.txt", advice="Look there.")
    assert Tones(tmp_path).find("a.txt", "l*.txt") == tmp_path / "list.txt"


def test_labels_attacks_and_speakers(tmp_path):
    write(
        tmp_path, "u1 Genuine train s1 none", "u2 FAKE eval s2 vits", "u3 fake dev s3 -", files="u1.wav u2.wav u3.wav"
    )
    table = Tones(tmp_path).manifest().table
    assert table["label"].tolist() == [1, 0, 0]
    assert table["attack"].tolist() == ["-", "vits", "spoof"]
    assert table["speaker"].tolist() == ["s1", "s2", "s3"]
    assert table["path"].tolist() == [str(tmp_path / "clips" / f"u{number}.wav") for number in (1, 2, 3)]


def test_unknown_labels_are_counted_and_named(tmp_path):
    write(tmp_path, *TWO, "u3 gneuine train", "u4 bonafide train")
    with pytest.raises(ValueError, match="2 of 4 rows of tones have a label that the corpus does not know") as error:
        Tones(tmp_path).manifest()
    assert "u3 ('gneuine'), u4 ('bonafide'); it knows genuine, fake" in str(error.value)
    assert "dataset.facts.labels" in str(error.value)


def test_words_that_are_named_in_the_facts_mean_a_class(tmp_path):
    corpus = Tones(
        write(tmp_path, *TWO, "u3 machine dev"), {"labels": {"genuine": "real", "fake": "spoof", "machine": "fake"}}
    )
    assert corpus.manifest().table["label"].tolist() == [1, 0, 0]
    corpus.facts["labels"]["machine"] = "artificial"
    with pytest.raises(ValueError, match="Unknown label 'artificial'"):
        corpus.manifest()


def test_two_files_for_one_row_are_named(tmp_path):
    corpus = Tones(write(tmp_path, *TWO, files="u1.wav u2.wav fake/u2.wav"))
    assert corpus.manifest().table["path"][1] == str(tmp_path / "clips" / "u2.wav")
    found = finding_of(corpus, "files-of-one-name")
    assert (found.severity, found.examples) == ("warning", (str(tmp_path / "clips" / "fake" / "u2.wav"),))


@pytest.mark.parametrize("by_id", [False, True])
def test_rows_without_a_file_and_files_without_a_row(tmp_path, by_id):
    first = "u1.wav" if by_id else "U1.WAV"  # the file of u1, spelt otherwise than its row
    files = f"{first} deep/u9.wav ._u1.wav .cache/u3.wav __MACOSX/u3.wav notes.txt" + " u0.wav" * by_id
    corpus = Tones(write(tmp_path, *TWO, "u3 fake dev", files=files))
    corpus.by_id = by_id
    manifest = corpus.manifest()
    missing, extra = finding_of(corpus, "rows-without-file"), finding_of(corpus, "files-without-row")
    assert (missing.severity, missing.count, missing.examples) == ("warning", 2, ("u2", "u3"))
    assert f"2 of 3 rows of tones have no file below {tmp_path}/clips" in missing.text
    assert (extra.severity, extra.count) == ("note", 1)
    assert "u9.wav" in extra.text
    assert manifest.table["path"][0] == str(tmp_path / "clips" / first)
    suffix = "flac" if by_id else "wav"  # unknown, where the file is found by its id
    assert manifest.table["path"][1] == str(tmp_path / "clips" / f"u2.{suffix}")


def test_files_are_found_by_id_in_any_folder_and_format(tmp_path):
    write(tmp_path, "u.1 genuine train", "u2 fake eval", files="part/u.1.MP3")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "u2.ogg").touch()
    corpus = Tones(tmp_path)
    assert corpus.manifest().table["path"].tolist() == [
        str(tmp_path / "clips" / "part" / "u.1.MP3"),
        str(tmp_path / "more" / "u2.ogg"),
    ]
    assert not corpus.findings


def test_counts_are_compared_with_the_official_ones(tmp_path):
    rows = {
        "train": {"bonafide": 1, "spoof": 5},
        "dev": {"total": 3},
        "eval": {"spoof": 1},
        "all": {"bonafide": 4, "total": 2},
    }
    corpus = Tones(write(tmp_path, *TWO), {"rows": rows})
    corpus.manifest()
    texts = [found.text.partition(":")[0] for found in corpus.findings]
    assert texts == [
        "tones has 0 spoof rows in train, its authors publish 5",
        "tones has 0 rows in dev, its authors publish 3",
        "tones has 1 bonafide rows in all, its authors publish 4",
    ]
    assert [found.count for found in corpus.findings] == [5, 3, 3]
    assert all("https://example.org/tones" in found.text for found in corpus.findings)


def test_findings_are_those_of_the_last_look(tmp_path):
    corpus = Tones(write(tmp_path, *TWO, files="u1.wav"))
    corpus.manifest()
    corpus.manifest()
    assert [found.kind for found in corpus.findings] == ["rows-without-file"]


class Undivided(Tones):
    def table(self):
        return super().table().drop(columns="split")


def test_a_corpus_without_splits_is_divided_and_the_division_kept(tmp_path):
    ids = [f"u{number}" for number in range(24)]
    lines = [f"{name} {'genuine' if number % 2 else 'fake'} x s{number // 2 % 6}" for number, name in enumerate(ids)]
    write(tmp_path, *lines, files=" ".join(f"{name}.wav" for name in ids))
    kept = tmp_path / "splits.csv"
    corpus = Undivided(tmp_path, groups=["speaker"], split_file=str(kept))
    table = corpus.manifest().table
    assert (table.groupby("speaker")["split"].nunique() == 1).all()
    assert (corpus.manifest().counts().to_numpy() > 0).all()
    written = pd.read_csv(kept)
    kept.write_text(written.assign(split="dev").to_csv(index=False))
    assert set(corpus.manifest().table["split"]) == {"dev"}
    corpus.split_file, corpus.fractions = None, {"train": 0.2, "dev": 0.2, "eval": 0.6}
    assert corpus.manifest().counts().sum(axis=1).idxmax() == "eval"


def test_a_split_that_cannot_have_both_classes_is_a_finding(tmp_path):
    lines = [f"u{number} {'genuine' if number % 2 else 'fake'} x s1" for number in range(9)]
    corpus = Undivided(write(tmp_path, *lines), groups=["speaker"])
    corpus.manifest()
    found = finding_of(corpus, "split-without-class")
    assert found.text.startswith("tones: dev, eval cannot have every class: the 9 rows form 1 groups")


def test_a_link_to_a_folder_is_followed_but_not_in_circles(tmp_path):
    for name in ("a/1.wav", "elsewhere/2.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "a" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "self").symlink_to(".")
    assert list_audio_files(tmp_path / "a") == ["1.wav", "b/2.wav"]
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "a")  # and a/b leads here
    assert list_audio_files(tmp_path / "a") == ["1.wav", "b/2.wav"]
    assert list_audio_files(tmp_path / "elsewhere") == ["2.wav", "back/1.wav"]


def test_audio_files_are_relative_and_sorted(tmp_path):
    for name in ("b/1.wav", "b/._1.wav", "a.FLAC", "c.txt", ".hidden/x.wav", "B.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_audio_files(tmp_path) == ["B.wav", "a.FLAC", "b/1.wav"]
    assert list_audio_files(tmp_path / "nowhere") == []
