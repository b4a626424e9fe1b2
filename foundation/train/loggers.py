"""Loggers of a run: CSV files, and W&B or TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib.image
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from foundation.config import PretrainRecipe
from foundation.errors import MissingExtraError
from foundation.redaction import published


def loggers_of(recipe: PretrainRecipe) -> list[Logger]:
    """The CSV logger, which reports read, and the tracker that the recipe names.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    loggers: list[Logger] = [CSVLogger(recipe.out, name="logs", flush_logs_every_n_steps=recipe.train.log_every)]
    if recipe.logger == "wandb":
        offline = not os.environ.get("WANDB_API_KEY")
        loggers.append(
            WandbLogger(
                name=recipe.name,
                project="foundation",
                save_dir=recipe.out,
                offline=offline,
                config=published(recipe.model_dump(mode="json")),
            )
        )
    if recipe.logger == "tensorboard":
        try:
            loggers.append(TensorBoardLogger(recipe.out, name="tensorboard"))
        except ModuleNotFoundError:
            raise MissingExtraError(
                "logger: tensorboard needs the extra of that name; run pip install 'foundation[tensorboard]'."
            ) from None
    return loggers


def log_picture(loggers: Sequence[Logger], name: str, png: Path, step: int) -> None:
    """Log a PNG file to W&B and TensorBoard, if they are among the loggers."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [str(png)], step)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, matplotlib.image.imread(png)[..., :3], step, dataformats="HWC")
