"""How fast one worker of the loader makes batches, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from foundation.config import PretrainRecipe
from foundation.data.tokens import collated
from foundation.errors import ShardError
from foundation.models import WfmConfig
from foundation.objectives import MaskedObjective
from foundation.signal import Link, Signal, decode, encode
from foundation.train.stream import augmentation, stream_of
from foundation.train.tasks import Tasks

SECONDS, SAMPLES = 2.0, 1024  # of a measurement; whichever is reached first ends it
BATCH = 32  # samples of a batch that is measured


@dataclass(frozen=True)
class Decoding:
    """Samples per CPU second that one worker makes batches and tasks of, and what it was measured on."""

    samples_per_s: float
    source: str


def measure(recipe: PretrainRecipe, config: WfmConfig, shape: tuple[int, int, int], count: int) -> Decoding:
    """Measure one worker, on one thread as in the loader.

    Args:
        shape: (times, links, responses) of the samples that are made up where the recipe's are not here.
        count: samples of the recipe on this machine; 0: none.
    """
    tasks = Tasks(MaskedObjective(**recipe.objective.model_dump()), config, recipe.seed, 1, 0, 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if count:
            try:
                stream = stream_of(recipe, config, min(BATCH, count), prepare=tasks)
                return Decoding(_pace(batch for (batch, _), _ in stream), "the recipe's shards")
            except ShardError:  # a manifest alone, say: there is no more than its sizes
                pass
        return Decoding(_pace(_made_up(recipe, config, shape, tasks)), f"noise of {'x'.join(map(str, shape))}")
    finally:
        torch.set_num_threads(threads)


def samples_of(recipe: PretrainRecipe, config: WfmConfig, count: int) -> list[Signal]:
    """The first samples that a run of this recipe would read, as augmented; none where its shards are not here."""
    try:
        stream = stream_of(recipe, config, 1)
        return [stream.signal(position) for position in range(min(count, stream.total))]
    except ShardError:
        return []


def noise(shape: tuple[int, int, int], seed: int = 0) -> Signal:
    """A CSI signal of this shape (times, links, responses), of which only the sizes mean anything."""
    times, links, responses = shape
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return Signal(
        values=values.astype(np.complex64),
        time_s=np.arange(times) / 100.0,
        links=tuple(Link(0, rx) for rx in range(links)),
        kind="csi",
        carrier_hz=5.18e9,
        bandwidth_hz=20e6,
        frequency_hz=(np.arange(responses) - responses // 2).astype(np.float64) * 312_500.0,
    )


def _made_up(recipe: PretrainRecipe, config: WfmConfig, shape: tuple[int, int, int], tasks: Tasks) -> Iterator[Any]:
    stored, change = encode(noise(shape)), augmentation(recipe.data)
    number = 0
    while True:
        signals = [decode(stored, clean=False) for _ in range(BATCH)]
        if change is not None:
            signals = [change(signal, seed) for seed, signal in enumerate(signals)]
        yield tasks(collated(signals, config), number)[0]
        number += 1


def _pace(batches: Iterator[Any]) -> float:
    """Samples per second of the processor, after a first batch, which opens files and fills caches; on a busy machine
    the clock would tell of the others."""
    next(batches)
    began, worked, done = time.perf_counter(), time.process_time(), 0
    for batch in batches:
        done += len(batch["kind"])
        if done >= SAMPLES or time.perf_counter() - began > SECONDS:
            break
    return done / max(time.process_time() - worked, 1e-9)
