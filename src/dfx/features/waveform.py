"""Raw waveform as a feature, for models that learn their own front end."""

from torch import Tensor

from dfx.features.base import Feature


class Waveform(Feature):
    """Raw samples as a map of one channel and one bin (batch, 1, 1, samples)."""

    def extract(self, waveform: Tensor) -> Tensor:
        """Reshape waveforms (batch, samples) to maps (batch, 1, 1, samples)."""
        return waveform[:, None, None]
