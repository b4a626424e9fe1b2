"""`pretrain(recipe)`: from a recipe to a trained run directory, or on from where a stopped one stands.

A run directory holds `recipe.yaml` (resolved), `checkpoints/`, `logs/`. It belongs to one recipe: another recipe in the
same directory is an error, the same recipe resumes, a finished run is left alone.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import lightning as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from pydantic import ValidationError
from torch.utils.data import DataLoader

from foundation.data.augment import device_response
from foundation.data.stream import Part, ShardStream
from foundation.errors import CheckpointError, MissingExtraError, RecipeError
from foundation.files import write_atomically
from foundation.models import WfmForMaskedModeling
from foundation.recipe import PretrainRecipe, dump_recipe
from foundation.signal import Signal
from foundation.train.alive import clear_mark, set_mark
from foundation.train.checkpoint import load_checkpoint, weights_only
from foundation.train.deepspeed_cpu import deepspeed_strategy
from foundation.train.module import PretrainModule
from foundation.train.requeue import Requeue, slurm_environment
from foundation.train.throughput import Throughput

FINAL = "final.ckpt"
LAST = "last.ckpt"
PATIENCE = "train.timeout_s"  # no part of what is trained: a run may go on with another one


@dataclass(frozen=True)
class Run:
    """A run: its directory, its last checkpoint, whether this process is the one that writes files, and whether it has
    taken all its steps. It has not where a scheduler stopped it; the next call goes on."""

    directory: Path
    checkpoint: Path
    is_writer: bool
    finished: bool = True


class Shards(L.LightningDataModule):
    """The stream of every rank, and how far it has come: a checkpoint holds the position, and any world can go on."""

    def __init__(self, recipe: PretrainRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.position, self.since = 0, 0  # samples that all ranks had had at the start of this process, and its step

    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        recipe, module = self.recipe, self.trainer.lightning_module
        assert isinstance(module, PretrainModule)
        stream = ShardStream(
            [Part(source.shards, source.split, source.part, source.weight) for source in recipe.data.sources],
            module.model.config,
            recipe.train.batch_size,
            recipe.seed,
            recipe.train.steps,
            position=self.position,
            start=self.since,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
            batch_tokens=recipe.train.batch_tokens,
            temperature=recipe.data.temperature,
            augment=self._augment if recipe.data.augment else None,
        )
        return DataLoader(stream, batch_size=None, num_workers=recipe.data.workers)

    def state_dict(self) -> dict[str, int]:
        assert self.trainer is not None
        module = self.trainer.lightning_module
        assert isinstance(module, PretrainModule)
        position = self.position if module.position is None else module.position
        return {"position": position, "step": self.trainer.global_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position, self.since = state["position"], state["step"]

    def _augment(self, signal: Signal, seed: int) -> Signal:
        return device_response(signal, seed, self.recipe.data.augment)


class Alive(Callback):
    """Marks the directory as trained in, see `foundation.train.alive`; a kill leaves the mark, an error does not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            set_mark(self.directory)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if trainer.is_global_zero:
            clear_mark(self.directory)


