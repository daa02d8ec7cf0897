from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from replicas_open import corpus, fakeavceleb

from dfx import audio

HEADER = "source,target1,target2,method,category,type,race,gender"


def test_the_sound_decides_and_people_are_kept_apart(tmp_path: Path) -> None:
    dataset = corpus("fakeavceleb", fakeavceleb(tmp_path))
    manifest = dataset.manifest()
    table = manifest.table
    assert (manifest.counts().to_numpy() >= 6).all()
    assert table.groupby("type")["label"].unique().map(tuple).to_dict() == {
        "RealVideo-RealAudio": (1,),
        "FakeVideo-RealAudio": (1,),
        "RealVideo-FakeAudio": (0,),
        "FakeVideo-FakeAudio": (0,),
    }
    assert (table.groupby("speaker")["split"].nunique() == 1).all()
    assert set(table["attack"]) == {"-", "rtvc", "faceswap-wav2lip"}
    assert {"target1", "target2", "method", "category", "type", "race", "gender", "video"} <= set(table)
    assert "RealVideo-RealAudio/Asian (East)/women/id00000/00109" in set(table["id"])
    (repeated,) = [found for found in dataset.findings if found.kind == "repeated-audio"]
    assert repeated.count == 15


def test_the_sound_of_the_videos_is_decoded(tmp_path: Path) -> None:
    table = corpus("fakeavceleb", fakeavceleb(tmp_path)).manifest().table
    for path in table["path"][:8]:
        assert audio.probe(path).format.endswith("aac")
        sound = audio.read(path, 16000)
        assert len(sound) == pytest.approx(6400, abs=2048)  # AAC pads to its frames
        assert 0.05 < np.sqrt(np.mean(sound**2)) < 0.3


@pytest.mark.parametrize("ending", [",filename,path", ",path", ",path,"])
def test_headers_of_all_copies_mean_the_same(tmp_path: Path, ending: str) -> None:
    root = fakeavceleb(tmp_path)
    expected = corpus("fakeavceleb", root).manifest().hash
    file = root / "FakeAVCeleb_v1.2" / "meta_data.csv"
    rows = file.read_text().splitlines()[1:]
    file.write_text("\n".join([HEADER + ending, *rows]) + "\n")
    assert corpus("fakeavceleb", root).manifest().hash == expected


def test_the_videos_may_lie_one_folder_deeper(tmp_path: Path) -> None:
    root = fakeavceleb(tmp_path)
    folder = root / "FakeAVCeleb_v1.2"
    (folder / "FakeAVCeleb").mkdir()
    for kind in folder.glob("*Video-*"):
        kind.rename(folder / "FakeAVCeleb" / kind.name)
    table = corpus("fakeavceleb", folder).manifest().table
    assert all(Path(path).is_file() for path in table["path"])


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    root = fakeavceleb(tmp_path)
    file = root / "FakeAVCeleb_v1.2" / "meta_data.csv"
    file.write_text(file.read_text().replace("RealVideo-FakeAudio,", "RealVideo-NoAudio,"))
    with pytest.raises(
        ValueError, match=r"15 of 60 rows of fakeavceleb have a label .*'NoAudio'.* knows realaudio"
    ):
        corpus("fakeavceleb", root).manifest()
