"""The detector: feature -> model -> loss as one LightningModule, waveform in, score out.

Where maps of the feature are kept (`feature_store`), batches of a run hold crops of these instead of waveforms, and
only mask, model and loss are run. `forward` takes waveforms all the same: it computes the map of what it is given,
which for a part of an utterance is not quite the same part of the kept map (see there).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
import torch.distributed
from pytorch_lightning import LightningModule
from torch import Tensor

from dfx.features.base import Feature
from dfx.losses.base import Loss
from dfx.metrics import accuracy, auc, eer
from dfx.tables.findings import some
from dfx.tables.score_table import ScoreTable

Batch = dict[str, Tensor]
CONFIG_KEY = "dfx_config"  # where a checkpoint holds what rebuilds its detector


class OptimizerFactory(Protocol):
    """Parameters and plan of a run -> what Lightning's `configure_optimizers` returns."""

    def __call__(self, parameters: list[torch.nn.Parameter], total_steps: int, steps_per_epoch: int) -> Any:
        """Build the optimizer and its schedule."""


class Detector(LightningModule):
    """A countermeasure: it gives each waveform a score, higher = more bona fide.

    Args:
        feature: waveform (batch, samples) -> map (batch, channels, bins, frames).
        model: map -> embedding (batch, embedding_dim).
        loss: embedding -> loss and score; it owns the last layer.
        optimizer: builds optimizer and schedule; None for a detector that only scores.
        tables: utterances of each split, in the order of the loaders' indices; needed to train and measure.
    """

    def __init__(
        self,
        feature: Feature,
        model: torch.nn.Module,
        loss: Loss,
        optimizer: OptimizerFactory | None = None,
        tables: dict[str, pd.DataFrame] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.feature = feature
        self.model = model
        self.loss = loss
        self._optimizer = optimizer
        self._tables = tables or {}
        self._seed = seed
        self._collected: list[tuple[Tensor, Tensor]] = []
        self._train_losses: list[Tensor] = []
        self._dev_losses: list[tuple[Tensor, Tensor]] = []
        self.scores: dict[str, ScoreTable] = {}
        self.epoch_metrics: dict[str, float] = {}
        self.checkpoint_config: dict[str, Any] = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A checkpoint carries the configuration that rebuilds the detector; see `build.load_detector`."""
        checkpoint[CONFIG_KEY] = self.checkpoint_config

    def forward(self, waveform: Tensor) -> Tensor:
        """Score (batch,) in float32 of waveforms (batch, samples)."""
        score: Tensor = self.loss.score(self.embedding(waveform))
        return score.float()

    def embedding(self, waveform: Tensor) -> Tensor:
        """Embedding (batch, embedding_dim) of waveforms (batch, samples)."""
        embedding: Tensor = self.model(self.feature(waveform))
        return embedding

    def embed(self, batch: Batch) -> Tensor:
        """Embedding (batch, embedding_dim) of a batch: of its waveforms, or of maps that a `FeatureStore` kept."""
        if "feature" not in batch:
            return self.embedding(batch["waveform"])
        embedding: Tensor = self.model(self.feature.masked(batch["feature"].float()))
        return embedding

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule of the run, over every parameter that may move at some epoch."""
        if self._optimizer is None:
            raise ValueError(
                "This detector was loaded for scoring and has no optimizer: train it with dfx.train."
            )
        # Lightning's own estimate would start the loaders, before a resumed run knows its epoch.
        batches: int = self.trainer.datamodule.num_train_batches  # type: ignore[attr-defined]
        steps_per_epoch = -(-batches // self.trainer.accumulate_grad_batches)
        total_steps = steps_per_epoch * (self.trainer.max_epochs or 1)
        return self._optimizer(list(self.parameters()), total_steps, steps_per_epoch)

    def on_fit_start(self) -> None:
        """Refuse what weights in another precision and several processes would get wrong."""
        if self.trainer.precision not in ("32-true", "16-mixed", "bf16-mixed"):
            raise ValueError(
                "Features and scores are computed in float32, and weights are kept in it, got trainer.precision="
                f"{self.trainer.precision}: use 32-true, or bf16-mixed, which saves the time on a GPU."
            )
        if self.feature.unfreezes_later and self.trainer.world_size > 1:
            raise ValueError(
                "feature.finetune_from_epoch is later than the first epoch, and several processes would not share the "
                "gradients of weights that are unfrozen later: use 0 or null, or one device."
            )

    def on_train_epoch_start(self) -> None:
        """Seed what an epoch draws (dropout, SpecAverage) from (run seed, epoch): a resumed run draws the same."""
        entropy = np.random.SeedSequence([self._seed, self.current_epoch, self.global_rank])
        torch.manual_seed(int(entropy.generate_state(1)[0]))
        self.feature.start_epoch(self.current_epoch)
        self._train_losses.clear()

    def training_step(self, batch: Batch) -> Tensor:
        """Loss () of a batch; a loss that is not finite stops the run and names the utterances."""
        loss: Tensor = self.loss(self.embed(batch), batch["label"])
        if not torch.isfinite(loss):
            ids = self._tables["train"]["id"].iloc[batch["index"].cpu().numpy()].tolist()
            raise ValueError(
                f"The training loss is {loss.item()} at epoch {self.current_epoch}, step {self.global_step}: lower the "
                "learning rate (optimizer.lr) or the clipping (trainer.gradient_clip_val), or look at the "
                f"batch: {some(ids)}."
            )
        self._train_losses.append(loss.detach())
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Collect scores and the loss on dev: of its segments, as in training, also where utterances have several."""
        with self._full_precision():
            embedding = self.embed(batch)
            count = (batch["index"] >= 0).sum()  # none where the batch is padding
            self._dev_losses.append((self.loss(embedding, batch["label"]), count))
            self._collected.append((batch["index"], self.loss.score(embedding).float()))

    def test_step(self, batch: Batch) -> None:
        """Collect scores on eval."""
        with self._full_precision():
            self._collected.append((batch["index"], self.loss.score(self.embed(batch)).float()))

    def on_validation_epoch_end(self) -> None:
        """Metrics of the whole dev split, never a mean over batches or processes."""
        table = self._finish("dev")
        threshold = eer(table.bonafide, table.spoof)
        losses = self._gather([(float(loss), int(count)) for loss, count in self._dev_losses])
        self._dev_losses.clear()
        self.epoch_metrics = {
            "dev/loss": sum(loss * count for loss, count in losses) / sum(count for _, count in losses),
            "dev/eer": threshold[0],
            "dev/auc": auc(table.bonafide, table.spoof),
            "dev/accuracy": accuracy(table.bonafide, table.spoof, threshold[1]),
        }
        if self._train_losses:
            train_losses = self._gather([float(loss) for loss in self._train_losses])
            self.epoch_metrics["train/loss"] = sum(train_losses) / len(train_losses)
            self.epoch_metrics["train/learning_rate"] = float(
                self.trainer.optimizers[0].param_groups[0]["lr"]
            )
        shown = {name: self.epoch_metrics[name] for name in ("dev/eer", "dev/auc")}
        # Every process computed them from all scores, so there is nothing to average.
        self.log_dict(shown, prog_bar=True, sync_dist=False, rank_zero_only=False)

    def on_test_epoch_end(self) -> None:
        """The score table of the eval split."""
        self._finish("eval")

    def _finish(self, split: str) -> ScoreTable:
        """Table of the scores that were collected; an utterance has the mean over its windows, in float64."""
        batches = self._gather([(index.tolist(), score.tolist()) for index, score in self._collected])
        self._collected.clear()
        table = self._tables[split]
        indices = np.array([index for batch, _ in batches for index in batch], np.int64)
        windows = np.array([score for _, batch in batches for score in batch], np.float64)
        indices, windows = indices[indices >= 0], windows[indices >= 0]  # the others are padding
        counts = np.bincount(indices, minlength=len(table))
        if not counts.all():
            raise ValueError(
                f"{np.count_nonzero(counts)} of {len(table)} utterances of {split} were scored: a metric of a part is "
                "not the metric. Leave Lightning's limits alone and use data.limit_utterances."
            )
        scores = np.bincount(indices, weights=windows) / counts
        columns = [column for column in table.columns if column not in ("path", "row", "split")]
        self.scores[split] = ScoreTable(table[columns].assign(score=scores))
        return self.scores[split]

    def _full_precision(self) -> torch.autocast:
        """Scores are float32 also where training is not: the eight bits of bfloat16 tie scores of both classes."""
        return torch.autocast(self.device.type, enabled=False)

    def _gather(self, items: list[Any]) -> list[Any]:
        """Items of the batches of every process, in the order in which one process would have had them."""
        if self.trainer.world_size == 1:
            return items
        parts: list[list[Any]] = [[] for _ in range(self.trainer.world_size)]
        torch.distributed.all_gather_object(parts, items)
        return [item for dealt in zip(*parts, strict=True) for item in dealt]
