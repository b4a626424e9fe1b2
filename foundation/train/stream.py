"""The shard stream of a recipe: what every rank trains on, and what `wfm plan` measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from foundation.config import PretrainRecipe
from foundation.config.pretraining import DataSection
from foundation.data.stream import ShardStream
from foundation.models import WfmConfig
from foundation.signal import Signal
from foundation.transforms.augment import device_response, random_subset


def stream_of(recipe: PretrainRecipe, spec: WfmConfig, batch_size: int, **place: Any) -> ShardStream:
    """The stream of a recipe for one rank; `place` are the other arguments of `ShardStream`.

    Raises:
        ShardError: as `ShardStream`.
    """
    steps = recipe.train.steps * recipe.train.accumulate
    options: dict[str, Any] = {"batch_tokens": recipe.train.batch_tokens, "temperature": recipe.data.temperature}
    options |= {"augment": augmentation(recipe.data), **place}
    return ShardStream(recipe.data.sources, spec, batch_size, recipe.seed, steps, **options)


def augmentation(data: DataSection) -> Callable[[Signal, int], Signal] | None:
    """What a recipe does to a signal before it is cut into tokens, given a seed; None: nothing."""
    if not (data.augment or data.random_subset):
        return None
    return partial(_changed, data)


def _changed(data: DataSection, signal: Signal, seed: int) -> Signal:
    return device_response(random_subset(signal, seed, data.random_subset), seed, data.augment)
