import itertools

import numpy as np
import pytest

from dfx.audio import segments
from dfx.audio.segments import Crop


def starts_of(policy, length, num_samples, count):
    crop = Crop(num_samples, policy, "repeat")
    return [crop.start(length, number, np.random.default_rng(number)) for number in range(count)]


@pytest.mark.parametrize("policy", sorted({*segments.TRAIN_POLICIES, *segments.EVAL_POLICIES}))
@pytest.mark.parametrize("spare", [-1, 0, 1, 7])
def test_crop_stays_inside_the_clip(policy, spare):
    starts = starts_of(policy, 100 + spare, 100, 200)
    assert min(starts) >= 0
    assert max(starts) <= max(spare, 0)


def test_random_start_reaches_every_position_and_repeats_with_its_seed():
    starts = starts_of("random", 13, 10, 50)
    assert set(starts) == {0, 1, 2, 3}
    assert starts == starts_of("random", 13, 10, 50)


def test_first_and_centre():
    assert starts_of("first", 101, 10, 1) == [0]
    assert starts_of("centre", 101, 10, 1) == [45]


def test_start_refuses_an_unknown_policy():
    with pytest.raises(
        ValueError, match=r"Unknown crop policy 'middle': use one of random, first, centre, sliding, chunks"
    ):
        starts_of("middle", 10, 5, 1)


def test_fit_repeats_by_default_and_pads_with_zeros_on_request():
    waveform = np.array([1, 2, 3], np.float32)
    np.testing.assert_array_equal(segments.fit_segment(waveform, 7), [1, 2, 3, 1, 2, 3, 1])
    np.testing.assert_array_equal(segments.fit_segment(waveform, 5, "zero"), [1, 2, 3, 0, 0])
    for num_samples in (1, 2, 3, 4, 50):
        for pad in segments.PADS:
            fitted = segments.fit_segment(waveform, num_samples, pad)
            assert fitted.shape == (num_samples,)
            assert fitted.dtype == np.float32


def test_fit_refuses_an_empty_waveform_and_an_unknown_padding():
    with pytest.raises(ValueError, match="empty waveform cannot fill 4 samples"):
        segments.fit_segment(np.zeros(0, np.float32), 4)
    with pytest.raises(ValueError, match="Unknown padding 'reflect'"):
        segments.fit_segment(np.zeros(3, np.float32), 4, "reflect")


@pytest.mark.parametrize("length", [1, 9, 10, 11, 14, 15, 16, 100])
@pytest.mark.parametrize("num_samples", [1, 9, 10])
@pytest.mark.parametrize("policy", ["sliding", "chunks"])
def test_windows_leave_no_sample_out(policy, length, num_samples):
    crop = Crop(num_samples, policy, "repeat")
    (count,) = crop.num_windows(np.array([length]))
    starts = starts_of(policy, length, num_samples, count)
    covered = np.zeros(length, bool)
    for begin in starts:
        covered[begin : begin + num_samples] = True
    assert covered.all()
    assert starts[0] == 0
    assert starts[-1] == max(length - num_samples, 0)
    assert starts == sorted(set(starts))
    assert all(after - before <= crop.hop for before, after in itertools.pairwise(starts))


def test_chunks_lie_side_by_side_and_the_last_one_ends_with_the_clip():
    assert starts_of("chunks", 25, 10, 3) == [0, 10, 15]
