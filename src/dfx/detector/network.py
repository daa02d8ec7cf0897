"""Network of a detector: feature, model and loss, from waveform to score.

With cached feature maps (`feature.cache=true`), batches hold crops of these maps instead of waveforms, and only mask,
model and loss are run. `forward` still takes waveforms: it computes the map of the waveform that it gets, which
for a part of an utterance is not exactly the same part of the cached map.
"""

from __future__ import annotations

from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from dfx.detector.dataset import Batch
from dfx.features.base import Feature
from dfx.losses.base import Loss
from dfx.models.pretrained import PretrainedModel

CONFIG_KEY = "dfx_config"  # in a checkpoint: the configuration that rebuilds the detector
# Keys of the configuration that a checkpoint holds: they rebuild the network and say how clips are prepared.
CHECKPOINT_KEYS = ("feature", "model", "loss", "conditioning", "data", "seed", "sample_rate", "segment_seconds")


class DetectorNetwork(nn.Module):
    """Deepfake detector (countermeasure) that scores waveforms; a higher score means more bona fide.

    Args:
        feature: waveform (batch, samples) -> map (batch, channels, bins, frames).
        model: map -> embedding (batch, embedding_dim).
        loss: embedding -> loss and score; it owns the last layer.

    Attributes:
        checkpoint_config: the configuration that its checkpoints carry.
    """

    def __init__(self, feature: Feature, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.feature = feature
        self.model = model
        self.loss = loss
        self.checkpoint_config: dict[str, Any] = {}

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the scores (batch,) of waveforms (batch, samples), in float32."""
        return self.score_batch({"waveform": waveform})

    def score_batch(self, batch: Batch) -> Tensor:
        """Return the scores (batch,) of a batch of waveforms or cached feature maps, in float32."""
        return self.score_and_embed(batch)[0]

    def score_and_embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return scores (batch,) in float32 and embeddings (batch, embedding_dim) of waveforms or cached maps."""
        embedding = self.embedding(batch)
        return self.loss.score(embedding).float(), embedding

    def embedding(self, batch: Batch) -> Tensor:
        """Return the embeddings (batch, embedding_dim) of a batch of waveforms or cached feature maps."""
        if "feature" in batch:
            feature = self.feature.masked(batch["feature"].float())
        else:
            feature = self.feature(batch["waveform"])
        embedding: Tensor = self.model(feature)
        return embedding


def num_segment_samples(cfg: DictConfig) -> int:
    """Return the length of a segment in samples."""
    samples: int = round(cfg.segment_seconds * cfg.sample_rate)
    return samples


def build_network(cfg: DictConfig) -> DetectorNetwork:
    """Build feature, model and loss from a configuration.

    Raises:
        ValueError: if the model cannot take the feature's map.
    """
    # Initial weights depend on the run's seed only, not on earlier random draws.
    torch.manual_seed(cfg.seed)
    feature: Feature = instantiate(cfg.feature, _convert_="all")
    shape = feature.output_shape(num_segment_samples(cfg))
    model = instantiate(cfg.model, _convert_="all")(input_shape=shape)
    loss: Loss = instantiate(cfg.loss, _convert_="all")(embedding_dim=model.embedding_dim)
    if isinstance(model, PretrainedModel) and model.pretrained_output is not None:
        loss.load_output(*model.pretrained_output)
    return DetectorNetwork(feature, model, loss)
