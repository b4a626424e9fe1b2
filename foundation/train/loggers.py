"""Where the numbers of a run go."""

from __future__ import annotations

import os

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from foundation.errors import MissingExtraError
from foundation.recipe import PretrainRecipe


def loggers_of(recipe: PretrainRecipe) -> list[Logger]:
    """CSV always (the report reads it), and the chosen tracker beside it."""
    loggers: list[Logger] = [CSVLogger(recipe.out, name="logs", flush_logs_every_n_steps=recipe.train.log_every)]
    if recipe.logger == "wandb":
        offline = not os.environ.get("WANDB_API_KEY")
        loggers.append(
            WandbLogger(
                name=recipe.name,
                project="foundation",
                save_dir=recipe.out,
                offline=offline,
                config=recipe.model_dump(mode="json"),
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
