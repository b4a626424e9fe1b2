"""`pretrain(recipe)`: pretrain from a recipe into a run directory, or resume a stopped run.

A run directory holds `recipe.yaml` (resolved), the provenance of the training data (`pretraining.json`,
`content_hashes.safetensors`), `checkpoints/` and `logs/`. It belongs to one recipe: another recipe is refused, the same
recipe resumes, a finished run is left unchanged.
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
from foundation.checkpoints.layout import FINAL, FOLDER
from foundation.checkpoints.provenance import PENDING, PROVENANCE
from foundation.checkpoints.training import weights_only
from foundation.config import PretrainRecipe
from foundation.errors import CheckpointError, StoppedError, TrainingError
from foundation.files import exclusive
from foundation.machine import set_threads
from foundation.models import WfmForMaskedModeling
from foundation.models.config import architecture
from foundation.train.callbacks.checkpointing import Checkpointing
from foundation.train.callbacks.defaults import callbacks_of
from foundation.train.callbacks.stop import Stop
from foundation.train.callbacks.stop_signals import is_requeued, release
from foundation.train.datamodule import Shards
from foundation.train.directory.heartbeat import clear_heartbeat
from foundation.train.directory.ownership import take_ownership
from foundation.train.directory.provenance import finish_record, write_record
from foundation.train.loggers import loggers_of
from foundation.train.module import PretrainModule
from foundation.train.partition import PartitionedModule
from foundation.train.resume import TOLD, rank, resumed
from foundation.train.strategy import AtomicDeepSpeedStrategy, trainer_options


@dataclass(frozen=True)
class Run:
    """Result of `pretrain`.

    Attributes:
        checkpoint: the last checkpoint.
        is_writer: whether this process is the one that writes files (rank 0).
    """

    directory: Path
    checkpoint: Path
    is_writer: bool


def pretrain(recipe: PretrainRecipe) -> Run:
    """Train to `recipe.train.steps`, from the last intact checkpoint of the run directory if there is one.

    Raises:
        RecipeError: the run directory belongs to another recipe, or the recipe asks for what this machine lacks.
        ShardError: the shards are missing or too few.
        CheckpointError: the last checkpoint is damaged, or another recipe's.
        TrainingError: the loss is not finite, or a process waited too long for another.
        WfmError: another process trains in the run directory.
        StoppedError: a signal or a scheduler stopped the run before its last step; its checkpoint is saved.
    """
    waits = 60.0 if is_requeued() else 0.0  # a requeued job may start before all of its predecessor is gone
    with exclusive(recipe.out, waits) if rank() == 0 else nullcontext():
        try:
            return _pretrain(recipe)
        finally:
            os.environ.pop(TOLD, None)
            release()


def _pretrain(recipe: PretrainRecipe) -> Run:
    asked, recipe = recipe.train, take_ownership(recipe)
    directory = recipe.out
    final = directory / FOLDER / FINAL
    if final.exists():
        if rank() == 0 and (not (directory / PROVENANCE).is_file() or (directory / PENDING).is_file()):
            finish_record(recipe, write_record(recipe, begun=True))  # an earlier version, or a stop, left it without
        print(f"{directory}: already trained to step {recipe.train.steps}; nothing to do.")
        return Run(directory, final, is_writer=rank() == 0)
    threads = set_threads(recipe.train.threads, recipe.train.devices)
    if rank() == 0:
        print(f"{directory}: {threads}.", flush=True)
        if recipe.train.accumulate != asked.accumulate:
            print(
                f"{directory}: train.accumulate is {recipe.train.accumulate} in place of {asked.accumulate}, so that "
                f"{asked.processes} process(es) make steps of as many samples as the run began with.",
                flush=True,
            )
    checkpointing = Checkpointing(recipe)
    stop = Stop(checkpointing)
    _quieten()
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    module = (PartitionedModule if recipe.train.strategy == "fsdp" else PretrainModule)(recipe)
    trainer = L.Trainer(
        **trainer_options(recipe, checkpointing.files),
        max_steps=recipe.train.steps,
        accumulate_grad_batches=recipe.train.accumulate,
        gradient_clip_val=recipe.train.clip_norm,
        logger=loggers_of(recipe),
        callbacks=[*callbacks_of(recipe), checkpointing, stop],
        log_every_n_steps=recipe.train.log_every,
        use_distributed_sampler=False,  # the stream deals shards to ranks itself
        enable_checkpointing=False,  # `checkpointing` does
        enable_model_summary=False,
        enable_progress_bar=False,  # `Progress` knows the whole run, Lightning's an epoch
        num_sanity_val_steps=0,
    )
    trainer.strategy.connect(module)
    last = resumed(recipe, trainer.strategy)
    if isinstance(trainer.strategy, AtomicDeepSpeedStrategy):
        trainer.strategy.will_load(last, recipe.train.processes)
    hashing = write_record(recipe, begun=last is not None) if rank() == 0 else None
    if recipe.init and last is None:
        continue_from(module, recipe.init)
    try:
        with weights_only() if recipe.train.zero_stage is not None else nullcontext():
            trainer.fit(module, datamodule=Shards(recipe), ckpt_path=last, weights_only=True)
    except RuntimeError as error:
        if "Timed out waiting" not in str(error):  # what gloo says
            raise
        raise TrainingError(
            f"{directory}: {' '.join(str(error).split())[:200]}: another process of the run has stopped or stands "
            "still; its log says why. Run the same command again to continue; train.timeout_s is how long they wait."
        ) from error
    if not stop.signal:
        trainer.save_checkpoint(final)
        checkpointing.files.finish()
    if trainer.is_global_zero:
        clear_heartbeat(directory)
    if stop.signal:
        raise StoppedError(
            f"{directory}: stopped at step {trainer.global_step} of {recipe.train.steps}, its checkpoint is saved; "
            "run the same command again to continue.",
            stop.signal,
            is_requeued(),
        )
    finish_record(recipe, hashing)
    return Run(directory, final, trainer.is_global_zero)


def _quieten() -> None:
    """Silence library messages that the user cannot act on: advertisements and internal deprecations."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")  # nothing changes it in place


def continue_from(module: PretrainModule, source: str) -> None:
    """Initialise from the weights of an exported model (continued pretraining).

    Raises:
        CheckpointError: there is no such model, or its configuration differs from the recipe's `model`.
    """
    before = load_exported(source, WfmForMaskedModeling)
    there, here = (architecture(model.config) for model in (before, module.model))
    if changed := [f"{key}: {there[key]} there, {here[key]} here" for key in here if there[key] != here[key]]:
        raise CheckpointError(
            f"init: {source} cannot be continued by this recipe ({'; '.join(changed[:3])}); set `model` to its values."
        )
    module.model.load_state_dict(before.state_dict())
