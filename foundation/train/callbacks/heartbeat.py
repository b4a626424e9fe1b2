"""The callback that keeps the heartbeat file of a run."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from foundation.train.directory.heartbeat import clear_heartbeat, set_heartbeat


class HeartbeatCallback(Callback):
    """Writes the heartbeat of the run directory when training starts and removes it on an error.

    A killed process leaves it behind, see `foundation.train.directory.heartbeat`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            set_heartbeat(self.directory)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if trainer.is_global_zero:
            clear_heartbeat(self.directory)
