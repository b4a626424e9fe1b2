"""What is asked of the network at a step: drawn where the batch is made, a function of the seed and the step alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from foundation.models import WfmConfig
from foundation.models.structure import Structure
from foundation.objectives import MaskedObjective
from foundation.objectives.masked import Task


@dataclass(frozen=True)
class Tasks:
    """Adds its structure and its task to every batch of a rank.

    Attributes:
        accumulate: batches of a step on each rank.
        rank, world: of this process, and how many there are.
    """

    objective: MaskedObjective
    spec: WfmConfig
    seed: int
    accumulate: int
    rank: int
    world: int

    def __call__(self, batch: dict[str, Any], number: int) -> tuple[dict[str, Any], Task]:
        """Of batch `number` of this rank in the whole run."""
        step, within = divmod(number, self.accumulate)
        whole = {**batch, "structure": Structure.of(batch)}
        draws = draws_of(self.seed, step, self.rank + self.world * within)
        return whole, self.objective.draw(whole, self.spec, draws)


def draws_of(seed: int, step: int, place: int) -> torch.Generator:
    """Random generator of a batch, a function of seed, step and index of the batch within the step: a resumed run draws
    the same numbers as an uninterrupted one."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 4096 + place)
