import numpy as np
import pytest

from dfx.datasets.synthesis.demo_clips import ATTACKS, SEEN, SPEAKERS, plan_demo_clips, synthesize_demo_clip


def test_clips_come_in_matched_pairs():
    clips = plan_demo_clips(240, 8.0)
    pairs = {}
    for clip in clips:
        pairs.setdefault(clip.pair, []).append(clip)
    for one, other in pairs.values():
        assert (one.attack == "-") != (other.attack == "-")
        assert one.utterance != other.utterance
        assert (one.speaker, one.split, one.num_samples) == (other.speaker, other.split, other.num_samples)


def test_splits_and_attacks_follow_the_protocol():
    clips = plan_demo_clips(1200, 8.0)
    for split, speakers in SPEAKERS.items():
        inside = [clip for clip in clips if clip.split == split]
        assert {clip.speaker for clip in inside} == set(speakers)
        attacks = {clip.attack for clip in inside} - {"-"}
        assert attacks == set(ATTACKS if split == "eval" else SEEN)
    share = {split: sum(clip.split == split for clip in clips) / len(clips) for split in SPEAKERS}
    assert share == pytest.approx({"train": 0.5, "dev": 0.2, "eval": 0.3}, abs=0.02)
    seconds = [clip.num_samples / 16_000 for clip in clips]
    assert min(seconds) > 0.98
    assert max(seconds) <= 8


def test_an_id_says_nothing_of_the_class():
    clips = plan_demo_clips(1200, 8.0)
    assert len({clip.id for clip in clips}) == 1200
    rank = np.array([int(clip.id[-4:]) for clip in clips])
    spoof = np.array([clip.attack != "-" for clip in clips])
    assert abs(np.corrcoef(rank, spoof)[0, 1]) < 0.1
    assert abs(np.corrcoef(rank % 2, spoof)[0, 1]) < 0.1


def test_a_clip_is_a_function_of_the_plan():
    clip = plan_demo_clips(48, 1.0)[0]
    first, second = synthesize_demo_clip(clip), synthesize_demo_clip(clip)
    assert first.dtype == np.int16
    assert len(first) == clip.num_samples
    np.testing.assert_array_equal(first, second)
