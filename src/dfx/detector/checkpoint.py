"""Checkpoints of a run: best weights, last state and history, so that an interrupted run can continue."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from dfx import files
from dfx.detector.datamodule import AudioDataModule
from dfx.detector.detector import Detector
from dfx.tables.score_table import ScoreTable

LAST = "last.ckpt"
EpochRecord = dict[str, float]


class RunCheckpoint(Callback):
    """Lightning callback that saves the best weights and the last state of a run, and stops training early.

    It writes `best-<epoch>.ckpt` and its dev scores when dev improves, and `last.ckpt` after every epoch. Dev improves
    when its EER falls, when it is equal and the AUC rises, or when both are equal and the loss falls: on a small or
    separated dev set the EER moves in steps. `last.ckpt` is written last, so a run that is killed in between repeats
    the epoch and comes to the same state.

    Args:
        folder: where the files go.
        patience: epochs without a better dev EER before the run stops.
        on_epoch: called with the history after each epoch and after a resume, in the first process only.
    """

    def __init__(self, folder: Path, patience: int, on_epoch: Callable[[list[EpochRecord]], None]) -> None:
        self.folder = folder
        self.patience = patience
        self.on_epoch = on_epoch
        self.history: list[EpochRecord] = []
        self.complete = False
        self._started = time.monotonic()

    def fit(self, trainer: Trainer, detector: Detector, data: AudioDataModule) -> None:
        """Train the detector, from the last checkpoint if there is one; `max_epochs=0` only measures dev."""
        if trainer.max_epochs == 0:
            trainer.validate(detector, data, verbose=False)
            if trainer.is_global_zero:
                self.on_epoch(self.history)
        else:
            trainer.fit(detector, data, ckpt_path=self.last, weights_only=True)

    @property
    def last(self) -> Path | None:
        """Path of the checkpoint to resume from; None before the end of the first epoch."""
        path = self.folder / LAST
        return path if path.exists() else None

    @property
    def best(self) -> Path:
        """Path of the checkpoint with the best dev scores."""
        return self.folder / f"best-{self.best_epoch}.ckpt"

    def dev_scores(self) -> ScoreTable:
        """Read the dev scores of the best weights."""
        return ScoreTable.read(self.best.with_suffix(".csv"))

    @property
    def best_epoch(self) -> int:
        """Number of the epoch (from 0) with the best dev scores."""
        ranks = [(record["dev/eer"], -record["dev/auc"], record["dev/loss"]) for record in self.history]
        return ranks.index(min(ranks))

    def state_dict(self) -> dict[str, Any]:
        """Return the history and the completion flag of training, which Lightning stores in the checkpoint."""
        return {"history": self.history, "complete": self.complete}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the history and the completion flag from `state_dict`."""
        self.history = list(state_dict["history"])
        self.complete = bool(state_dict["complete"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After a resume, log the history again, and stop if training had already ended."""
        if self.history and trainer.is_global_zero:
            self.on_epoch(self.history)
        trainer.should_stop = self.complete

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the start time of the epoch."""
        self._started = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch, save improved weights, and stop after `patience` epochs without improvement."""
        if not isinstance(pl_module, Detector) or trainer.sanity_checking:
            return
        seconds = {"train/seconds": time.monotonic() - self._started} if trainer.max_epochs else {}
        self.history.append(pl_module.epoch_metrics | seconds)
        best = self.best_epoch
        stale = len(self.history) - 1 - best
        self.complete = stale >= self.patience or len(self.history) >= (trainer.max_epochs or 0)
        trainer.should_stop = trainer.should_stop or stale >= self.patience
        if best == len(self.history) - 1:
            self._save(trainer, self.best.name, weights_only=True)
            if trainer.is_global_zero:
                with files.atomic_write(self.best.with_suffix(".csv")) as path:
                    pl_module.scores["dev"].write(path)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the checkpoint to resume from."""
        self._save(trainer, LAST, weights_only=False)
        if trainer.is_global_zero:
            files.remove_abandoned_files(self.folder)
            for old in self.folder.glob("best-*"):
                if old.stem != self.best.stem:
                    old.unlink()
            self.on_epoch(self.history)

    def _save(self, trainer: Trainer, name: str, weights_only: bool) -> None:
        path = self.folder / name
        if not trainer.is_global_zero:
            trainer.save_checkpoint(path, weights_only=weights_only)  # a collective call; writes nothing here
            return
        with files.atomic_write(path) as temporary:
            trainer.save_checkpoint(temporary, weights_only=weights_only)
