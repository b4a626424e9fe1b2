"""Where a run goes on: one process looks for the newest intact checkpoint and tells the others."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from lightning.pytorch.strategies import ParallelStrategy, Strategy

from foundation.checkpoints.integrity import newest
from foundation.checkpoints.layout import FOLDER, step_of
from foundation.config import PretrainRecipe
from foundation.errors import CheckpointError
from foundation.train.directory.ownership import refuse_foreign

#: Environment variable by which the process that starts the others tells them; empty: there is no checkpoint.
TOLD = "WFM_RESUMES_FROM"


def rank() -> int:
    """Rank of this process before a trainer exists: from torchrun, Lightning's launcher or srun."""
    return next((int(os.environ[name]) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if name in os.environ), 0)


def resumed(recipe: PretrainRecipe, strategy: Strategy) -> Path | None:
    """The checkpoint to resume from, the same in all processes; None before the first.

    Lightning starts the other processes later, in `fit`: they are told by their environment. Those of torchrun and srun
    are here already, so they are joined now.

    Raises:
        CheckpointError: no checkpoint is intact, or the newest intact one was written with another recipe.
    """
    if not isinstance(strategy, ParallelStrategy) or strategy.cluster_environment is None:
        return _found(recipe)
    if not torch.distributed.is_initialized():
        if rank() and (told := os.environ.pop(TOLD, None)) is not None:
            return Path(told) if told else None
        if not strategy.cluster_environment.creates_processes_externally:
            found = _found(recipe)
            os.environ[TOLD] = str(found or "")
            return found
        strategy.setup_environment()
    found = error = None
    if torch.distributed.get_rank() == 0:
        try:
            found = _found(recipe)
        except CheckpointError as raised:
            error = raised
    found, error = strategy.broadcast((found, error))
    if error is not None:
        raise error
    return found


def _found(recipe: PretrainRecipe) -> Path | None:
    folder = recipe.out / FOLDER
    last, problems = newest(folder)
    if last is None and problems:
        raise CheckpointError(f"{problems[0]}; no older one is intact. Move {folder} away to start over.")
    if last is None:
        return None
    for problem in problems:
        print(f"{problem}; an older one is taken.", flush=True)
    print(f"{recipe.out}: resuming from step {step_of(last)} of {recipe.train.steps}.", flush=True)
    if last.is_file():  # of a ZeRO directory each rank reads its own part
        refuse_foreign(last, recipe)
    return last
