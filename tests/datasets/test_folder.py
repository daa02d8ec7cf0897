import os

import pytest

from dfx.datasets.folder import Folder, folder_table


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_classes_attacks_speakers_and_suffixes_in_any_case(tmp_path):
    touch(
        tmp_path,
        "Real/alice/1.WAV",
        "Real/alice/2.wav",
        *(f"Real/{speaker}/{number}.wav" for speaker in ("bob", "carol", "dan") for number in (4, 5, 6)),
        "REAL/3.flac",
        "DeepFake/vits/1.mp3",
        "DeepFake/2.Ogg",
    )
    table = Folder(str(tmp_path)).manifest().table.set_index("id")
    assert table.loc["Real/alice/1", ["label", "speaker", "attack"]].tolist() == [1, "alice", "-"]
    assert table.loc["DeepFake/vits/1", ["label", "attack"]].tolist() == [0, "vits"]
    assert table.loc["DeepFake/2", "attack"] == "spoof"
    speakers = table[table["speaker"] != "-"]
    assert (speakers.groupby("speaker")["split"].nunique() == 1).all()


@pytest.mark.parametrize("layout", ["{split}/{label}", "{label}/{split}"])
def test_split_folders_are_used_above_and_below_the_class_folders(tmp_path, layout):
    folders = [layout.format(split=s, label=c) for s in ("training", "val", "test") for c in ("real", "spoof")]
    touch(tmp_path, *[f"{folder}/{name}.wav" for folder in folders for name in "ab"])
    manifest = Folder(str(tmp_path)).manifest()
    assert manifest.counts().index.tolist() == ["train", "dev", "eval"]
    assert (manifest.counts().to_numpy() == 2).all()
    assert set(manifest.table["attack"]) == {"-", "spoof"}


def test_hidden_and_other_files_are_left_out(tmp_path):
    touch(tmp_path, *[f"{c}/{i}.wav" for c in ("real", "fake") for i in "abc"])
    touch(tmp_path, "real/._a.wav", ".git/real/x.wav", "real/notes.txt", "other/x.wav")
    assert len(Folder(str(tmp_path)).manifest()) == 6


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), ["No recordings", "nothing", "DIR/real"]),
        (("music/a.wav",), ["No recordings", "music"]),
        (("train/real/a.wav", "fake/b.wav"), ["1 of 2", "outside its split folders"]),
    ],
)
def test_an_unexpected_layout_is_explained(tmp_path, names, words):
    touch(tmp_path, *names)
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the words are checked below
        Folder(str(tmp_path)).manifest()
    assert all(word in str(error.value) for word in words)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"No folder at .*nowhere"):
        Folder(str(tmp_path / "nowhere")).manifest()


def test_one_folder_below_a_class_is_no_speaker(tmp_path):
    touch(tmp_path, *[f"real/wavs/{i}.wav" for i in range(10)], *[f"fake/melgan/{i}.wav" for i in range(10)])
    manifest = Folder(str(tmp_path)).manifest()
    assert (manifest.counts().to_numpy() > 0).all()
    pairs = manifest.table.assign(stem=manifest.table["id"].str.rpartition("/")[2])
    assert (pairs.groupby("stem")["split"].nunique() == 1).all()  # a sentence and its copy stay on one side


def test_two_formats_of_one_name_are_two_recordings(tmp_path):
    touch(tmp_path, "real/a.wav", "real/a.flac", "real/b.wav", "fake/c.wav", "fake/d.wav", "fake/e.wav")
    assert {"real/a.wav", "real/a.flac", "real/b"} <= set(Folder(str(tmp_path)).manifest().table["id"])


def test_names_that_are_no_text_are_left_out_and_named(tmp_path, capsys):
    for name in (b"real/a.wav", b"fake/b.wav", b"fake/\xff\xfe.wav", b"fake/d\xe9/c.wav", b"fake/\xff.txt"):
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"x")
    made = Folder(str(tmp_path)).manifest()
    assert [path.rpartition("/")[2] for path in made.table["path"]] == ["b.wav", "a.wav"]
    said = " ".join(capsys.readouterr().err.split())
    assert "2 files below" in said
    assert "left out, since their names are no UTF-8" in said
    assert "'\ufffd\ufffd.wav'" in said
    assert "b'" not in said


def test_links_that_lead_to_each_other_are_bad_files_not_errors(tmp_path):
    for name in ("real/a.wav", "real/b.wav", "fake/a.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "fake" / "loop.wav").symlink_to("loop.wav")
    found = folder_table(tmp_path)
    assert sorted(found["id"]) == ["fake/a", "fake/loop", "real/a", "real/b"]
