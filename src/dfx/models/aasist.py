"""AASIST: graph attention over spectral and temporal parts of the waveform's sinc bands."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from dfx.models.aasist_blocks import SpectroTemporalGraph, residual_encoder
from dfx.models.blocks import IncompatiblePairError, check_waveform
from dfx.models.pretrained import PretrainedModel
from dfx.models.sinc import SincBank

FILTERS, TAPS = 70, 129
POOL = 3  # of bins and frames after the bank, and of frames after each block of the encoder
BLOCKS = 6
PUBLISHED_HZ = 16000  # sample rate of the authors' weights
HIDDEN = 32  # width of the joint graph
RENAMES = {  # names in the authors' files -> ours
    r"^first_bn\.": "norm.",
    r"^encoder\.(\d)\.0\.": r"encoder.\1.",
    r"\.conv1\.": ".first.",
    r"\.conv2\.": ".second.",
    r"\.bn2\.": ".norm.",
    r"\.conv_downsample\.": ".shortcut.",
    r"^pos_S$": "graph.position",
    r"^GAT_layer_S\.": "graph.spectral.0.",
    r"^GAT_layer_T\.": "graph.temporal.0.",
    r"^pool_S\.proj\.": "graph.spectral.1.score.",
    r"^pool_T\.proj\.": "graph.temporal.1.score.",
    r"^master1$": "graph.branches.0.master",
    r"^master2$": "graph.branches.1.master",
    r"^HtrgGAT_layer_ST1": "graph.branches.0.ST",
    r"^HtrgGAT_layer_ST2": "graph.branches.1.ST",
    r"\.ST1\.": ".first.",
    r"\.ST2\.": ".second.",
    r"^pool_h([ST])1\.proj\.": r"graph.branches.0.pool_\1.score.",
    r"^pool_h([ST])2\.proj\.": r"graph.branches.1.pool_\1.score.",
    r"\.pool_S\.": ".pool_spectral.",
    r"\.pool_T\.": ".pool_temporal.",
    r"\.proj_type1\.": ".temporal.",
    r"\.proj_type2\.": ".spectral.",
    r"\.att_projM\.": ".master_pair.",
    r"\.att_proj\.": ".pair.",
    r"\.att_weightM$": ".master_weight",
    r"\.att_weight11$": ".temporal_weight",
    r"\.att_weight22$": ".spectral_weight",
    r"\.att_weight12$": ".across_weight",
    r"\.att_weight$": ".pair_weight",
    r"\.proj_with_attM\.": ".master_attended.",
    r"\.proj_without_attM\.": ".master_own.",
    r"\.proj_with_att\.": ".attended.",
    r"\.proj_without_att\.": ".own.",
    r"\.bn\.": ".norm.",
}
UNUSED = r"encoder\.\d\.0\.bn1\..*"  # the reference computes this normalisation and discards its result


class AASIST(PretrainedModel):
    """AASIST on the waveform: sinc bands, residual encoder, and graph attention over spectrum and time.

    70 fixed sinc filters, absolute values pooled 3 × 3, six residual blocks that each divide the frames by 3; the
    maxima of the result over time and over bins are the nodes of two graphs (`SpectroTemporalGraph`). It takes
    waveforms of any length from 2,315 samples on; the authors' segments have 64,600.

    297,354 trainable parameters with the two outputs of `ce`, and 85,034 for AASIST-L. The published 297,866 and 85,306
    contain 512 and 272 of normalisations in the encoder whose result the reference discards; they are left out here.

    Source: Jung et al., "AASIST: audio anti-spoofing using integrated spectro-temporal graph attention networks", 2022.

    Args:
        input_shape: that of `feature=waveform`.
        sample_rate: of the waveforms in Hz.
        channels: of the last four blocks of the encoder.
        width: of the nodes of each graph.
        pool_spectral: share of the spectral nodes that graph pooling keeps.
        pool_temporal: share of the temporal nodes.
        pool_joint: share of each in the joint graph.
        checkpoint: the authors' weights, AASIST.pth or AASIST-L.pth; None: random weights.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        sample_rate: int = 16000,
        channels: int = 64,
        width: int = 64,
        pool_spectral: float = 0.5,
        pool_temporal: float = 0.7,
        pool_joint: float = 0.5,
        checkpoint: str | Path | None = None,
    ) -> None:
        super().__init__()
        if checkpoint is not None and sample_rate != PUBLISHED_HZ:  # their file does not hold the bank
            raise ValueError(
                f"The authors' weights of AASIST are made for sinc filters at {PUBLISHED_HZ} Hz, got sample_rate="
                f"{sample_rate}: use sample_rate={PUBLISHED_HZ}, or train without model.checkpoint."
            )
        samples = check_waveform(input_shape, "AASIST")
        shortest = TAPS - 1 + POOL ** (BLOCKS + 1)
        if samples < shortest:
            raise IncompatiblePairError(
                f"AASIST needs at least {shortest} samples for one frame, got {samples}: use longer segments."
            )
        self.embedding_dim = 5 * HIDDEN
        self.bank = SincBank(FILTERS, TAPS, sample_rate)
        self.norm = nn.BatchNorm2d(1)
        self.encoder = residual_encoder(channels, POOL)
        bins = FILTERS // POOL
        self.graph = SpectroTemporalGraph(channels, width, HIDDEN, bins, pool_spectral, pool_temporal, pool_joint)
        if checkpoint is not None:
            self.load_published(checkpoint, RENAMES, UNUSED, output="out_layer")

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (batch, embedding_dim) of waveforms (batch, 1, 1, samples)."""
        bands = F.max_pool2d(self.bank(x[:, 0]).abs().unsqueeze(1), POOL)
        strength = self.encoder(F.selu(self.norm(bands), inplace=True)).abs()
        embedding: Tensor = self.graph(strength.amax(dim=3).transpose(1, 2), strength.amax(dim=2).transpose(1, 2))
        return embedding
