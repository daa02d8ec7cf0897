import pytest
import torch

from dfx.detector import schedules


def rates(make, total_steps=40, steps_per_epoch=4, lr=0.5, **options):
    """Learning rate that each optimizer step uses, and the one after the last."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=lr)
    scheduler = make(optimizer, total_steps, steps_per_epoch, **options)
    used = []
    for _ in range(total_steps + 1):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return used


def test_constant_keeps_the_rate():
    assert set(rates(schedules.constant)) == {0.5}


def test_step_halving_halves_at_the_first_step_of_every_tenth_epoch():
    used = rates(schedules.step_halving, total_steps=84)
    assert used[:40] == [0.5] * 40
    assert used[40:80] == [0.25] * 40
    assert used[80:] == [0.125] * 5


def test_step_halving_takes_other_periods_and_factors():
    used = rates(schedules.step_halving, total_steps=12, every_epochs=1, factor=0.1, lr=1.0)
    assert used == pytest.approx([1.0] * 4 + [0.1] * 4 + [0.01] * 4 + [0.001])


def test_cosine_rises_linearly_then_falls_to_the_final_rate():
    used = rates(schedules.cosine, total_steps=101, lr=1.0, warmup_fraction=0.1, final_fraction=0.05)
    assert used[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert used[10] == pytest.approx(1.0)
    assert used[55] == pytest.approx((1 + 0.05) / 2)
    assert used[100] == pytest.approx(0.05)
    assert used[101] == pytest.approx(0.05)
    assert used[10:] == sorted(used[10:], reverse=True)


def test_inverse_sqrt_is_the_published_rate_of_res2net():
    used = rates(schedules.inverse_sqrt, total_steps=60, lr=(64 * 20) ** -0.5, warmup_steps=20)
    expected = [64**-0.5 * min(step**-0.5, step * 20**-1.5) for step in range(1, 62)]
    assert used == pytest.approx(expected)
    assert used[19] == max(used)


@pytest.mark.parametrize("total_steps", [1, 2, 3])
def test_cosine_survives_a_very_short_training(total_steps):
    for fraction in (0.0, 0.1, 0.5, 1.0):
        used = rates(schedules.cosine, total_steps=total_steps, warmup_fraction=fraction)
        assert all(0 <= rate <= 0.5 for rate in used)
        assert used[0] > 0


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (schedules.step_halving, {"every_epochs": 0}, "every_epochs=0"),
        (schedules.step_halving, {"factor": 1.5}, "factor=1.5"),
        (schedules.inverse_sqrt, {"warmup_steps": 0}, "warmup_steps=0"),
        (schedules.cosine, {"warmup_fraction": 1.1}, "warmup_fraction=1.1"),
        (schedules.cosine, {"final_fraction": -0.1}, "final_fraction=-0.1"),
    ],
)
def test_options_that_cannot_work_are_refused(make, options, words):
    with pytest.raises(ValueError, match=words):
        rates(make, **options)
