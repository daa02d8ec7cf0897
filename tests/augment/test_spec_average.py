import pytest
import torch

from dfx.augment import SpecAverage


def hidden(mask, feature):
    return mask(feature) != feature


def test_nothing_is_hidden_in_eval_mode():
    feature = torch.randn(2, 1, 8, 9)
    assert SpecAverage(5, 1.0, 5, 1.0).eval()(feature) is feature


def test_hidden_values_are_the_mean_of_their_example_and_channel():
    feature = torch.randn(6, 3, 20, 50) * torch.arange(1.0, 4)[:, None, None] + torch.arange(6.0)[:, None, None, None]
    result = SpecAverage()(feature)
    changed = result != feature
    assert changed.any()
    means = feature.mean(dim=(2, 3), keepdim=True).expand_as(feature)
    assert torch.equal(result[changed], means[changed])


def test_regions_are_whole_rows_and_columns_shared_by_the_channels():
    changed = hidden(SpecAverage(), torch.randn(16, 4, 20, 50))
    rows, columns = changed.all(dim=3, keepdim=True), changed.all(dim=2, keepdim=True)
    assert torch.equal(changed, rows | columns)
    assert (changed == changed[:, :1]).all()
    assert len({tuple(example.flatten().tolist()) for example in changed[:, 0]}) > 10


def test_one_region_is_connected_and_no_wider_than_its_fraction():
    torch.manual_seed(0)
    columns = hidden(SpecAverage(1, 0.25, 0, 0), torch.randn(2000, 1, 4, 40))[:, 0, 0].int()
    widths = columns.sum(1)
    assert set(widths.tolist()) == set(range(11))
    starts = columns.diff(dim=1, prepend=torch.zeros(2000, 1, dtype=torch.int)).eq(1).sum(1)
    assert torch.equal(starts, (widths > 0).long())
    assert columns.any(0).all()  # first and last frame too
    rows = hidden(SpecAverage(0, 0, 1, 0.5), torch.randn(2000, 1, 6, 3))[:, 0, :, 0]
    assert set(rows.sum(1).tolist()) == {0, 1, 2, 3}


def test_the_global_seed_decides():
    feature = torch.randn(4, 1, 20, 50)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(SpecAverage()(feature))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_a_map_of_one_bin_keeps_its_bin():
    assert not hidden(SpecAverage(0, 0.0, 3, 0.5), torch.randn(8, 1, 1, 30)).any()


def test_impossible_options_are_named():
    with pytest.raises(ValueError, match="max_time_fraction=10"):
        SpecAverage(max_time_fraction=10)
    with pytest.raises(ValueError, match="num_freq_masks=-1"):
        SpecAverage(num_freq_masks=-1)
