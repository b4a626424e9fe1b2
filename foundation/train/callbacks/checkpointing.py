"""Which checkpoints a run has: one every so many steps, the newest kept, each there whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import lightning as L

from foundation.checkpoints.layout import FOLDER, PARTIAL, numbered, step_of
from foundation.config import PretrainRecipe
from foundation.train.callbacks.base import Stepwise
from foundation.train.module import PretrainModule


class Checkpointing(Stepwise):
    """Writes `checkpoints/step=N.ckpt` and then, never before, removes those that `train.keep_last` and
    `train.keep_every` let go: a full disk costs the new one, not the old."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        self.train = recipe.train
        self.folder = recipe.out / FOLDER
        self.saved: int | None = None  # step

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.saved = trainer.global_step
        if trainer.is_global_zero:  # what a killed process left half written
            for path in self.folder.glob(f"*.ckpt{PARTIAL}"):
                _remove(path)

    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        if trainer.global_step % self.train.checkpoint_every == 0:
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Checkpoint the step that was last taken; all ranks call it."""
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
    """First by name, so that half a directory is never taken for a checkpoint."""
    gone = path if path.name.endswith(PARTIAL) else path.rename(path.with_name(path.name + PARTIAL))
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
