"""The masked loss: how far predicted hidden tokens are from what was measured, in units of the visible entries' level.

Here, and not with the objectives, because a model also gives it by itself, as those of transformers do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from foundation.config import ObjectiveSection
from foundation.nn.decomposition import CLIP, Components
from foundation.nn.masks import draw_mask

STATIC_WEIGHT = 0.5  # of the error of a static token; that of a dynamics token is 1


class Hidden(NamedTuple):
    """Hidden tokens of a batch, on which the losses are computed.

    Attributes:
        condition: from the decoder.
        predicted: what the decoder makes of it, the mean of a token that has no noisy value.
        target: normalised entries.
        weight: of each entry's error; 0 where it was not measured.
    """

    condition: Float[Tensor, "masked width"]
    predicted: Float[Tensor, "masked entries"]
    target: Float[Tensor, "masked entries"]
    weight: Float[Tensor, "masked entries"]


def hidden_tokens(
    predict: nn.Module,
    batch: dict[str, Any],
    rows: Int[Tensor, " hidden"],
    condition: Float[Tensor, "batch tokens width"],
    components: Components,
) -> Hidden:
    """Gather the hidden tokens with their predictions, targets and weights.

    Args:
        predict: the decoder's last layer, from condition vectors to entries.
        rows: of the hidden tokens in the flattened batch.
    """
    target = targets_of(components, rows)
    static = batch["static"].flatten()[rows]
    # Every token has the same weight, however many entries it has: static tokens have few.
    observed = batch["observed"].flatten(0, 1)[rows].to(target.dtype)
    weight = observed / observed.sum(-1, keepdim=True) * torch.where(static, STATIC_WEIGHT, 1.0)[:, None]
    chosen = condition.flatten(0, 1)[rows]
    return Hidden(chosen, predict(chosen).float(), target, weight)


def targets_of(components: Components, rows: Int[Tensor, " hidden"]) -> Float[Tensor, "hidden entries"]:
    """What is to be predicted of tokens: normalised entries, without outliers."""
    return components.values.flatten(0, 1)[rows].clamp(-CLIP, CLIP)


def weighted_mean_square(
    error: Float[Tensor, "masked entries"], weight: Float[Tensor, "masked entries"]
) -> Float[Tensor, ""]:
    """Mean squared error of entries with these weights."""
    return (error.square() * weight).sum() / weight.sum().clamp(min=1e-6)


def draw_visible(batch: dict[str, Any], generator: torch.Generator) -> Bool[Tensor, "batch tokens"]:
    """Tokens that stay visible under the masks that a recipe has by default; a batch and a generator on the CPU."""
    defaults = ObjectiveSection()
    masks = {str(kind): weight for kind, weight in defaults.masks.items()}
    return draw_mask(batch["grid"], batch["measured"], batch["static"], defaults.ratio, masks, generator)
