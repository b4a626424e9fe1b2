"""Calls that would launch a kernel in one training step, counted on the meta device; views and allocations launch none.

A batch of every kind of signal and of several lengths, in bf16 as on a GPU, without a compiler. Clipping and the fused
optimizer are a dozen more. `tests/test_meta.py` shows that no call waits for the host.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.rows import Rows
from benchmarks.steps import recipe_of
from foundation.data.tokens import tokenize
from foundation.datasets import open_dataset
from foundation.models.structure import to_device
from foundation.train.module import PretrainModule
from foundation.train.tasks import Tasks

SAMPLES = 64
#: Operations that only describe memory anew, or take it.
FREE = (
    *("view", "reshape", "transpose", "permute", "expand", "slice", "select", "squeeze", "unsqueeze", "detach"),
    *("alias", "split", "unbind", "as_strided", "empty", "unfold", "diagonal", "lift_fresh", "_unsafe_view", "t"),
    *(
        "split_with_sizes",
        "new_empty",
        "empty_like",
        "empty_strided",
        "resize_",
        "set_",
        "unflatten",
        "_reshape_alias",
        "view_as_real",
    ),
)


class Count(TorchDispatchMode):
    """Counts calls by the name of the operation."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        if name not in FREE:
            self.calls[name] += 1
        return func(*args, **(kwargs or {}))


def count(size: str) -> dict[str, Counter[str]]:
    """Calls of the forward pass with the loss, and of the backward pass."""
    recipe = recipe_of(size)
    with torch.device("meta"):
        module = PretrainModule(recipe)
    config = module.model.config
    corpus = open_dataset("simulated-corpus", count=600, seed=0).samples()
    signals = [signal for _, signal in islice(corpus, SAMPLES)]
    tasks = Tasks(module.objective, config, recipe.seed, 1, 0, 1)
    batch, task = to_device(tasks(tokenize(signals, config), 0), "meta")
    module.bfloat16()
    with Count() as forward:
        loss, _ = module.objective.loss(module.model, batch, task)
    with Count() as backward:
        loss.backward()
    return {"forward": forward.calls, "backward": backward.calls}


def main() -> None:
    rows = Rows(__file__)
    for size in ("quickstart", "base"):
        found = count(size)
        total = sum(sum(calls.values()) for calls in found.values())
        for part, calls in found.items():
            rows.add(f"{size}, {part}", sum(calls.values()), "calls", "the step", sum(calls.values()) / total)
        rows.add(f"{size}, step", total, "calls", "1,400", total / 1400)
    rows.write()


if __name__ == "__main__":
    main()
