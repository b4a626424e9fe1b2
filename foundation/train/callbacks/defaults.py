"""The callbacks that every pretraining run has."""

from __future__ import annotations

from lightning.pytorch.callbacks import Callback, EMAWeightAveraging

from foundation.config import PretrainRecipe
from foundation.train.callbacks.heartbeat import HeartbeatCallback
from foundation.train.callbacks.held_out import HeldOutLoss
from foundation.train.callbacks.progress import Progress
from foundation.train.callbacks.reconstructions import Reconstructions
from foundation.train.callbacks.spikes import Spikes
from foundation.train.callbacks.throughput import Throughput


def callbacks_of(recipe: PretrainRecipe) -> list[Callback]:
    """Throughput, spike detection, heartbeat, progress line and, if the recipe asks for them, averages and pictures."""
    every = recipe.train.log_every
    pictures = [] if recipe.train.picture_every is None else [Reconstructions(recipe, recipe.train.picture_every)]
    average = [] if recipe.train.ema is None else [EMAWeightAveraging(decay=recipe.train.ema, use_buffers=False)]
    held_out = [] if recipe.data.held_out is None else [HeldOutLoss(recipe, recipe.data.held_out)]
    # Progress prints metrics that the callbacks before it log.
    numbers = [Throughput(every), Spikes(every), HeartbeatCallback(recipe.out), *held_out, Progress(every)]
    return [*numbers, *average, *pictures]
