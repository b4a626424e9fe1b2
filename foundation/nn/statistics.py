"""Statistics of a slot over time, which static tokens carry: mean, deviation, change and trend."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from foundation.nn.columns import Columns

#: Contents of a static token, of each slot of its column. The last three do not depend on gain, filters or furniture:
#: how strongly the slot varies (log of the root-mean-square deviation), how fast (log of the root-mean-square
#: difference of neighbouring times), both in units of the dynamic level, and its slope over the window.
STATISTICS = ("mean", "deviation", "change", "trend")
QUIET = 1e-3  # added to powers, in units of the dynamic level's, before the logarithm: below it is noise


def motion(
    dynamic: Float[Tensor, "batch tokens entries"],
    weight: Float[Tensor, "batch tokens entries"],
    power: Float[Tensor, "batch tokens slots"],
    count: Float[Tensor, "batch tokens slots"],
    used: Float[Tensor, "batch tokens slots"],
    columns: Columns,
) -> tuple[
    Float[Tensor, "batch columns slots"], Float[Tensor, "batch columns slots"], Float[Tensor, "batch columns slots"]
]:
    """Deviation, change and trend of every slot: the `STATISTICS` after the mean.

    Args:
        dynamic: entries centred in time and of unit level; 0 where `weight` is 0, that is not measured.
        power, count: sums of their squares and of `weight`, by token and slot.
        used: 1 for the tokens that a slot's statistics are computed from, 0 for the others.
    """
    time = columns.time[..., None]
    samples, by_time = count * used, columns.to_slots(dynamic) * time
    step, pair = columns.squared_differences(dynamic, weight)
    parts = (samples, samples * time, samples * time.square(), power * used, by_time * used, step * used, pair * used)
    total, *sums, step, pair = columns.sum_tokens(*parts)
    mean_time, mean_square_time, mean_square, covariance = (x / total.clamp(min=1) for x in sums)
    change = torch.where(pair > 0, log_level(step / pair.clamp(min=1)), 0.0)
    # Least-squares slope; a single patch in time has no variance of time, and so no slope.
    trend = covariance / (mean_square_time - mean_time.square()).clamp(min=0.1)
    return log_level(mean_square), change, trend


def log_level(power: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Logarithm of a root-mean-square level, given the mean square in units of the dynamic level's."""
    return (power + QUIET).log() / 2
