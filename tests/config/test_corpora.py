from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig

from dfx.config import corpora
from dfx.config.corpora import corpus_options, expand_corpora
from dfx.config.identity import config_hash
from dfx.config.schema import CONF_DIR
from dfx.detector.checks import check_config
from setups import composed

SPLITS = ["dataset=combined", "dataset.train=[demo]", "dataset.dev=[demo]"]


@pytest.mark.parametrize(
    "options_of",
    [
        ["dataset.corpora={in_the_wild:{root:x}}"],
        ["+dataset.corpora.in_the_wild.root=x"],
        ["+dataset.corpora.in_the_wild.root=y"],  # where it lies is no part of the identity
        ["+dataset.corpora.in_the_wild.root=x", "+dataset.corpora.wavefake.root=y"],
        ["dataset.corpora={in_the_wild:{root:x},mine:{dataset:folder,path:y}}"],
        [],
    ],
)
@pytest.mark.parametrize("name", ["[in_the_wild:all]", "in_the_wild:all"])
def test_what_names_a_corpus_is_one_configuration_however_it_is_written(name, options_of):
    cfg = composed(*SPLITS, f"dataset.eval={name}", *options_of)
    check_config(cfg)
    assert list(cfg.dataset.corpora) == ["demo", "in_the_wild"]
    assert cfg.dataset.eval == ["in_the_wild:all"]
    assert config_hash(cfg) == config_hash(composed(*SPLITS, "dataset.eval=[in_the_wild:all]"))
    assert expand_corpora(cfg.copy()) == cfg


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ("+dataset.corpora.in_the_wlid.root=x", "corpora.in_the_wlid: nothing is called 'in_the_wlid'; did you mean"),
        ("+dataset.corpora.demo=x", r"corpora.demo=x: give its options, dataset.corpora.demo=\{root: DIR\}"),
        (
            "dataset.eval=mine +dataset.corpora.mine.path=x",
            "dataset 'mine'; say which dataset .*, dataset.corpora.mine.dataset=folder",
        ),
        ("dataset.eval=deep_voice_table", "sets keys of the whole run"),
    ],
)
def test_what_cannot_be_is_said(overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        composed(*SPLITS, "dataset.eval=[demo]", *overrides.split())


def test_a_key_that_is_missing_inside_is_asked_for_as_hydra_takes_it():
    with pytest.raises(ValueError, match=r"\+dataset.corpora.vocoded.bonafide=VALUE"):
        check_config(composed(*SPLITS, "dataset.eval=vocoded"))


def test_how_a_member_is_made_is_no_part_of_the_identity_and_what_it_holds_is():
    def of(demo):
        return composed(*SPLITS, "dataset.eval=[demo]", f"dataset.corpora={{demo:{{{demo}}}}}")

    assert config_hash(of("")) == config_hash(of("num_workers:1")) != config_hash(of("num_clips:800"))
    with pytest.raises(ValueError, match="num_clip: Demo has no such argument; did you mean 'num_clips'"):
        check_config(of("num_clip:800"))


def test_an_option_that_names_itself_is_refused(tmp_path, monkeypatch):
    own = tmp_path / "loop.yaml"
    own.write_text("_target_: dfx.datasets.Combined\ntrain: loop\ndev: loop\neval: loop\ncorpora: null\n")
    known = {**corpus_options(), "loop": own}
    monkeypatch.setattr(corpora, "corpus_options", lambda: known)
    with pytest.raises(ValueError, match=r"corpora.loop.corpora.loop: loop is made of itself"):
        composed(*SPLITS, "dataset.eval=loop")


def test_a_folder_may_stand_for_recordings():
    cfg = composed("dataset=vocoded", "dataset.bonafide=/my/voice", "+dataset.corpora.ljspeech.root=x")
    assert cfg.dataset.corpora == {}
    named = composed("dataset=vocoded", "dataset.bonafide=ljspeech", "+dataset.corpora.ljspeech.root=x")
    assert named.dataset.corpora.ljspeech.root == "x"


def test_a_command_looks_at_other_corpora():
    cfg = composed("dataset=demo", "others=[in_the_wild]", "+corpora.in_the_wild.root=x", command="audit")
    assert cfg.corpora.in_the_wild._target_ == "dfx.datasets.InTheWild"
    assert cfg.corpora.in_the_wild.root == "x"
    with pytest.raises(ValueError, match="others: there is no dataset 'in_the_wlid'; did you mean 'in_the_wild'"):
        composed("dataset=demo", "others=[in_the_wlid]", command="audit")


def test_an_option_is_the_one_that_hydra_finds(tmp_path, monkeypatch):
    (tmp_path / "dataset").mkdir()
    for name in ("demo", "mine"):
        (tmp_path / "dataset" / f"{name}.yaml").write_text("_target_: dfx.datasets.Folder\npath: x\n")

    source = SimpleNamespace(schema="file", path=str(tmp_path))
    given = SimpleNamespace(runtime=SimpleNamespace(config_sources=[source]))
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: given)
    found = corpus_options()
    assert found["mine"].parent == tmp_path / "dataset"
    assert found["demo"].parent == CONF_DIR / "dataset"
