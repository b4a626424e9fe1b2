"""Training steps for timing: the network, objective and optimizer of a recipe on simulated samples."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.rows import device
from foundation.config import CorpusSection, PretrainRecipe, load_recipe
from foundation.data.shards.write import write_shards
from foundation.data.stream import ShardStream
from foundation.datasets import open_dataset
from foundation.models import WfmConfig
from foundation.models.structure import to_device
from foundation.nn.patches import cut
from foundation.objectives import MaskedObjective
from foundation.train.module import PretrainModule
from foundation.train.tasks import Tasks

ROOT = Path(__file__).parents[1]
#: Name of a size: its recipe, and samples of a step that are timed in seconds on two cores.
SIZES = {
    "quickstart": (ROOT / "recipes" / "quickstart.yaml", 32),
    "base": (ROOT / "recipes" / "pretrain" / "base.yaml", 32),
    "large": (ROOT / "recipes" / "pretrain" / "large.yaml", 8),
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def recipe_of(size: str) -> PretrainRecipe:
    return load_recipe(SIZES[size][0], PretrainRecipe)


@cache
def simulated(count: int = 512) -> Path:
    """Shards of simulated windows, all of 72 tokens, that live as long as this process."""
    folder = tempfile.TemporaryDirectory()
    _kept.append(folder)
    write_shards(open_dataset("simulated", count=count, seed=0), Path(folder.name))
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def batch_of(config: WfmConfig, samples: int) -> dict[str, Tensor]:
    """Simulated windows, cut into tokens."""
    stream = ShardStream([CorpusSection(shards=simulated())], config, samples, 0, 1)
    return cut(next(iter(stream))[0])


def fixed_share(objective: MaskedObjective, share: float) -> MaskedObjective:
    """The objective with one kind of mask, which always hides the same share."""
    return objective.model_copy(update={"ratio": (share, share), "masks": {"random": 1.0}, "generation_share": 0.0})


def our_step(
    module: PretrainModule, batch: dict[str, Tensor], objective: MaskedObjective, dtype: torch.dtype
) -> Callable[[], None]:
    model = module.model
    batch, task = to_device(Tasks(objective, model.config, 0, 1, 0, 1)(batch, 0), device())
    return step_of(model, lambda: objective.loss(model, batch, task)[0], dtype)


def step_of(model: nn.Module, loss: Callable[[], Tensor], dtype: torch.dtype) -> Callable[[], None]:
    """Forward, backward, clipped gradient, fused AdamW: what `wfm pretrain` does between two batches."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=True)
    where = device().type

    def step() -> None:
        with torch.autocast(where, torch.bfloat16, enabled=dtype == torch.bfloat16):
            value = loss()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step
