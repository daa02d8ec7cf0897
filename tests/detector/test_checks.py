import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from dfx.config.identity import config_hash
from dfx.config.schema import CONF_DIR, flatten_config
from dfx.detector.checks import check_config
from setups import composed

FILES = [path for path in sorted(CONF_DIR.glob("*/*.yaml")) if path.parent.name not in ("audio", "hydra", "mask")]
NEEDED = {
    "dataset=folder": ["dataset.path=x"],
    "dataset=manifest": ["dataset.path=x.csv"],
    "dataset=combined": ["dataset.train=[demo]", "dataset.dev=[demo]", "dataset.eval=[demo]"],
    "dataset=vocoded": ["dataset.bonafide=x"],
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_option_composes_and_fits_its_class(path):
    option = f"{path.parent.name}={path.stem}"
    check_config(composed(option, *NEEDED.get(option, [])))
    first = next(line for line in path.read_text().splitlines() if "@package" not in line)
    assert first.startswith("# ")
    assert 10 < len(first) <= 130


def test_values_of_own_and_shared_options_of_a_corpus_are_checked():
    with pytest.raises(ValueError, match=r"(?s)divide: expected bool.*groups: expected a list"):
        check_config(composed("dataset=asvspoof2021_la", "dataset.divide=maybe", "+dataset.groups=3"))


def test_every_feature_takes_a_mask():
    cfg = composed("feature=lfcc_2021", "+mask@feature.mask=specavg")
    check_config(cfg)
    assert cfg.feature.mask == composed("feature=lfcc_specavg").feature.mask


def test_every_optimizer_schedule_and_augmentation_builds():
    paths = [path for path in FILES if path.parent.name in ("optimizer", "schedule", "augment")]
    for path in paths:
        cfg = composed(f"{path.parent.name}={path.stem}")
        optimizer = instantiate(cfg.optimizer)([torch.nn.Parameter(torch.zeros(1))])
        instantiate(cfg.schedule)(optimizer, total_steps=4, steps_per_epoch=2)
        assert optimizer.param_groups[0]["lr"] > 0
        if cfg.augment:
            assert instantiate(cfg.augment)(np.zeros(99, np.float32), np.random.default_rng()).shape == (99,)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "+model.embedding_dimm=3",
            "model.embedding_dimm: LCNNLight has no such argument; did you mean 'embedding_dim'?",
        ),
        ("model.dropout=abc", "model.dropout: expected float, got 'abc' (str)."),
        ("model.embedding_dim=1.5", "model.embedding_dim: expected int, got 1.5 (float)."),
        (
            "dataset=in_the_wild dataset.groups=speaker",
            "dataset.groups: expected a list, [a,b] or null, got 'speaker' (str).",
        ),
        ("dataset=folder", "dataset.path is required"),
        ("model._target_=dfx.models.LCNNN", "model._target_: 'dfx.models.LCNNN' cannot be imported"),
        ("+trainer.max_epoch=3", "did you mean 'max_epochs'?"),
        ("data.pad=zeros", "data.pad=zeros: use one of repeat, zero."),
        ("data.eval_crop=random", "data.eval_crop=random: use one of first, centre, sliding, chunks."),
        ("data.batch_size=0", "data.batch_size=0: it must be positive."),
        ("trainer.max_epochs=null", "trainer.max_epochs=null: it must be positive"),
        ("trainer.max_epochs=many", "trainer.max_epochs: expected int or null, got 'many' (str)."),
        ("trainer.max_epochs=true", "trainer.max_epochs: expected int or null, got True (bool)."),
        ("+trainer.limit_val_batches=2", "trainer.limit_val_batches: an epoch is one pass"),
        ("+trainer.logger=true", "trainer.logger: dfx sets this itself"),
    ],
)
def test_a_node_that_does_not_fit_its_class_is_explained(override, sentence):
    with pytest.raises(ValueError, match="does not fit") as error:
        check_config(composed(*override.split()))
    assert sentence in str(error.value)


def test_all_problems_are_listed_at_once():
    with pytest.raises(ValueError, match="does not fit") as error:
        check_config(composed("+model.a=1", "+loss.b=2", "optimizer.lr=fast"))
    assert all(word in str(error.value) for word in ("model.a", "loss.b", "optimizer.lr"))


def test_identity_covers_the_configuration_but_not_the_bookkeeping():
    base = config_hash(composed(), "m")
    assert config_hash(composed("rerun=true", "cache=x", "data.num_workers=2", "num_threads=1"), "m") == base
    assert config_hash(composed("seed=1"), "m") != base
    assert config_hash(composed("model.dropout=0.4"), "m") != base
    assert config_hash(composed(), "n") != base
    # What a split file says is in the manifest, wherever it lies.
    plain = config_hash(composed("dataset=in_the_wild"), "m")
    assert config_hash(composed("dataset=in_the_wild", "dataset.split_file=x.csv"), "m") == plain


def test_flatten_keeps_empty_containers():
    assert flatten_config(OmegaConf.to_container(OmegaConf.create({"a": {"b": 1, "c": {}}, "d": [1, 2]}))) == {
        "a.b": 1,
        "a.c": {},
        "d": [1, 2],
    }


def test_the_command_line_wins_over_an_experiment_and_an_experiment_over_the_defaults():
    cfg = composed("trainer=smoke")
    assert (cfg.data.limit_utterances, cfg.data.batch_size, cfg.trainer.max_epochs) == (16, 8, 1)
    cfg = composed("experiment=s1_lcnn", "trainer.max_epochs=3")
    assert (cfg.trainer.max_epochs, cfg.segment_seconds, cfg.data.pad) == (3, 5.0, "zero")
