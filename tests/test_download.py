"""The command `dfx.download` on a corpus that a server on the loopback interface publishes."""

import functools
import hashlib
import io
import re
import shutil
import tarfile
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from dfx import audio
from dfx.download import download, main
from setups import type_command

CONF = Path(__file__).parents[1] / "conf"
MODULE = '''
import pandas as pd
from dfx.datasets.corpus import Corpus

class Tiny(Corpus):
    """Files SPLIT/LABEL_N.wav."""
    name = "tiny"
    tree = "  DIR/{train,dev,eval}/*.wav"
    marks = ("train/*.wav",)

    def table(self):
        files = sorted(self.folder().glob("*/*.wav"))
        return pd.DataFrame({
            "id": [f"{f.parent.name}-{f.stem}" for f in files],
            "path": [str(f) for f in files],
            "label": [f.stem.split("_")[0] for f in files],
            "split": [f.parent.name for f in files],
        })
'''


def recordings(folder, splits):
    """Names and bytes of four short recordings for each split."""
    found = {}
    for split in splits:
        for number in range(4):
            path = folder / "one.wav"
            audio.write_audio(path, np.full(1600, 0.01 * number, np.float32), 16000)
            found[f"Tiny/{split}/{('bonafide', 'spoof')[number % 2]}_{number}.wav"] = path.read_bytes()
    return found


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The node `dataset` of a corpus in two archives; `asked` counts the requests for each."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("DFX_DATA", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "tiny_corpus.py").write_text(MODULE)
    site = tmp_path / "site"
    site.mkdir()
    with zipfile.ZipFile(site / "first.zip", "w") as archive:
        for name, content in recordings(tmp_path, ("train", "dev")).items():
            archive.writestr(name, content)
    with tarfile.open(site / "second.tar.gz", "w:gz") as packed:
        for name, content in recordings(tmp_path, ("eval",)).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_):
            asked.append(self.path.rpartition("/")[2])

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    first, second = site / "first.zip", site / "second.tar.gz"
    facts = {
        "page": "https://example.org/tiny",
        "licence": "CC0",
        "citation": "Nobody 2020, a tiny corpus",
        "folders": ["tiny", "Tiny"],
        "labels": {"bonafide": "bonafide", "spoof": "spoof"},
        "rows": {"train": {"bonafide": 2, "spoof": 2}},
        "downloads": [
            {
                "url": f"{address}/{first.name}",
                "md5": hashlib.md5(first.read_bytes()).hexdigest(),
                "bytes": first.stat().st_size,
                "strip": 1,
            },
            {"url": f"{address}/{second.name}", "sha256": hashlib.sha256(second.read_bytes()).hexdigest(), "strip": 1},
        ],
    }
    yield {"asked": asked, "dataset": {"_target_": "tiny_corpus.Tiny", "root": None, "facts": facts}}
    server.shutdown()
    server.server_close()


def run(published, **keys):
    defaults = {"data": None, "keep_archives": False, "list_only": False}
    download(OmegaConf.create({"dataset": published["dataset"], **defaults, **keys}))


def test_a_corpus_arrives_is_read_and_is_not_fetched_again(published, tmp_path, capsys):
    for _ in range(2):
        run(published, data=str(tmp_path / "data"))
        shown = capsys.readouterr().out
        for words in ("licence  CC0", "cite     Nobody 2020", "first.zip, ", "second.tar.gz, size unknown"):
            assert words in shown
        assert f"tiny is in {tmp_path / 'data' / 'tiny'}:" in shown
        assert f"dfx.audit dataset=tiny dataset.root={tmp_path / 'data' / 'tiny'}" in shown
    assert published["asked"] == ["first.zip", "second.tar.gz"]
    folder = tmp_path / "data" / "tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["archives", "dev", "eval", "train"]
    left = {path.name for path in (folder / "archives").iterdir()}
    assert left - {"build.lock"} == {"first.zip.unpacked", "second.tar.gz.unpacked"}


