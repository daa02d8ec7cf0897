"""Precomputed features from a table, given to models unchanged."""

from torch import Tensor

from dfx.features.base import Feature


class Table(Feature):
    """Columns of a table as the bins of a map of one frame (batch, 1, columns, 1).

    For datasets that hold features instead of audio, such as `deep_voice_table`; a row of the
    table takes the place of the waveform.
    """

    def extract(self, waveform: Tensor) -> Tensor:
        """Turn rows (batch, columns) into maps (batch, 1, columns, 1)."""
        return waveform[:, None, :, None]
