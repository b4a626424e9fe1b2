"""What watches a run besides the step itself."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from foundation.config import PretrainRecipe
from foundation.train.callbacks.progress import Progress
from foundation.train.callbacks.reconstructions import Reconstructions
from foundation.train.callbacks.spikes import Spikes
from foundation.train.callbacks.throughput import Throughput
from foundation.train.directory.heartbeat import clear_mark, set_mark


class Heartbeat(Callback):
    """Marks the directory as trained in, see `foundation.train.directory.heartbeat`; a kill leaves the mark, an error does not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            set_mark(self.directory)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if trainer.is_global_zero:
            clear_mark(self.directory)


def callbacks_of(recipe: PretrainRecipe) -> list[Callback]:
    every = recipe.train.log_every
    pictures = [] if recipe.train.picture_every is None else [Reconstructions(recipe, recipe.train.picture_every)]
    # The progress comes after those whose numbers it shows.
    return [Throughput(every), Spikes(every), Heartbeat(recipe.out), Progress(every), *pictures]
