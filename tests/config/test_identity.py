"""What MLflow logs as parameters of a run."""

from hydra.core.hydra_config import HydraConfig

from dfx.config.identity import chosen_options, config_hash, logged_params
from setups import composed


def typed(monkeypatch, *overrides):
    """Options and parameters of a command that Hydra runs."""
    cfg = composed(*overrides, return_hydra_config=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)
    own = cfg.copy()
    own._set_flag("struct", False)
    del own["hydra"]
    return chosen_options(own), logged_params(own)


def test_parameters_are_the_options_and_what_changes_the_result(monkeypatch):
    options, params = typed(monkeypatch, "feature=lfcc", "model=mlp", "experiment=s1_lcnn", "seed=3")
    assert options["experiment"] == "s1_lcnn"
    assert {**options, **params} == {**params, "experiment": "s1_lcnn"}
    assert (params["feature"], params["model"], params["seed"], params["conditioning"]) == ("lfcc", "mlp", "3", "none")
    assert {"feature.num_filters", "feature.cache", "data.batch_size", "optimizer.lr"} <= set(params)
    plumbing = ("_target_", "_partial_", "facts", "experiment", "progress", "system_metrics", "num_workers")
    assert not [key for key in params if any(word in key.split(".") for word in plumbing)]
    assert not {"cache", "dataset.cache", "rerun", "num_threads", "trainer.enable_progress_bar"} & set(params)


def test_bookkeeping_of_the_corpora_in_a_corpus_is_no_parameter(monkeypatch):
    _, params = typed(monkeypatch, "dataset=combined", "dataset.train=[demo]", "dataset.eval=[demo]")
    assert params["dataset.corpora.demo.num_clips"] == "1200"
    assert not {f"dataset.corpora.demo.{key}" for key in ("cache", "num_workers", "progress")} & set(params)


def test_the_class_of_a_mask_and_a_class_that_was_typed_are_seen(monkeypatch):
    _, params = typed(monkeypatch, "feature=lfcc_specavg")
    assert params["feature.mask._target_"] == "dfx.augment.SpecAverage"
    _, params = typed(monkeypatch, "model=mlp", "model._target_=my_lab.Mine")
    assert params["model"] == "mine"


def test_what_a_machine_may_take_for_a_file_does_not_change_what_a_run_is():
    assert config_hash(composed()) == config_hash(composed("limits.seconds=60", "limits.memory_mib=512"))
    assert config_hash(composed()) != config_hash(composed("limits.hours=1"))  # other files are heard


def test_system_metrics_do_not_change_what_a_run_is():
    assert config_hash(composed()) == config_hash(composed("system_metrics=true"))
