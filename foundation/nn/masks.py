"""Token masks of pretraining: a mixture of geometries, because the geometry of a mask decides what is learned.

Random masks train reconstruction of the field, time blocks prediction, response blocks interpolation over frequency
(and localisation), whole links the geometry of the array.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

#: A mask kind and what it hides.
MASK_KINDS = ("random", "time", "response", "link")
BLOCK = (0.4, 0.7)  # share of the axis that a block mask hides


def draw_mask(
    grid: Int[Tensor, "batch tokens 3"],
    candidates: Bool[Tensor, "batch tokens"],
    static: Bool[Tensor, "batch tokens"],
    ratio: tuple[float, float],
    mixture: Mapping[str, float],
    generator: torch.Generator,
) -> Bool[Tensor, "batch tokens"]:
    """Draw one mask kind for the batch and mask tokens in every sample.

    Args:
        grid: patch index along (time, link, response).
        candidates: tokens with at least one measured entry.
        static: static tokens.
        ratio: range of the share of tokens that the random mask hides.
        mixture: mask kind -> weight.

    Returns:
        The visible tokens; every sample with two or more candidates has at least one visible and one masked. A static
        token is visible only where its column has a visible patch: it is the mean over them, and elsewhere could only
        be computed from masked ones.
    """
    kinds = [kind for kind in MASK_KINDS if mixture.get(kind, 0) > 0]
    weights = torch.tensor([float(mixture[kind]) for kind in kinds])
    kind = kinds[int(torch.multinomial(weights, 1, generator=generator))]
    noise = torch.rand(candidates.shape, generator=generator).to(grid.device)
    share = ratio[0] + (ratio[1] - ratio[0]) * float(torch.rand((), generator=generator))
    random = _random_mask(noise, candidates, static, share)
    if kind == "random":
        hidden = random
    else:
        axis = {"time": 0, "link": 1, "response": 2}[kind]
        hidden = _block_mask(grid[..., axis], axis == 1, generator)
        if axis == 0:
            # A static token covers all times: it stays visible wherever its column still has a visible patch.
            hidden = hidden & ~static
        # A block that masks all patches or none (as on an axis of one patch) is no task: fall back to the random mask.
        patches = candidates & ~static
        useless = ~(hidden & patches).any(1) | ~(~hidden & patches).any(1)
        hidden = torch.where(useless[:, None], random, hidden)
    visible = candidates & ~hidden
    return visible & (~static | has_visible_patch(grid, static, visible))


def draw_given(
    grid: Int[Tensor, "batch tokens 3"],
    candidates: Bool[Tensor, "batch tokens"],
    static: Bool[Tensor, "batch tokens"],
    generator: torch.Generator,
) -> Bool[Tensor, "batch tokens"]:
    """Draw what generation may be given of a sample: in a third of the samples nothing, else any share, never all.

    Returns:
        The visible tokens, as of `draw_mask`: static ones where their column has a visible patch.
    """
    noise = torch.rand(candidates.shape, generator=generator).to(candidates.device)
    nothing, share = torch.rand(len(candidates), 2, generator=generator).to(candidates.device).split(1, dim=1)
    patches = candidates & ~static
    visible = patches & (noise < share) & (nothing > 1 / 3)
    visible = visible & ~((visible == patches).all(1, keepdim=True) & _random_share(noise, patches, 0.0))
    return visible | (candidates & static & has_visible_patch(grid, static, visible))


def has_visible_patch(
    grid: Int[Tensor, "batch tokens 3"], static: Bool[Tensor, "batch tokens"], visible: Bool[Tensor, "batch tokens"]
) -> Bool[Tensor, "batch tokens"]:
    """Whether the column (link and response patch) of each token has a visible patch; its static token is none."""
    column = grid[..., 1] * (grid[..., 2].max() + 1) + grid[..., 2]
    counts = torch.zeros(len(column), int(column.max()) + 1, device=column.device)
    return counts.scatter_add_(1, column, (visible & ~static).to(counts.dtype)).gather(1, column) > 0


def _random_mask(
    noise: Float[Tensor, "batch tokens"],
    candidates: Bool[Tensor, "batch tokens"],
    static: Bool[Tensor, "batch tokens"],
    share: float,
) -> Bool[Tensor, "batch tokens"]:
    """Mask a share of the patches and of the static tokens; of a single patch and its static token, the latter."""
    hidden = _random_share(noise, candidates & ~static, share) | _random_share(noise, candidates & static, share)
    return hidden | (static & ~(hidden & candidates).any(1, keepdim=True))


def _random_share(
    noise: Float[Tensor, "batch tokens"], candidates: Bool[Tensor, "batch tokens"], share: float
) -> Bool[Tensor, "batch tokens"]:
    """The `share` of each sample's candidates with the lowest noise; of two or more, at least one and never all."""
    rank = noise.masked_fill(~candidates, 2.0).argsort(1).argsort(1)
    total = candidates.sum(1, keepdim=True)
    count = (total * share).round().clamp(min=1)
    return rank < torch.minimum(count, (total - 1).clamp(min=0))


def _block_mask(
    index: Int[Tensor, "batch tokens"], keep_one: bool, generator: torch.Generator
) -> Bool[Tensor, "batch tokens"]:
    """Mask one contiguous block of an axis in every sample; with `keep_one` at least one index stays visible."""
    size = index.max(1).values + 1  # patches along the axis
    low, high = BLOCK
    share = low + (high - low) * torch.rand(len(index), generator=generator).to(index.device)
    length = (size * share).round().clamp(min=1)
    if keep_one:
        length = torch.minimum(length, (size - 1).clamp(min=0))
    start = (torch.rand(len(index), generator=generator).to(index.device) * (size - length + 1)).floor()
    return (index >= start[:, None]) & (index < (start + length)[:, None])
