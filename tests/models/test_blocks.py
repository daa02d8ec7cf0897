import pytest
import torch

from dfx.models.blocks import (
    VARIANCE_FLOOR,
    AttentiveStatisticsPool,
    HalvingPool,
    InputNorm,
    MaxFeatureMap,
    RowNorm,
    SqueezeExcite,
    StatisticsPool,
)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_max_feature_map_and_its_gradient_are_those_of_maximum(memory_format):
    x = torch.randperm(2 * 6 * 4 * 5).reshape(2, 6, 4, 5).float()  # no ties
    ours = x.clone(memory_format=memory_format).requires_grad_()
    theirs = x.clone().requires_grad_()
    upstream = torch.randn(2, 3, 4, 5)
    larger = MaxFeatureMap().train()(ours)
    expected = torch.maximum(theirs[:, :3], theirs[:, 3:])
    larger.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(larger, expected, rtol=0, atol=0)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)
    torch.testing.assert_close(MaxFeatureMap().eval()(x), expected.detach(), rtol=0, atol=0)


def test_max_feature_map_spends_the_gradient_of_a_tie_once():
    x = torch.zeros(1, 4, requires_grad=True)
    MaxFeatureMap().train()(x).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0, 1.0, 1.0]]


def test_max_feature_map_passes_nan_on():
    for module in (MaxFeatureMap().train(), MaxFeatureMap().eval()):
        assert module(torch.tensor([[float("nan"), 1.0], [1.0, float("nan")]])).isnan().all()


def test_halving_pool_leaves_an_axis_of_one():
    x = torch.arange(12.0).reshape(1, 1, 1, 12)
    assert HalvingPool()(x).flatten().tolist() == [1, 3, 5, 7, 9, 11]
    assert HalvingPool()(torch.zeros(1, 1, 5, 1)).shape == (1, 1, 2, 1)
    assert HalvingPool()(torch.zeros(1, 1, 5, 4)).shape == (1, 1, 2, 2)


def test_statistics_pool_is_mean_and_population_deviation():
    pooled = StatisticsPool()(torch.tensor([[[1.0, 3.0], [5.0, 5.0]]]))
    expected = torch.tensor([[2.0, 5.0, (1 + VARIANCE_FLOOR) ** 0.5, VARIANCE_FLOOR**0.5]])
    torch.testing.assert_close(pooled, expected)


def test_statistics_pool_keeps_a_small_deviation_beside_a_large_mean():
    x = 1000.0 + torch.tensor([[[-0.1, 0.1] * 200]])
    torch.testing.assert_close(StatisticsPool()(x)[0, 1], torch.tensor(0.1), rtol=1e-3, atol=0)


def test_attention_without_preference_is_plain_statistics():
    pool = AttentiveStatisticsPool(6, hidden=4)
    torch.nn.init.zeros_(pool.attention[2].weight)
    x = torch.randn(3, 6, 20)
    torch.testing.assert_close(pool(x), StatisticsPool()(x))


def test_attention_can_choose_one_frame():
    pool = AttentiveStatisticsPool(1, hidden=1)
    for parameter, value in zip(pool.parameters(), (10.0, 0.0, 100.0), strict=True):
        torch.nn.init.constant_(parameter, value)
    x = torch.tensor([[[-1.0, -1.0, 7.0, -1.0]]])
    torch.testing.assert_close(pool(x), torch.tensor([[7.0, VARIANCE_FLOOR**0.5]]))


def test_input_norm_brings_every_bin_to_zero_mean_and_unit_deviation():
    x = torch.randn(8, 2, 3, 50) * torch.tensor([0.1, 1.0, 30.0])[:, None] - 10.0
    y = InputNorm(2, 3).train()(x)
    torch.testing.assert_close(y.mean(dim=(0, 3)), torch.zeros(2, 3), rtol=0, atol=1e-4)
    torch.testing.assert_close(y.std(dim=(0, 3)), torch.ones(2, 3), rtol=0, atol=5e-3)


def test_row_norm_uses_running_statistics_for_a_single_row():
    norm = RowNorm(4).train()
    norm.running_mean.fill_(2.0)
    torch.testing.assert_close(norm(torch.full((1, 4), 3.0)), torch.ones(1, 4), rtol=0, atol=1e-4)
    assert norm.running_mean.tolist() == [2.0] * 4


def test_squeeze_excite_gates_whole_channels():
    x = torch.rand(2, 32, 3, 4) + 1.0
    gate = SqueezeExcite(32)(x) / x
    torch.testing.assert_close(gate, gate[:, :, :1, :1].expand_as(gate))
    assert ((gate > 0) & (gate < 1)).all()
