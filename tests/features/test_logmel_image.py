import librosa
import numpy as np
import pytest
import scipy.signal
import torch

from dfx.features import LogMelImage

RATE = 16000


@pytest.fixture(scope="module")
def clip():
    return (np.random.default_rng(0).normal(size=RATE) * np.linspace(0, 0.3, RATE)).astype(np.float32)


def test_unresized_it_is_librosas_mel_in_decibels_below_the_maximum(clip):
    emphasised = scipy.signal.lfilter([1, -0.97], [1], clip)
    mel = librosa.feature.melspectrogram(y=emphasised, sr=RATE)  # n_fft 2048, hop 512, 128 bands
    ours = LogMelImage(RATE, size=None)(torch.from_numpy(clip)[None])
    assert ours.shape == (1, 1, 128, 32)
    np.testing.assert_allclose(ours[0, 0], librosa.power_to_db(mel, ref=np.max), atol=2e-3)


@pytest.mark.parametrize("samples", [RATE, 3 * RATE])
def test_a_clip_of_any_length_becomes_an_image_of_the_same_size(clip, samples):
    waveform = torch.from_numpy(np.resize(clip, samples))[None]
    ours, plain = LogMelImage(RATE)(waveform), LogMelImage(RATE, size=None)(waveform)
    assert ours.shape == (1, 1, 256, 256)
    # Bilinear interpolation by hand: pixel centres at (i + 1/2) / scale - 1/2, clamped at the border.
    rows, columns = (np.clip((np.arange(256) + 0.5) * size / 256 - 0.5, 0, size - 1) for size in (128, plain.shape[3]))
    by_rows = np.stack([np.interp(rows, np.arange(128), column) for column in plain[0, 0].numpy().T], axis=1)
    by_hand = np.stack([np.interp(columns, np.arange(plain.shape[3]), row) for row in by_rows])
    np.testing.assert_allclose(ours[0, 0], by_hand, atol=1e-3)


def test_maps_of_resized_images_cannot_be_kept():
    assert LogMelImage(RATE, size=None).hop_samples == 512
    with pytest.raises(ValueError, match=r"resized to \[256, 256\] have no fixed distance, .* feature.size=null"):
        _ = LogMelImage(RATE).hop_samples
