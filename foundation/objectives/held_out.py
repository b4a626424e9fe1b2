"""Masked loss on held-out signals under fixed masks, beside the two predictors that know nothing of the signal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from foundation.models import WfmForMaskedModeling
from foundation.models.masked_loss import hidden_tokens
from foundation.objectives.masked import Task


@dataclass(frozen=True)
class HeldOut:
    """Mean squared errors of hidden entries, in units of the visible entries' level.

    Attributes:
        loss: of the network.
        zero: of predicting 0 everywhere.
        mean: of predicting, for every entry of a token, its mean over all these hidden tokens, of static and of other
            tokens apart: no constant is better.
    """

    loss: float
    zero: float
    mean: float


@torch.no_grad()
def held_out(model: WfmForMaskedModeling, given: Iterable[tuple[dict[str, Any], Task]]) -> HeldOut:
    """Errors over batches with their tasks, which are where the network is; it should be in evaluation mode."""
    total: Tensor | None = None
    for batch, task in given:
        output = model(task.visible, return_dict=True, **batch)
        hidden = hidden_tokens(model.decoder.predict, batch, task.hidden, output.condition, output.components)
        static = batch["static"].flatten()[task.hidden].to(hidden.weight.dtype)[:, None]
        target, weight = hidden.target, hidden.weight
        error = ((hidden.predicted - target).square() * weight).sum(0)
        groups = [weight * static, weight * (1 - static)]
        sums = [error, *(part for own in groups for part in (own.sum(0), (own * target).sum(0)))]
        now = torch.stack([*sums, (weight * target.square()).sum(0)]).double()
        total = now if total is None else total + now
    if total is None:
        return HeldOut(0.0, 0.0, 0.0)
    error, count_static, sum_static, count, sum_other, square = total.cpu()
    explained = sum(s.square() / n.clamp(min=1e-12) for n, s in ((count_static, sum_static), (count, sum_other)))
    whole = float((count_static + count).sum())
    return HeldOut(*(float(each.sum()) / max(whole, 1e-12) for each in (error, square, square - explained)))
