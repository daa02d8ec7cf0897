import pytest
import torch

from dfx.features import dsp

RATE = 16000


def test_band_power_of_slices_equals_the_whole(monkeypatch):
    module = dsp.BandPower(torch.hann_window(400), 512, 160, dsp.mel_bank(40, 512, RATE, 0, 8000))
    waveform = torch.randn(7, 3000)
    whole = module(waveform)
    monkeypatch.setattr(dsp, "SLICE_SAMPLES", 9000)
    torch.testing.assert_close(module(waveform), whole)


def test_band_power_has_the_gradient_of_its_definition():
    bank = dsp.mel_bank(40, 512, RATE, 0, 8000)
    waveform = torch.randn(2, 2000, requires_grad=True)
    dsp.BandPower(torch.hann_window(400), 512, 160, bank)(waveform).add_(1e-3).log_().sum().backward()
    plain = waveform.detach().clone().requires_grad_()
    spectrum = torch.stft(plain, 512, 160, 400, torch.hann_window(400), pad_mode="constant", return_complex=True)
    (bank @ spectrum.abs() ** 2 + 1e-3).log().sum().backward()
    torch.testing.assert_close(waveform.grad, plain.grad, rtol=1e-3, atol=1e-4)


def test_impossible_options_are_named():
    with pytest.raises(ValueError, match=r"got 0 to 9000 Hz at 16000 Hz: lower"):
        dsp.mel_bank(40, 512, RATE, 0, 9000)
    with pytest.raises(ValueError, match=r"hold an FFT bin, got \d+ of 256 .* use fewer bands or a larger n_fft"):
        dsp.mel_bank(256, 512, RATE, 0, 8000)
    with pytest.raises(ValueError, match="win_length=600 with n_fft=512: lower win_length"):
        dsp.BandPower(torch.hann_window(600), 512, 160, torch.ones(1, 257))


@pytest.mark.parametrize(
    ("n_fft", "win_length", "hop_length"),
    [(512, 400, 160), (512, 320, 160), (1024, 320, 160), (2048, 2048, 512), (513, 401, 77), (512, 2, 600), (64, 1, 5)],
)
@pytest.mark.parametrize("samples", [0, 1, 3000])
def test_matrix_products_give_the_energies_of_the_fft(n_fft, win_length, hop_length, samples):
    generator = torch.Generator().manual_seed(0)
    window = torch.rand(win_length, generator=generator)  # not symmetric
    bank = torch.rand(7, n_fft // 2 + 1, generator=generator)
    bank[:, 0] = bank[:, -1] = 0
    by_fft = dsp.BandPower(window, n_fft, hop_length, bank)
    waveform = torch.randn(2, n_fft + samples, generator=generator)
    assert torch.equal(by_fft.bank, bank)
    torch.testing.assert_close(dsp.MatrixBandPower(by_fft)(waveform), by_fft(waveform), rtol=1e-4, atol=1e-4)
