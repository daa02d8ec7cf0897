"""Time of a front end in ONNX Runtime on one thread, of three forms of the STFT, against torch: one 4 s clip at 16 kHz.

The forms: the STFT operator, a convolution with windowed cosines and sines, and the folded matrix products that dfx
exports. They take turns; the table holds the shortest time. Run with: python benchmarks/onnx_front_end.py [rounds]
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read by NumPy and torch when they are imported

import logging
import math
import sys
import tempfile
import time
import warnings
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfx.features import LFCC, LogMel
from dfx.features.dsp import BandPower, MatrixBandPower

SAMPLE_RATE = 16000
NUM_SAMPLES = 4 * SAMPLE_RATE


class ConvolutionBandPower(nn.Module):
    """Band energies by a convolution with the windowed cosines and sines of the bins that the bank uses."""

    def __init__(self, of: BandPower) -> None:
        super().__init__()
        used = of.bank.any(dim=0).nonzero()
        start, stop = int(used[0]), int(used[-1]) + 1
        self.size, self.hop_length = len(of.window), of.hop_length
        distance = torch.arange(self.size, dtype=torch.float64) - self.size // 2
        angles = 2 * math.pi / of.n_fft * torch.arange(start, stop)[:, None] * distance
        self.register_buffer("basis", (torch.cat([angles.cos(), angles.sin()]) * of.window).float()[:, None])
        self.register_buffer("bank", of.bank[:, start:stop].repeat(1, 2))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the energies (batch, filters, frames) of waveforms (batch, samples)."""
        left = self.size // 2
        padded = F.pad(waveform, (left, self.size - left))[:, None]
        return self.bank @ F.conv1d(padded, self.basis, stride=self.hop_length).square()


def exported(module: nn.Module, example: Tensor, folder: str) -> onnxruntime.InferenceSession:
    axes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim.AUTO},)
    program = torch.onnx.export(
        module, (example,), dynamo=True, opset_version=18, dynamic_shapes=axes, input_names=["waveform"], verbose=False
    )
    file = Path(folder, f"{type(module).__name__}.onnx")
    program.save(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def measure(of: BandPower, rounds: int) -> None:
    generator = torch.Generator().manual_seed(0)
    example = 0.1 * torch.randn(2, NUM_SAMPLES, generator=generator)
    clip = example[:1].numpy()
    forms = {"STFT operator": of, "convolution": ConvolutionBandPower(of), "matrix products": MatrixBandPower(of)}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(False):
        sessions = {name: exported(module.eval(), example, folder) for name, module in forms.items()}
    expected = of(example[:1])
    times: dict[str, list[float]] = {"torch": [], **{name: [] for name in sessions}}
    for _ in range(rounds):
        began = time.perf_counter()
        of(example[:1])
        times["torch"].append(time.perf_counter() - began)
        for name, session in sessions.items():
            began = time.perf_counter()
            session.run(None, {"waveform": clip})
            times[name].append(time.perf_counter() - began)
    for name, values in times.items():
        energies = expected if name == "torch" else torch.from_numpy(sessions[name].run(None, {"waveform": clip})[0])
        difference = float(((energies + 1e-9).log() - (expected + 1e-9).log()).abs().max())
        ratios = [min(values) / min(times[other]) for other in ("torch", "STFT operator")]
        print(f"{name:<16} {1000 * min(values):8.2f} ms {ratios[0]:10.2f} {ratios[1]:18.2f} {difference:12.1e}")


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for name, feature in (("logmel", LogMel(SAMPLE_RATE)), ("lfcc", LFCC(SAMPLE_RATE))):
        print(f"\n{name:<16}             x torch    x STFT operator   log differs")
        measure(feature.band_power.eval(), rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
