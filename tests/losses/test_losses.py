"""What every loss promises, and values computed by hand."""

import math

import pytest
import torch

from dfx.losses import BCE, CE, AMSoftmax, OCSoftmax, P2SGrad

LOSSES = [BCE, CE, AMSoftmax, OCSoftmax, P2SGrad]
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_posterior = pytest.mark.parametrize("loss", [BCE, CE])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def separable(batch=32):
    """Embeddings around two orthogonal directions, and their labels."""
    label = torch.arange(batch) % 2
    return 3.0 * torch.eye(8)[label] + 0.3 * torch.randn(batch, 8), label


def with_logits(loss, logits):
    """A loss on embeddings of width 1 whose posterior log odds are the embedding, and these embeddings."""
    layer = loss.linear
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0]] if layer.out_features == 1 else [[-0.5], [0.5]]))
        layer.bias.zero_()
    return torch.tensor(logits)[:, None]


def softplus(x):
    return math.log1p(math.exp(x))


@each_loss
def test_bona_fide_scores_higher_after_fifty_steps(loss):
    loss = loss(8)
    embedding, label = separable()
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    first = loss(embedding, label).item()
    for _ in range(50):
        optimizer.zero_grad()
        loss(embedding, label).backward()
        optimizer.step()
    assert loss(embedding, label).item() < first
    score = loss.score(embedding)
    assert score.shape == (32,)
    assert score[label == 1].min() > score[label == 0].max()


@each_loss
def test_every_parameter_and_the_embedding_get_a_gradient(loss):
    loss = loss(8)
    embedding, label = separable()
    embedding.requires_grad_()
    value = loss(embedding, label)
    assert value.shape == ()
    value.backward()
    for tensor in (embedding, *loss.parameters()):
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().sum() > 0


@each_loss
def test_extreme_and_zero_embeddings_and_batches_of_one_class_stay_finite(loss):
    loss = loss(8)
    extreme, true = separable()
    assert loss(1e6 * extreme, true).isfinite()
    assert loss(1e6 * extreme, 1 - true).isfinite()
    embedding = torch.zeros(4, 8, requires_grad=True)
    for label in (torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)):
        value = loss(embedding, label)
        value.backward()
        assert value.isfinite()
        assert embedding.grad.isfinite().all()
        assert loss.score(embedding).isfinite().all()


@each_loss
def test_scores_are_float32_under_autocast(loss):
    loss = loss(8)
    embedding, label = separable()
    with torch.autocast("cpu", torch.bfloat16):
        reduced = loss.score(embedding), loss(embedding, label)
    torch.testing.assert_close(reduced, (loss.score(embedding), loss(embedding, label)), rtol=0, atol=0)


@each_loss
def test_the_prior_survives_a_checkpoint(loss):
    trained, rebuilt = loss(8), loss(8)
    trained.set_prior(30, 10)
    rebuilt.load_state_dict(trained.state_dict())
    embedding, _ = separable()
    torch.testing.assert_close(rebuilt.score(embedding), trained.score(embedding), rtol=0, atol=0)


@each_loss
def test_a_prior_without_both_classes_and_an_embedding_without_width_are_refused(loss):
    for counts in ((0, 5), (5, 0), (-1, 5)):
        with pytest.raises(ValueError, match=rf"both classes, got {counts[0]} bona fide and {counts[1]} spoof"):
            loss(8).set_prior(*counts)
    with pytest.raises(ValueError, match="at least 1 value, got 0"):
        loss(0)


@each_posterior
@pytest.mark.parametrize("weight", [None, 9])
def test_cross_entropy_by_hand(loss, weight):
    loss = loss(1, weight=weight)
    embedding = with_logits(loss, [2.0, -1.0, 0.5])
    factor = weight or 1
    expected = (factor * softplus(-2.0) + softplus(-1.0) + softplus(0.5)) / (factor + 2)
    assert loss(embedding, torch.tensor([1, 0, 0])).item() == pytest.approx(expected, rel=1e-6)


def test_ce_is_torch_cross_entropy():
    loss = CE(8, weight=9.0)
    embedding, label = separable()
    expected = torch.nn.functional.cross_entropy(loss.linear(embedding), label, weight=torch.tensor([0.1, 0.9]))
    torch.testing.assert_close(loss(embedding, label), expected)


