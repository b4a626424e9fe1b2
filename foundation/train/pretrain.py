"""`pretrain(recipe)`: from a recipe to a trained run directory, or on from where a stopped one stands.

A run directory holds `recipe.yaml` (resolved), what training sees (`pretraining.json`, and `content_hashes.safetensors` by
hashes), `checkpoints/` and `logs/`. It belongs to one recipe: another recipe in the same directory is an error, the
same recipe resumes, a finished run is left alone.
"""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import lightning as L

from foundation.checkpoints.exported import load_exported
from foundation.checkpoints.integrity import newest
from foundation.checkpoints.layout import FINAL, FOLDER
from foundation.checkpoints.provenance import PROVENANCE
from foundation.checkpoints.training import weights_only
from foundation.config import PretrainRecipe
from foundation.errors import CheckpointError
from foundation.models import WfmForMaskedModeling
from foundation.models.config import what_counts
from foundation.train.callbacks.checkpointing import Checkpointing
from foundation.train.callbacks.defaults import callbacks_of
from foundation.train.callbacks.requeue import Requeue
from foundation.train.datamodule import Shards
from foundation.train.directory.heartbeat import clear_mark
from foundation.train.directory.ownership import refuse_foreign, take_ownership
from foundation.train.directory.provenance import write_record
from foundation.train.loggers import loggers_of
from foundation.train.module import PretrainModule
from foundation.train.strategy import machines_of


@dataclass(frozen=True)
class Run:
    """A run: its directory, its last checkpoint, whether this process is the one that writes files, and whether it has
    taken all its steps. It has not where a scheduler stopped it; the next call goes on."""

    directory: Path
    checkpoint: Path
    is_writer: bool
    finished: bool = True


def pretrain(recipe: PretrainRecipe) -> Run:
    """Train to `recipe.train.steps`, resuming from the run directory's last checkpoint where there is one.

    Raises:
        RecipeError: the run directory belongs to another recipe, or the recipe asks for what this machine lacks.
        ShardError: the shards are missing or too few.
        CheckpointError: the last checkpoint is damaged, or another recipe's.
        TrainingError: the loss is not finite.
    """
    take_ownership(recipe)
    directory = recipe.out
    final = directory / FOLDER / FINAL
    if final.exists():
        if _rank() == 0 and not (directory / PROVENANCE).is_file():  # it was trained by an earlier version
            write_record(recipe, begun=True)
        print(f"{directory}: already trained to step {recipe.train.steps}; nothing to do.")
        return Run(directory, final, is_writer=_rank() == 0)
    last = _resumed(recipe)
    if _rank() == 0:
        write_record(recipe, begun=last is not None)
    checkpointing = Checkpointing(recipe)
    requeue = Requeue(checkpointing)
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    module = PretrainModule(recipe)
    if recipe.init and last is None:
        continue_from(module, recipe.init)
    _quieten()
    trainer = L.Trainer(
        **machines_of(recipe, last),
        max_steps=recipe.train.steps,
        accumulate_grad_batches=recipe.train.accumulate,
        gradient_clip_val=recipe.train.clip_norm,
        logger=loggers_of(recipe),
        callbacks=[*callbacks_of(recipe), checkpointing, requeue],
        log_every_n_steps=recipe.train.log_every,
        use_distributed_sampler=False,  # the stream deals shards to ranks itself
        enable_checkpointing=False,  # `checkpointing` does
        enable_model_summary=False,
        enable_progress_bar=False,  # `Progress` knows the whole run, Lightning's an epoch
        num_sanity_val_steps=0,
    )
    with weights_only() if recipe.train.zero_stage is not None else nullcontext():
        trainer.fit(module, datamodule=Shards(recipe), ckpt_path=last, weights_only=True)
    if not requeue.stopped:
        trainer.save_checkpoint(final)
    if trainer.is_global_zero:
        clear_mark(directory)
    checkpoint = checkpointing.folder / f"step={trainer.global_step}.ckpt" if requeue.stopped else final
    return Run(directory, checkpoint, trainer.is_global_zero, finished=not requeue.stopped)


def _resumed(recipe: PretrainRecipe) -> Path | None:
    """The checkpoint to go on from; None before the first.

    Raises:
        CheckpointError: there are some and none is whole, or it was written with another recipe.
    """
    folder = recipe.out / FOLDER
    last, problems = newest(folder)
    if last is None and problems:
        raise CheckpointError(f"{problems[0]}; no older one is whole. Move {folder} away to begin anew.")
    if last is None:
        return None
    if _rank() == 0:
        for problem in problems:
            print(f"{problem}; going on from {last.name}.", flush=True)
    if last.is_file():  # a ZeRO directory is read part by part, by the rank it belongs to
        refuse_foreign(last, recipe)
    return last


def _rank() -> int:
    """Of this process, before there is a trainer: from torchrun, Lightning's launcher or srun."""
    return next((int(os.environ[name]) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if name in os.environ), 0)


def _quieten() -> None:
    """Checkpointing the terminal for what the user can act on: not for advice to buy, nor for a library's own deprecations."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")


def continue_from(module: PretrainModule, source: str) -> None:
    """Start from the weights of an exported model instead of random ones (continued pretraining on another domain).

    Raises:
        CheckpointError: there is none, or its configuration is not the recipe's `model`.
    """
    before = load_exported(source, WfmForMaskedModeling)
    there, here = (what_counts(model.config) for model in (before, module.model))
    if changed := [f"{key}: {there[key]} there, {here[key]} here" for key in here if there[key] != here[key]]:
        raise CheckpointError(
            f"init: {source} cannot be continued by this recipe ({'; '.join(changed[:3])}); give `model` its numbers."
        )
    module.model.load_state_dict(before.state_dict())
