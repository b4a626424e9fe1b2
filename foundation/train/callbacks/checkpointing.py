"""Checkpoint callback: interval, atomic writes and retention."""

from __future__ import annotations

import shutil
from pathlib import Path

import lightning as L

from foundation.checkpoints.layout import FOLDER, PARTIAL, numbered, step_of
from foundation.config import PretrainRecipe
from foundation.train.callbacks.base import Stepwise
from foundation.train.module import PretrainModule


class Checkpointing(Stepwise):
    """Writes `checkpoints/step=N.ckpt` every `train.checkpoint_every` steps.

    Retention (`train.keep_last`, `train.keep_every`) is applied after a successful write, never before: on a full disk
    the new checkpoint fails and the old ones stay.
    """

    def __init__(self, recipe: PretrainRecipe) -> None:
        self.train = recipe.train
        self.folder = recipe.out / FOLDER
        self.saved: int | None = None  # step

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.saved = trainer.global_step
        if trainer.is_global_zero:  # partial files of a killed process
            for path in self.folder.glob(f"*.ckpt{PARTIAL}"):
                _remove(path)

    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        if trainer.global_step % self.train.checkpoint_every == 0:
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Save the current step, unless it is saved already. Collective: every rank must call it."""
        step = trainer.global_step
        if step == self.saved:
            return
        trainer.save_checkpoint(self.folder / f"step={step}.ckpt")
        self.saved = step
        if trainer.is_global_zero:
            for old in numbered(self.folder)[self.train.keep_last :]:
                if self.train.keep_every is None or (step_of(old) or 0) % self.train.keep_every:
                    _remove(old)


def _remove(path: Path) -> None:
    """Rename to a partial name, then delete: a half-deleted directory is never mistaken for a checkpoint."""
    partial = path if path.name.endswith(PARTIAL) else path.rename(path.with_name(path.name + PARTIAL))
    shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