def test_the_environment_names_the_folder(published, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DFX_DATA", str(tmp_path / "corpora"))
    run(published, keep_archives=True)
    assert (tmp_path / "corpora" / "tiny" / "archives" / "first.zip").is_file()
    assert capsys.readouterr().out.endswith("Next: python -m dfx.audit dataset=tiny\n")


def test_only_what_is_gone_is_done_again(published, tmp_path):
    published["dataset"]["root"] = str(tmp_path / "mine")
    run(published)
    shutil.rmtree(tmp_path / "mine" / "eval")
    run(published)
    assert published["asked"] == ["first.zip", "second.tar.gz", "second.tar.gz"]


def test_archives_that_are_there_already_are_used(published, tmp_path):
    archives = tmp_path / "data" / "tiny" / "archives"
    archives.mkdir(parents=True)
    shutil.copy(tmp_path / "site" / "first.zip", archives)
    run(published, data=str(tmp_path / "data"))
    assert published["asked"] == ["second.tar.gz"]


def test_list_only_touches_nothing(published, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    run(published, list_only=True)
    shown = capsys.readouterr().out
    assert "into     not chosen yet: data=DIR or $DFX_DATA" in shown
    assert "total " in shown
    assert published["asked"] == []
    assert sorted(tmp_path.iterdir()) == before


def test_without_a_folder_it_asks_for_one(published):
    with pytest.raises(ValueError, match=r"There is no folder to put tiny into: give one, data=DIR, or set \$DFX"):
        run(published)


def test_a_corpus_without_a_checksum_is_left_to_its_page(published, tmp_path, capsys):
    del published["dataset"]["facts"]["downloads"]
    with pytest.raises(ValueError, match=r"obtain it from https://example.org/tiny .* dataset.root=DIR"):
        run(published, data=str(tmp_path / "data"))
    assert "licence  CC0" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


def test_a_disk_that_is_too_small_is_noticed_first(published, tmp_path, free_bytes):
    published["dataset"]["facts"]["downloads"][0]["bytes"] = 142_300_000_000
    free_bytes(10)
    with pytest.raises(
        ValueError, match=r"needs about 355.8 GB at .*tiny, archives and contents, but 10 bytes are free"
    ):
        run(published, data=str(tmp_path / "data"))
    assert published["asked"] == []
    # Archives that are kept from before take room, and make none.
    archives = tmp_path / "data" / "tiny" / "archives"
    with (archives / "other.zip").open("wb") as kept:
        kept.truncate(1 << 40)
    with pytest.raises(ValueError, match=r"needs about 355.8 GB"):
        run(published, data=str(tmp_path / "data"))


def test_what_is_left_to_do_by_hand_is_said(published, tmp_path, capsys):
    published["dataset"]["facts"]["by_hand"] = "the tables, from the page"
    published["dataset"]["facts"]["downloads"].pop(0)
    with pytest.raises(ValueError, match=r"(?s)The published part of tiny is in .* cannot be read yet: .*DIR/\{train"):
        run(published, data=str(tmp_path / "data"))
    assert "Not part of the download: the tables, from the page" in capsys.readouterr().out


def test_a_wrong_file_stops_before_anything_is_unpacked(published, tmp_path):
    published["dataset"]["facts"]["downloads"][0]["md5"] = "0" * 32
    with pytest.raises(ValueError, match=r"first.zip does not have its published checksum"):
        run(published, data=str(tmp_path / "data"))
    assert [path.name for path in (tmp_path / "data" / "tiny").iterdir()] == ["archives"]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [("folder", "is not a published corpus"), ("deep_voice_table", "sets .*it is for dfx.train")],
)
def test_the_command_line_refuses_in_one_sentence(option, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = type_command(main, f"dataset={option}")
    assert re.match(f"Error: dataset={option} {sentence}", told)
    assert "\n" not in told


def test_an_address_that_is_gone_is_one_sentence(published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    address = published["dataset"]["facts"]["downloads"][0]["url"].replace("first.zip", "gone.zip")
    downloads = f"dataset.facts.downloads=[{{url: '{address}', md5: {'0a' * 16}}}]"
    told = type_command(main, "dataset=ljspeech", f"data={tmp_path / 'data'}", downloads)
    assert re.match(rf"Error: .*{re.escape(address)}.*404", told)
    assert "\n" not in told
    assert published["asked"] == ["gone.zip"]


def test_help_says_what_there_is(capsys):
    assert type_command(main, "--help") == 0
    shown = capsys.readouterr().out
    assert "python -m dfx.download dataset=asvspoof2019_la list_only=true" in shown
    assert "  keep_archives=false " in shown


def published_facts():
    nodes = [
        (path.stem, yaml.safe_load(path.read_text("utf-8").replace("${cache}", "x")))
        for path in sorted((CONF / "dataset").glob("*.yaml"))
    ]
    return [pytest.param(node["facts"], id=name) for name, node in nodes if node.get("facts")]


@pytest.mark.parametrize("facts", published_facts())
def test_the_facts_of_every_corpus_can_be_used(facts):
    from dfx.datasets.download.fetch import parse_fetch_source

    assert facts["page"].startswith("https://")
    assert len(facts["licence"]) > 2
    wanted = [parse_fetch_source(entry) for entry in facts.get("downloads") or []]
    assert len({source.file for source in wanted}) == len(wanted)
    assert all(source.url.startswith("https://") for source in wanted)
