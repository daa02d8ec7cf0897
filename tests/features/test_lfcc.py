import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch

from dfx.features import LFCC

RATE = 16000


def by_definition(waveform, n_fft, fmax):
    """LFCC of one clip step by step in float64 (frames, 60), as the definition of the NII variant reads."""
    eps = 2.0**-23
    emphasised = scipy.signal.lfilter([1, -0.97], [1], waveform.astype(np.float64))
    window = np.zeros(n_fft)
    offset = (n_fft - 320) // 2
    window[offset : offset + 320] = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(320) / 320)
    padded = np.pad(emphasised, n_fft // 2)
    frames = np.stack([padded[i * 160 : i * 160 + n_fft] * window for i in range(1 + len(waveform) // 160)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    power = power[:, : int(fmax / (RATE / 2) * (n_fft // 2 + 1))]
    hz = np.linspace(0, fmax, power.shape[1])
    edges = np.linspace(0, fmax, 22)
    bank = [np.interp(hz, edges[i : i + 3], [0, 1, 0]) for i in range(20)]
    cepstra = scipy.fft.dct(np.log10(power @ np.transpose(bank) + eps), type=2, norm="ortho", axis=1)
    cepstra[:, 0] = np.log10(power.sum(1) / n_fft + eps)

    def slope(x):
        repeated = np.concatenate([x[:1], x, x[-1:]])
        return repeated[2:] - repeated[:-2]

    return np.concatenate([cepstra, slope(cepstra), slope(slope(cepstra))], axis=1)


@pytest.mark.parametrize(("n_fft", "fmax"), [(512, None), (1024, 4000.0)])
@pytest.mark.parametrize("level", [0.3, 1e-4, 0.0])
def test_lfcc_is_the_nii_definition(n_fft, fmax, level):
    rng = np.random.default_rng(0)
    envelope = 1 + np.sin(2 * np.pi * 3 * np.arange(RATE) / RATE)
    waveform = (level * envelope * scipy.signal.lfilter([1], [1, -0.9], rng.normal(size=RATE))).astype(np.float32)
    feature = LFCC(RATE, n_fft=n_fft, fmax_hz=fmax)(torch.from_numpy(waveform)[None])
    assert feature.shape == (1, 1, 60, 101)
    np.testing.assert_allclose(feature[0, 0].T, by_definition(waveform, n_fft, fmax or RATE / 2), atol=1e-4)


def test_deltas_are_an_option():
    waveform = torch.randn(2, RATE)
    torch.testing.assert_close(LFCC(RATE, deltas=False)(waveform), LFCC(RATE)(waveform)[:, :, :20])
