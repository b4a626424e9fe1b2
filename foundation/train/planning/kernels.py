"""What a training step asks of a GPU: calls that launch a kernel, and bytes that they move, counted on the meta device.

Views and allocations launch nothing. In bf16 as the network runs on a GPU, without a compiler and without the casts of
autocast; clipping and the fused optimizer are a dozen calls more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from foundation.config import PretrainRecipe
from foundation.data.tokens import collated
from foundation.models.structure import to_device
from foundation.nn.patches import cut
from foundation.signal import Signal
from foundation.train.module import PretrainModule
from foundation.train.tasks import Tasks

#: Operations that only describe memory anew, or take it.
FREE = frozenset(
    (
        *("view", "reshape", "transpose", "permute", "expand", "slice", "select", "squeeze", "unsqueeze", "detach"),
        *("alias", "split", "unbind", "as_strided", "empty", "unfold", "diagonal", "lift_fresh", "_unsafe_view", "t"),
        *("split_with_sizes", "new_empty", "empty_like", "empty_strided", "resize_", "set_", "unflatten"),
        *("_reshape_alias", "view_as_real"),
    )
)
#: Matrix products, limited by FLOPs; so is attention, which has it in its name.
PRODUCTS = frozenset(("mm", "addmm", "bmm", "baddbmm"))
#: Operations that read of their first tensor only what they write.
PICKS = frozenset(("index", "gather", "index_select", "embedding"))
DRAWS = 2  # tasks of a batch: masks hide more and less


class Count(TorchDispatchMode):
    """Counts calls by the name of the operation, and the bytes that all but the products read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.__name__.split(".")[0]
        if name not in FREE:
            self.calls[name] += 1
            if name not in PRODUCTS and "attention" not in name and "attn" not in name:
                read = sum(map(_size, tree_leaves((args, kwargs))))
                written = sum(map(_size, tree_leaves(out)))
                self.bytes += 2 * written if name in PICKS else read + written
        return out


def _size(value: Any) -> int:
    if not isinstance(value, torch.Tensor):
        return 0
    return min(value.nbytes, value.untyped_storage().nbytes())  # an expanded one is read once


@dataclass(frozen=True)
class Work:
    """Of one batch: calls by name in both passes, and bytes that calls other than products move."""

    forward: Counter[str]
    backward: Counter[str]
    bytes: float

    @property
    def calls(self) -> int:
        return sum(self.forward.values()) + sum(self.backward.values())


def work_of(recipe: PretrainRecipe, signals: Sequence[Signal]) -> Work:
    """Counted for these samples; bytes are the mean over `DRAWS` tasks, calls those of the task with the most."""
    eager = recipe.train.model_copy(update={"compile": False})
    with torch.device("meta"):
        module = PretrainModule(recipe.model_copy(update={"train": eager}))
    if recipe.train.precision.startswith("bf16"):
        module.bfloat16()
    config = module.model.config
    tasks = Tasks(module.objective, config, recipe.seed, 1, 0, 1)
    batch = collated(signals, config)
    found = []
    for number in range(DRAWS):
        drawn, task = to_device(tasks(batch, number), "meta")
        with Count() as forward:
            loss, _ = module.objective.loss(module.model, cut(drawn), task)
        with Count() as backward:
            loss.backward()
        module.zero_grad()
        found.append(Work(forward.calls, backward.calls, float(forward.bytes + backward.bytes)))
    most = max(found, key=lambda work: work.calls)
    return Work(most.forward, most.backward, sum(work.bytes for work in found) / DRAWS)
