from pathlib import Path

import numpy as np
import pytest

from dfx import audio
from replicas import corpus, found

NAME = "fakeavceleb"
HEADER = "source,target1,target2,method,category,type,race,gender"


def test_the_sound_decides_the_class(replica):
    dataset = corpus(NAME, replica(NAME))
    table = dataset.manifest().table
    assert table.groupby("type")["label"].unique().map(tuple).to_dict() == {
        "RealVideo-RealAudio": (1,),
        "FakeVideo-RealAudio": (1,),
        "RealVideo-FakeAudio": (0,),
        "FakeVideo-FakeAudio": (0,),
    }
    assert set(table["attack"]) == {"-", "rtvc", "faceswap-wav2lip"}
    assert {"target1", "target2", "method", "category", "type", "race", "gender", "video"} <= set(table)
    assert "RealVideo-RealAudio/Asian (East)/women/id00000/00109" in set(table["id"])
    assert found(dataset)["repeated-audio"].count == 15
    for path in table["path"][:8]:
        assert audio.probe_audio(path).format.endswith("aac")
        sound = audio.read_audio(path, 16000)
        assert len(sound) == pytest.approx(6400, abs=2048)  # AAC pads to its frames
        assert 0.05 < np.sqrt(np.mean(sound**2)) < 0.3


@pytest.mark.parametrize("ending", [",filename,path", ",path", ",path,"])
def test_headers_of_all_copies_mean_the_same(changed, ending):
    root = changed(NAME)
    expected = corpus(NAME, root).manifest().hash
    file = root / "FakeAVCeleb_v1.2" / "meta_data.csv"
    file.write_text("\n".join([HEADER + ending, *file.read_text().splitlines()[1:]]) + "\n")
    assert corpus(NAME, root).manifest().hash == expected


def test_the_videos_may_lie_one_folder_deeper(changed):
    folder = changed(NAME) / "FakeAVCeleb_v1.2"
    (folder / "FakeAVCeleb").mkdir()
    for kind in folder.glob("*Video-*"):
        kind.rename(folder / "FakeAVCeleb" / kind.name)
    assert all(Path(path).is_file() for path in corpus(NAME, folder).manifest().table["path"])
