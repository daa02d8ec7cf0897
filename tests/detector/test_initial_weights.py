"""init=PLACE: a run starts from the weights of another one, whole or in part; what does not fit is listed."""

import shutil

import pytest
import torch

from dfx.detector import initial_weights, loading
from setups import artifacts, composed, train_run

SMALL = ("model=mlp", "feature=lfcc", "log_model=false")


@pytest.fixture(scope="module")
def first(corpus, home, undrawn_figures):
    return train_run("first", corpus, home, *SMALL)


def checkpoint(run):
    return artifacts(run) / "checkpoint" / "best.ckpt"


def equal_weights(run, other):
    """Parts of the detector whose learnt weights are all equal in both runs."""
    one, two = (dict(loading.load_network(checkpoint(each)).named_parameters()) for each in (run, other))
    parts = {name.partition(".")[0] for name in one}
    return parts - {name.partition(".")[0] for name in one if not torch.equal(one[name], two[name])}


def started(run, place, corpus, home, *more):
    """A run that starts from a place and learns nothing, so that its weights are those that it started from."""
    return train_run(run, corpus, home, *SMALL, f"init={place}", "optimizer.lr=0", "optimizer.weight_decay=0", *more)


def test_a_run_starts_from_all_weights_of_another(first, corpus, home):
    run = started("second", f"runs:/{first.info.run_id}", corpus, home, "seed=5")
    assert equal_weights(run, first) == {"model", "loss"}
    assert run.data.tags["init_name"] == first.info.run_name
    assert run.data.params["init"] == f"runs:/{first.info.run_id}"


def test_a_part_is_chosen_by_its_names(first, corpus, home, capsys):
    run = started("part", checkpoint(first), corpus, home, "seed=6", "init_only='model.*'")
    assert equal_weights(run, first) == {"model"}
    assert "Starting from best.ckpt (init): " in capsys.readouterr().err


def test_the_identity_follows_the_weights_not_their_place(first, corpus, home, tmp_path):
    shutil.copy(checkpoint(first), tmp_path / "copy.ckpt")
    run = started("moved", checkpoint(first), corpus, home)
    again = started("moved", tmp_path / "copy.ckpt", corpus, home)
    assert again.info.run_id == run.info.run_id
    read = initial_weights.read_initial_weights
    whole, part, none = (
        read(composed(*SMALL, *more))
        for more in ([f"init={checkpoint(first)}"], [f"init={checkpoint(first)}", "init_only=loss.*"], [])
    )
    assert len({whole.digest, part.digest, none.digest}) == 3


def test_what_does_not_fit_is_listed_in_one_message(first, corpus, home):
    with pytest.raises(ValueError, match="do not fit this detector") as refused:
        started("other", checkpoint(first), corpus, home, "feature.num_filters=30", "loss=am_softmax")
    text = str(refused.value)
    assert "another size: model." in text
    assert "only in init: loss." in text
    assert "only in this detector: loss." in text


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["init_only=model.*"], "chooses weights of init, which is null"),
        (["init=gone.ckpt"], "There is no detector 'gone.ckpt'"),
        (["init={first}", "init_only=[encoder.*]"], r"no weights named encoder\.\*; it has model\.\*, loss\.\*"),
        (["init=model.onnx"], "is an exported file, whose weights cannot be trained"),
    ],
)
def test_wrong_places_are_explained(given, sentence, first, home):
    (home / "model.onnx").touch()
    with pytest.raises(ValueError, match=sentence):
        initial_weights.read_initial_weights(composed(*SMALL, *(one.format(first=checkpoint(first)) for one in given)))


def test_a_run_that_goes_on_has_its_own_weights(first, corpus, home, monkeypatch):
    """Killed after its first epoch; what it has learnt is not replaced by init."""
    place = checkpoint(first)

    def stop(*_):
        raise KeyboardInterrupt

    given = ["experiment_name=goes_on", "optimizer.lr=0.01", "trainer.max_epochs=2"]
    with monkeypatch.context() as patched:
        patched.setattr("dfx.tracking.run.TrackedRun.log_artifacts", stop)
        with pytest.raises(KeyboardInterrupt):
            train_run("goes_on", corpus, home, *SMALL, f"init={place}", *given)
    monkeypatch.setattr("dfx.detector.detector.Detector.load_state_dict", loads := Loads())
    run = train_run("goes_on", corpus, home, *SMALL, f"init={place}", *given)
    assert run.info.status == "FINISHED"
    assert loads.strict == [True] * len(loads.strict)  # Lightning's, of the run's own checkpoints


class Loads:
    """Counts in place of a method how weights are loaded."""

    def __init__(self):
        self.strict = []

    def __get__(self, detector, _):
        def load_state_dict(state, strict=True, **more):
            self.strict.append(strict)
            return torch.nn.Module.load_state_dict(detector, state, strict=strict, **more)

        return load_state_dict
