"""Precomputed features of a table, passed to the model unchanged."""

from torch import Tensor

from dfx.features.base import Feature


class Table(Feature):
    """Feature for precomputed tables: each column is a bin of a one-frame map (batch, 1, columns, 1).

    For datasets that hold features instead of audio, such as `deep_voice_table`; a row of the
    table takes the place of the waveform.
    """

    def extract(self, waveform: Tensor) -> Tensor:
        """Reshape table rows (batch, columns) to maps (batch, 1, columns, 1)."""
        return waveform[:, None, :, None]