def pretrain(recipe: PretrainRecipe) -> Run:
    """Train to `recipe.train.steps`, resuming from the run directory's last checkpoint where there is one.

    Raises:
        RecipeError: the run directory belongs to another recipe, or the recipe asks for what this machine lacks.
        ShardError: the shards are missing or too few.
        CheckpointError: the last checkpoint is damaged, or another recipe's.
        TrainingError: the loss is not finite.
    """
    claim(recipe)
    directory = recipe.out
    final = directory / "checkpoints" / FINAL
    if final.exists():
        print(f"{directory}: already trained to step {recipe.train.steps}; nothing to do.")
        return Run(directory, final, is_writer=_rank() == 0)
    requeue = Requeue()
    last = directory / "checkpoints" / LAST
    if last.is_file():  # a ZeRO directory is read part by part, by the rank it belongs to
        _refuse_foreign(last, recipe)
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    module = PretrainModule(recipe)
    if recipe.init and not last.exists():
        continue_from(module, recipe.init)
    _quieten()
    trainer = L.Trainer(
        accelerator=recipe.train.accelerator,
        devices=recipe.train.devices,
        num_nodes=recipe.train.nodes,
        strategy=_strategy(recipe),
        precision=recipe.train.precision,
        max_steps=recipe.train.steps,
        gradient_clip_val=recipe.train.clip_norm,
        logger=_loggers(recipe),
        callbacks=[*_callbacks(recipe), requeue],
        plugins=slurm_environment(),
        log_every_n_steps=recipe.train.log_every,
        use_distributed_sampler=False,  # the stream deals shards to ranks itself
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    with weights_only() if recipe.train.strategy.startswith("zero-") else nullcontext():
        trainer.fit(module, datamodule=Shards(recipe), ckpt_path=last if last.exists() else None, weights_only=True)
    if not requeue.stopped:
        trainer.save_checkpoint(final)
    if trainer.is_global_zero:
        clear_mark(directory)
    checkpoint = last if requeue.stopped else final
    return Run(directory, checkpoint, trainer.is_global_zero, finished=not requeue.stopped)


def _rank() -> int:
    """Of this process, before there is a trainer: from torchrun, Lightning's launcher or srun."""
    return next((int(os.environ[name]) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if name in os.environ), 0)


def _refuse_foreign(last: Path, recipe: PretrainRecipe) -> None:
    changed = differences(_completed(load_checkpoint(last)[0]), recipe.model_dump(mode="json"))
    if changed:
        raise CheckpointError(
            f"{last} was written with another recipe ({'; '.join(changed[:3])}); put back this run's own, or set out= "
            "to a new directory."
        )


def _quieten() -> None:
    """Keep the terminal for what the user can act on: not for advice to buy, nor for a library's own deprecations."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")


def continue_from(module: PretrainModule, source: str) -> None:
    """Start from the weights of an exported model instead of random ones (continued pretraining on another domain).

    Raises:
        CheckpointError: there is none, or its sizes are not those of the recipe.
    """
    try:
        before = WfmForMaskedModeling.from_pretrained(source)
        module.model.load_state_dict(before.state_dict())
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"init: {source} cannot be continued by this recipe ({reason}).") from error


def claim(recipe: PretrainRecipe) -> None:
    """Write the resolved recipe into the run directory, or check that it is the one that is there.

    A run that died before its first checkpoint has nothing to lose: its recipe may be corrected.
    """
    path = recipe.out / "recipe.yaml"
    text = dump_recipe(recipe)
    if not path.exists() or not any((recipe.out / "checkpoints").glob("*.ckpt")):
        write_atomically(path, text)
        return
    changed = differences(_completed(yaml.safe_load(path.read_text())), recipe.model_dump(mode="json"))
    if changed:
        raise RecipeError(
            f"{recipe.out} was trained with another recipe ({'; '.join(changed[:3])}); "
            "set out= to a new directory, or restore the recipe to resume."
        )


def _completed(old: dict) -> dict:
    """A recipe that an earlier version resolved, with what it did not know yet at today's defaults."""
    try:
        return PretrainRecipe.model_validate(old).model_dump(mode="json")
    except ValidationError:
        return old


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Dotted keys in which two resolved recipes differ, each with both values."""
    found = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b and prefix + key != PATIENCE:
            found.append(f"{prefix}{key}: {a} there, {b} here")
    return found


def _strategy(recipe: PretrainRecipe) -> str | Strategy:
    train, name = recipe.train, recipe.train.strategy
    timeout = timedelta(seconds=train.timeout_s)
    if name.startswith("zero-"):
        on_cpu = train.accelerator == "cpu" or not torch.cuda.is_available()
        return deepspeed_strategy(int(name.removeprefix("zero-")), on_cpu, train.batch_size, timeout)
    if name == "ddp" or train.devices * train.nodes > 1:
        return DDPStrategy(timeout=timeout)
    return name


def _loggers(recipe: PretrainRecipe) -> list[Logger]:
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


def _callbacks(recipe: PretrainRecipe) -> list[Callback]:
    train = recipe.train
    keep = ModelCheckpoint(
        recipe.out / "checkpoints",
        filename="{step}",
        every_n_train_steps=train.checkpoint_every,
        monitor="step",
        mode="max",
        save_top_k=2,
        save_last=True,
    )
    bar = RichProgressBar() if sys.stdout.isatty() else TQDMProgressBar(refresh_rate=train.log_every)
    return [keep, bar, Throughput(train.log_every), Alive(recipe.out)]
