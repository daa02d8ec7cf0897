import os

import pytest
import soundfile
from omegaconf import DictConfig

from dfx.audit.corpus_audit import audit_corpus
from dfx.datasets import Demo


def audit(demo, cache):
    """Results of an audit, and the AUC, whichever way it points, of each scalar."""
    settings = DictConfig({"sample_rate": 16000, "seed": 0, "cache": cache, "num_workers": None, "limits": {}})
    results = audit_corpus(settings, demo, {}, progress=False).results
    return results, {scalar["name"]: scalar["strength"] for scalar in results["scalars"]}


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.glob("*.wav")}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    corpus = Demo(cache=str(tmp_path_factory.mktemp("demo")), num_clips=96, max_seconds=1.5, num_workers=0)
    corpus.manifest()
    return corpus


def test_the_manifest_is_that_of_a_protocol(demo):
    manifest = demo.manifest()
    assert manifest.name == "demo"
    assert "not speech" in demo.note
    table = manifest.table
    assert (manifest.counts()["bonafide"] == manifest.counts()["spoof"]).all()
    for column in ("speaker", "utterance"):
        sets = [set(part[column]) for _, part in table.groupby("split", observed=True)]
        assert sum(map(len, sets)) == len(set.union(*sets)), f"a {column} is in two splits"


def test_files_are_16_bit_mono_of_the_planned_length(demo):
    for row in demo.manifest().table.itertuples():
        info = soundfile.info(row.path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert info.frames == round(row.duration_s * 16_000)


def test_a_second_call_makes_nothing(demo):
    before = {file: file.stat().st_mtime_ns for file in demo.folder.iterdir()}
    again = Demo(cache=str(demo.folder.parents[1]), num_clips=96, max_seconds=1.5).manifest()
    assert again.hash == demo.manifest().hash
    assert {file: file.stat().st_mtime_ns for file in demo.folder.iterdir()} == before


def test_an_interrupted_build_goes_on_to_the_same_bits(demo, tmp_path, monkeypatch):
    expected = contents(demo.folder)
    monkeypatch.setattr("dfx.datasets.made_files.FEW_FILES", 0)
    other = Demo(cache=str(tmp_path), num_clips=96, max_seconds=1.5, num_workers=2, progress=False)
    other.folder.mkdir(parents=True)
    kept = sorted(expected)[:80]
    for name in kept:
        (other.folder / name).write_bytes(expected[name])
    (other.folder / f".tmp-1-{sorted(expected)[80]}").write_bytes(b"half a file")
    os.utime(other.folder / f".tmp-1-{sorted(expected)[80]}", (0, 0))
    before = {name: (other.folder / name).stat().st_mtime_ns for name in kept}
    other.manifest()
    assert contents(other.folder) == expected
    assert {name: (other.folder / name).stat().st_mtime_ns for name in kept} == before
    assert not list(other.folder.glob(".tmp-*"))


def test_no_scalar_tells_the_classes_apart(demo, tmp_path):
    _, strengths = audit(demo, tmp_path)
    # 48 pairs: deviation of an AUC .06; what is matched exactly stays exact.
    assert max(strengths.values()) < 0.7, strengths
    assert {name: value for name, value in strengths.items() if name.startswith("multiple_") and value != 0.5} == {}
    assert strengths["duration"] == 0.5


@pytest.mark.parametrize("options", [{"num_clips": 47}, {"num_clips": 46}, {"max_seconds": 0.5}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(ValueError, match=r"got .*: use "):
        Demo(**options)


@pytest.mark.slow
def test_no_scalar_tells_the_classes_apart_in_the_full_corpus(tmp_path):
    results, strengths = audit(Demo(cache=str(tmp_path), progress=False), tmp_path)
    assert max(strengths.values()) <= 0.55, strengths
    assert not [entry.kind for entry in results["findings"] if entry.severity != "note"]
