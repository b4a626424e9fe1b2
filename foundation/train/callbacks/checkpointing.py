"""Checkpoint callback: interval, atomic writes and retention."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import lightning as L
import torch

from foundation.checkpoints.layout import FOLDER, PARTIAL, numbered, step_of
from foundation.config import PretrainRecipe
from foundation.errors import CheckpointError
from foundation.train.background_files import BackgroundFiles
from foundation.train.callbacks.base import Stepwise
from foundation.train.module import PretrainModule


class Checkpointing(Stepwise):
    """Writes `checkpoints/step=N.ckpt` every `train.checkpoint_every` steps, in the background except under ZeRO.

    Retention (`train.keep_last`, `train.keep_every`) is applied after a successful write, never before: on a full disk
    the new checkpoint fails and the old ones stay. A failure is raised at the next step. Whatever ends the training
    waits for the write.

    Attributes:
        files: what writes, for the trainer.
    """

    def __init__(self, recipe: PretrainRecipe) -> None:
        self.train = recipe.train
        self.folder = recipe.out / FOLDER
        self.saved: int | None = None  # step
        self.files = BackgroundFiles(self._prune)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.saved = trainer.global_step
        if trainer.is_global_zero:  # partial files of a killed process
            for path in self.folder.glob(f"*.ckpt{PARTIAL}"):
                _remove(path)

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self.files.hold()

    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        self.files.look()
        if trainer.global_step % self.train.checkpoint_every == 0:
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Save the current step, unless it is saved already. Collective: every rank must call it."""
        step = trainer.global_step
        if step == self.saved:
            return
        trainer.save_checkpoint(self.folder / f"step={step}.ckpt")
        self.saved = step
        if self.train.ema is not None:
            self.files.hold()  # at the end of the training the average is copied into the weights
        if self.train.zero_stage is not None and trainer.is_global_zero:
            self._prune()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.files.finish()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        try:
            self.files.finish()
        except CheckpointError as error:  # what ended the training is told as the reason
            print(error, file=sys.stderr, flush=True)

    def _prune(self) -> None:
        for old in numbered(self.folder)[self.train.keep_last :]:
            if self.train.keep_every is None or (step_of(old) or 0) % self.train.keep_every:
                _remove(old)


def _remove(path: Path) -> None:
    """Rename to a partial name, then delete: a half-deleted directory is never mistaken for a checkpoint."""
    partial = path if path.name.endswith(PARTIAL) else path.rename(path.with_name(path.name + PARTIAL))
    shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
