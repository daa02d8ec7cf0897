"""Detector as a LightningModule: the network with its training step, and the metrics of dev after each epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed
from pytorch_lightning import LightningModule
from torch import Tensor

from dfx.detector.dataset import Batch
from dfx.detector.network import CONFIG_KEY, DetectorNetwork
from dfx.detector.score_collector import ScoreCollector
from dfx.metrics import accuracy, auc, decision_threshold, eer
from dfx.tables.findings import some_items
from dfx.tables.score_table import ScoreTable

NOT_TRIALS = ["path", "row", "split"]  # columns of a split that its score table leaves out


# (parameters, total_steps, steps_per_epoch) -> the value for Lightning's `configure_optimizers`
OptimizerFactory = Callable[[list[torch.nn.Parameter], int, int], Any]


class Detector(DetectorNetwork, LightningModule):
    """Deepfake detector (countermeasure) in training.

    Args:
        network: feature, model and loss.
        optimizer: builds optimizer and schedule.
        tables: utterances of each split, in the order of the loaders' indices.
        seed: of the run.

    Attributes:
        scores: of the splits that were scored last, "dev" and "eval".
        epoch_metrics: losses and dev metrics of the last epoch.
    """

    def __init__(
        self,
        network: DetectorNetwork,
        optimizer: OptimizerFactory,
        tables: dict[str, pd.DataFrame],
        seed: int = 0,
    ) -> None:
        super().__init__(network.feature, network.model, network.loss)
        self._optimizer = optimizer
        self._tables = tables
        self._seed = seed
        self._collectors = {
            split: ScoreCollector(table.drop(columns=NOT_TRIALS, errors="ignore"), split)
            for split, table in self._tables.items()
        }
        self._train_losses: list[Tensor] = []
        self._dev_losses: list[tuple[Tensor, Tensor]] = []
        self.scores: dict[str, ScoreTable] = {}
        self.epoch_metrics: dict[str, float] = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the configuration that rebuilds the detector to the checkpoint."""
        checkpoint[CONFIG_KEY] = self.checkpoint_config

    def configure_optimizers(self) -> Any:
        """Create the optimizer and the learning-rate schedule for all parameters."""
        # Lightning's own estimate would start the loaders, before a resumed run knows its epoch.
        batches: int = self.trainer.datamodule.num_train_batches  # type: ignore[attr-defined]
        steps_per_epoch = -(-batches // self.trainer.accumulate_grad_batches)
        total_steps = steps_per_epoch * (self.trainer.max_epochs or 1)
        return self._optimizer(list(self.parameters()), total_steps, steps_per_epoch)

    def setup(self, stage: str) -> None:
        """Raise a ValueError if the precision or the number of processes would give wrong results."""
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
        """Seed the random numbers of an epoch (dropout, SpecAverage) from the run seed and the epoch."""
        entropy = np.random.SeedSequence([self._seed, self.current_epoch, self.global_rank])
        torch.manual_seed(int(entropy.generate_state(1)[0]))
        self.feature.start_epoch(self.current_epoch)
        self._train_losses.clear()

    def training_step(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, a scalar.

        Raises:
            ValueError: if it is not finite; the utterances are named.
        """
        loss: Tensor = self.loss(self.embedding(batch), batch["label"])
        if not torch.isfinite(loss):
            ids = self._tables["train"]["id"].iloc[batch["index"].cpu().numpy()].tolist()
            raise ValueError(
                f"The training loss is {loss.item()} at epoch {self.current_epoch}, step {self.global_step}: lower the "
                "learning rate (optimizer.lr) or the clipping (trainer.gradient_clip_val), or look at the "
                f"batch: {some_items(ids)}."
            )
        self._train_losses.append(loss.detach())
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Collect the scores and the loss of a dev batch, on segments as in training."""
        with self._full_precision():
            embedding = self.embedding(batch)
            count = (batch["index"] >= 0).sum()  # 0 for a batch of padding
            self._dev_losses.append((self.loss(embedding, batch["label"]), count))
            self._collectors["dev"].add(batch["index"], self.loss.score(embedding).float())

    def test_step(self, batch: Batch) -> None:
        """Collect the scores of an eval batch."""
        with self._full_precision():
            self._collectors["eval"].add(batch["index"], self.score_batch(batch))

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics of the whole dev split; they are never a mean over batches or processes."""
        table = self.scores["dev"] = self._collectors["dev"].finish(self._gather)
        # The EER and its threshold each sort the scores, which is fast where they are sorted.
        bonafide, spoof = np.sort(table.bonafide), np.sort(table.spoof)
        losses = self._gather([(float(loss), int(count)) for loss, count in self._dev_losses])
        self._dev_losses.clear()
        self.epoch_metrics = {
            "dev/loss": sum(loss * count for loss, count in losses) / sum(count for _, count in losses),
            "dev/eer": eer(bonafide, spoof)[0],
            "dev/auc": auc(bonafide, spoof),
            "dev/accuracy": accuracy(bonafide, spoof, decision_threshold(bonafide, spoof)),
        }
        if self._train_losses:
            train_losses = self._gather([float(loss) for loss in self._train_losses])
            self.epoch_metrics["train/loss"] = sum(train_losses) / len(train_losses)
            self.epoch_metrics["train/learning_rate"] = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        shown = {name: self.epoch_metrics[name] for name in ("dev/eer", "dev/auc")}
        # Every process has computed them from all scores, so there is nothing to average.
        self.log_dict(shown, prog_bar=True, sync_dist=False, rank_zero_only=False)

    def on_test_epoch_end(self) -> None:
        """Build the score table of the eval split."""
        self.scores["eval"] = self._collectors["eval"].finish(self._gather)

    def _full_precision(self) -> torch.autocast:
        """Context that computes scores in float32: the 8 bits of bfloat16 would give equal scores."""
        return torch.autocast(self.device.type, enabled=False)

    def _gather(self, items: list[Any]) -> list[Any]:
        """Gather the batch results of all processes, in the order of a single process."""
        if self.trainer.world_size == 1:
            return items
        parts: list[list[Any]] = [[] for _ in range(self.trainer.world_size)]
        torch.distributed.all_gather_object(parts, items)
        return [item for dealt in zip(*parts, strict=True) for item in dealt]
