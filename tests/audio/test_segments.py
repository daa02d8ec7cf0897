import itertools

import numpy as np
import pytest

from dfx.audio import segments


@pytest.mark.parametrize("policy", segments.POLICIES)
@pytest.mark.parametrize("spare", [-1, 0, 1, 7])
def test_crop_stays_inside_the_clip(policy, spare):
    generator = np.random.default_rng(0)
    starts = {segments.segment_start(100 + spare, 100, policy, generator) for _ in range(200)}
    assert min(starts) >= 0
    assert max(starts) <= max(spare, 0)


def test_random_start_reaches_every_position_and_repeats_with_its_seed():
    starts = [segments.segment_start(13, 10, "random", np.random.default_rng(seed)) for seed in range(50)]
    assert set(starts) == {0, 1, 2, 3}
    assert starts == [segments.segment_start(13, 10, "random", np.random.default_rng(seed)) for seed in range(50)]


def test_first_and_centre():
    assert segments.segment_start(101, 10, "first") == 0
    assert segments.segment_start(101, 10, "centre") == 45


def test_start_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"Unknown crop policy 'middle': use one of random, first, centre"):
        segments.segment_start(10, 5, "middle")
    with pytest.raises(ValueError, match="needs a numpy"):
        segments.segment_start(10, 5, "random")


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
@pytest.mark.parametrize("hop", [1, 5, 10])
def test_windows_leave_no_sample_out(length, hop):
    starts = segments.segment_windows(length, 10, hop)
    covered = np.zeros(length, bool)
    for begin in starts:
        covered[begin : begin + 10] = True
    assert covered.all()
    assert starts[0] == 0
    assert starts[-1] == max(length - 10, 0)
    assert starts == sorted(set(starts))
    assert all(after - before <= hop for before, after in itertools.pairwise(starts))


def test_windows_are_counted_without_making_them():
    lengths = np.arange(1, 200)
    for hop in (1, 3, 5, 10):
        counts = segments.num_segment_windows(lengths, 10, hop)
        assert counts.tolist() == [len(segments.segment_windows(length, 10, hop)) for length in lengths.tolist()]


def test_windows_refuse_a_hop_that_skips_samples():
    for hop in (0, 11):
        with pytest.raises(ValueError, match=f"cannot slide by {hop}"):
            segments.segment_windows(100, 10, hop)
