"""Base class of features that are computed chunk by chunk."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from dfx.features import dsp
from dfx.features.base import Feature


class ChunkedFeature(Feature):
    """Base class of features of chunks of a fixed length, whose maps stand side by side in time.

    Samples after the last whole chunk are left out. A stored map (`cache`) holds whole chunks and may be cut
    between them only: that works with `data.train_crop=first` and `data.eval_crop=first` or `chunks`. Other crops would
    join parts of two chunks to something that is the map of no waveform, so `dfx.detector.build` refuses them.

    Args:
        sample_rate: of the waveforms, Hz.
        chunk_seconds: length of a chunk.
        chunk_frames: frames of the map of a chunk.
        mask, cache: see `Feature`.
    """

    def __init__(
        self, sample_rate: int, chunk_seconds: float, chunk_frames: int, mask: nn.Module | None, cache: bool
    ) -> None:
        super().__init__(mask, cache)
        self.chunk_samples = round(chunk_seconds * sample_rate)
        self._chunk_frames = chunk_frames

    @abstractmethod
    def extract_chunks(self, chunks: Tensor) -> Tensor:
        """Convert chunks (batch, chunk_samples) to maps (batch, channels, bins, chunk_frames)."""

    def extract(self, waveform: Tensor) -> Tensor:
        """Convert waveforms (batch, samples) to maps (batch, channels, bins, chunks * chunk_frames)."""
        count = waveform.shape[1] // self.chunk_samples
        if count == 0:
            raise ValueError(
                f"{type(self).__name__} takes chunks of {self.chunk_samples} samples, got {waveform.shape[1]}: use "
                "longer segments, or a smaller chunk_seconds."
            )
        chunks = waveform[:, : count * self.chunk_samples].reshape(-1, self.chunk_samples)
        maps = dsp.in_slices(self.extract_chunks, chunks)
        return maps.reshape(-1, count, *maps.shape[1:]).permute(0, 2, 3, 1, 4).flatten(3)

    @property
    def chunk_frames(self) -> int:
        """Frames of a chunk, which a cut does not divide."""
        return self._chunk_frames

    @property
    def hop_samples(self) -> int:
        """Distance between frames in samples; raises a ValueError if a chunk has no whole number for each frame."""
        if self.chunk_samples % self.chunk_frames:
            raise ValueError(
                f"A chunk of {self.chunk_samples} samples has no whole number of samples for each of its "
                f"{self.chunk_frames} frames, so maps cannot be kept: choose chunk_seconds so that it has, or use "
                "feature.cache=false."
            )
        return self.chunk_samples // self.chunk_frames

    @property
    def min_samples(self) -> int:
        """Length in samples of the shortest waveform that gives a frame: a chunk."""
        return self.chunk_samples
