import pytest

from dfx.datasets import FoR
from replicas import corpus, found


@pytest.mark.parametrize("version", ["norm", "2sec", "original"])
def test_each_version_is_read_with_its_official_splits(replica, version):
    dataset = corpus("for", replica("for"), version=version)
    manifest = dataset.manifest()
    extra = version == "original"  # file0.WAV beside file0.mp3
    assert manifest.counts().to_numpy().tolist() == [[8, 8 + extra], [8, 8], [8, 8]]
    assert set(manifest.table["version"]) == {version}
    assert ("row-count" in found(dataset)) == (version == "2sec")
    if extra:
        ids = {"training/fake/file0.mp3", "training/fake/file0.WAV", "training/real/file0.wav"}
        assert ids <= set(manifest.table["id"])


def test_the_history_of_a_file_is_read_from_its_name(replica):
    dataset = corpus("for", replica("for"))
    table = dataset.manifest().table
    mp3 = table["source_format"] == "mp3"
    assert set(table[mp3]["label"]) == {0}
    assert mp3.groupby(table["split"]).sum().to_dict() == {"train": 8, "dev": 8, "eval": 0}
    finding = found(dataset)["mp3-history"]
    assert finding.severity == "warning"
    assert "fake in train 100.0%" in finding.text
    assert "fake in eval 0.0%" in finding.text


@pytest.mark.parametrize("place", ["for-2sec", "for-2sec/for-2seconds"])
def test_the_folder_of_the_version_may_be_given(replica, place):
    root = replica("for")
    manifest = corpus("for", root / place, version="2sec").manifest()
    assert manifest.hash == corpus("for", root, version="2sec").manifest().hash


def test_a_wrong_version_is_refused(replica):
    root = replica("for")
    with pytest.raises(ValueError, match=r"is the version 2sec of FoR, not norm: use dataset\.version=2sec"):
        corpus("for", root / "for-2sec" / "for-2seconds").manifest()
    with pytest.raises(ValueError, match="got 'normal': use one of them"):
        FoR(version="normal")
    with pytest.raises(ValueError, match=r"for was not found: .* holds 'for-2sec', 'for-norm'"):
        corpus("for", root, version="rerec").manifest()


def test_files_outside_the_splits_are_counted(changed):
    root = changed("for")
    folder = root / "for-norm" / "for-norm" / "training"
    (folder / "real").rename(folder / "other")
    dataset = corpus("for", root)
    assert dataset.manifest().counts().loc["train"].tolist() == [0, 8]
    assert found(dataset)["files-without-row"].count == 8