@each_posterior
@pytest.mark.parametrize(
    ("weight", "prior", "offset"),
    [
        (None, (1, 1), 0.0),
        (None, (10, 90), math.log(9)),
        (9.0, (10, 90), 0.0),
        (9.0, (1, 1), -math.log(9)),
        ("balanced", (10, 90), 0.0),
        ("balanced", (1, 1), 0.0),
    ],
)
def test_the_score_takes_prior_and_weight_out_of_the_log_odds(loss, weight, prior, offset):
    loss = loss(1, weight=weight)
    loss.set_prior(*prior)
    score = loss.score(with_logits(loss, [-1.0, 0.0, 2.0]))
    torch.testing.assert_close(score, torch.tensor([-1.0, 0.0, 2.0]) + offset)


@each_posterior
@pytest.mark.parametrize("weight", [None, "balanced", 3.0])
def test_the_score_converges_to_the_log_likelihood_ratio(loss, weight):
    """The embedding is 1 for 80 % of bona fide and 25 % of spoof; three spoofs for each bona fide."""
    label = torch.tensor([1] * 20 + [0] * 60)
    embedding = torch.tensor([1.0] * 16 + [0.0] * 4 + [1.0] * 15 + [0.0] * 45)[:, None]
    loss = loss(1, weight=weight)
    loss.set_prior(20, 60)
    optimizer = torch.optim.LBFGS(loss.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(embedding, label)
        value.backward()
        return value

    optimizer.step(closure)
    score = loss.score(torch.tensor([[1.0], [0.0]]))
    expected = torch.tensor([math.log(0.8 / 0.25), math.log(0.2 / 0.75)])
    torch.testing.assert_close(score, expected, rtol=0, atol=1e-3)


@each_posterior
def test_balanced_weights_need_the_counts_to_train_but_not_to_score(loss):
    loss = loss(8, weight="balanced")
    embedding, label = separable()
    with pytest.raises(ValueError, match="class counts are not known: call set_prior"):
        loss.train()(embedding, label)
    loss.eval()
    assert loss(embedding, label).isfinite()
    loss.set_prior(1, 9)
    assert loss.train()(embedding, label).isfinite()


@each_posterior
@pytest.mark.parametrize("weight", [0, -1.0, "balance", True, math.inf, math.nan])
def test_an_unknown_weight_is_refused(loss, weight):
    with pytest.raises(ValueError, match=r"Unknown class weight .*: use null, balanced, or a positive number"):
        loss(8, weight=weight)


@pytest.mark.parametrize(
    ("loss", "expected", "scores"),
    [
        (AMSoftmax(2), (softplus(-20 * (1 - 0.9 - 0)) + softplus(20 * (0.8 - (0.6 - 0.9)))) / 2, [20.0, 4.0]),
        (OCSoftmax(2), (softplus(20 * (0.9 - 1.0)) + softplus(20 * (0.8 - 0.2))) / 2, [1.0, 0.8]),
        (P2SGrad(2), (0.4**2 + 0.8**2) / 4, [1.0, 0.8]),
    ],
)
def test_cosine_losses_by_hand(loss, expected, scores):
    with torch.no_grad():  # the directions are the axes
        loss.directions.copy_(5.0 * torch.eye(2)[-len(loss.directions) :])
    embedding = torch.tensor([[0.0, 2.0], [0.3, 0.4]])  # cosines to spoof and bona fide: (0, 1) and (.6, .8)
    assert loss(embedding, torch.tensor([1, 0])).item() == pytest.approx(expected, rel=1e-5)
    assert loss.score(embedding).tolist() == pytest.approx(scores, rel=1e-5)


@pytest.mark.parametrize("loss", [AMSoftmax, OCSoftmax, P2SGrad])
def test_cosine_losses_ignore_the_length_of_an_embedding(loss):
    loss = loss(8)
    embedding, label = separable()
    torch.testing.assert_close(loss(embedding, label), loss(100 * embedding, label))
    torch.testing.assert_close(loss.score(embedding), loss.score(0.01 * embedding), rtol=1e-4, atol=1e-4)


def test_options_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match=r"AM-softmax cannot use scale=0\.0, margin=0\.9"):
        AMSoftmax(8, scale=0.0)
    with pytest.raises(ValueError, match=r"OC-softmax cannot use r_real=0\.1, r_fake=0\.2"):
        OCSoftmax(8, r_real=0.1)
