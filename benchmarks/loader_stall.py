"""Loader stall: the share of time that training waits for batches.

The loader of `wfm pretrain` (shuffled shards, augmentation, tokens) feeds steps of the quickstart network; `workers`
are processes besides the training process. Times are wall-clock, so a worker needs a free core.
"""

from __future__ import annotations

import time

import torch

from benchmarks.rows import Rows, device
from benchmarks.steps import recipe_of, simulated, step_of
from foundation.config import CorpusSection
from foundation.data.loader import Loader
from foundation.data.stream import ShardStream
from foundation.nn.patches import cut
from foundation.train.module import PretrainModule
from foundation.train.tasks import Tasks
from foundation.transforms.augment import device_response

STEPS, WARM = 40, 5


def stall(workers: int) -> tuple[float, float]:
    """Seconds waited and seconds altogether of `STEPS` steps but the first `WARM`, in which workers start."""
    recipe = recipe_of("quickstart")
    module = PretrainModule(recipe).to(device())
    strength, samples = recipe.data.augment, recipe.train.batch_size
    stream = ShardStream(
        [CorpusSection(shards=simulated())],
        module.model.config,
        samples,
        recipe.seed,
        STEPS,
        augment=lambda signal, seed: device_response(signal, seed, strength),
        prepare=Tasks(module.objective, module.model.config, recipe.seed, 1, 0, 1),
    )
    batches = iter(Loader(stream, workers, device()))
    waited, begin = 0.0, 0.0
    (batch, task), _ = next(batches)
    step = step_of(module.model, lambda: module.objective.loss(module.model, cut(batch), task)[0], torch.float32)
    for i in range(STEPS):
        if i == WARM:
            waited, begin = 0.0, time.perf_counter()
        if i:
            asked = time.perf_counter()
            (batch, task), _ = next(batches)
            waited += time.perf_counter() - asked
        step()
    return waited, time.perf_counter() - begin


def main() -> None:
    rows = Rows(__file__)
    for workers in (0, 1):
        waited, total = stall(workers)
        rows.add(
            f"quickstart, {workers} workers",
            100 * waited / total,
            "% of the time",
            "the time of the steps",
            waited / total,
        )
    rows.write()


if __name__ == "__main__":
    main()
