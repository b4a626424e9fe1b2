"""Which tokens the encoder may see: a mixture of geometries, because the geometry of the mask is the task.

Random masks teach the field, time blocks teach prediction, response blocks teach interpolation over frequency (and
localisation), whole links teach the geometry of the array.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

#: A mask kind and what it hides.
MASK_KINDS = ("random", "time", "response", "link")
BLOCK = (0.4, 0.7)  # share of the axis that a block mask hides


def draw_mask(
    grid: Tensor,
    candidates: Tensor,
    static: Tensor,
    ratio: tuple[float, float],
    mixture: Mapping[str, float],
    generator: torch.Generator,
) -> Tensor:
    """Draw one mask kind for the batch and hide tokens in every sample.

    Args:
        grid: int64 [B, N, 3] patch index along (time, link, response).
        candidates: bool [B, N] tokens with at least one measured entry.
        static: bool [B, N] static tokens.
        ratio: range of the share of tokens that the random mask hides.
        mixture: mask kind -> weight.

    Returns:
        visible: bool [B, N]; every sample with two or more candidates keeps at least one visible and one hidden. A
            static token is visible only where its column has a visible patch: it could only tell what is hidden.
    """
    kinds = [kind for kind in MASK_KINDS if mixture.get(kind, 0) > 0]
    weights = torch.tensor([float(mixture[kind]) for kind in kinds])
    kind = kinds[int(torch.multinomial(weights, 1, generator=generator))]
    noise = torch.rand(candidates.shape, generator=generator).to(grid.device)
    share = ratio[0] + (ratio[1] - ratio[0]) * float(torch.rand((), generator=generator))
    scattered = _scattered(noise, candidates, static, share)
    if kind == "random":
        hidden = scattered
    else:
        axis = {"time": 0, "link": 1, "response": 2}[kind]
        hidden = _block(grid[..., axis], axis == 1, generator)
        if axis == 0:
            # A static token covers all times: it stays visible wherever its column still has a visible patch.
            hidden = hidden & ~static
        # A block that leaves no patch or hides none (an axis of one patch) says nothing: fall back to the random mask.
        patches = candidates & ~static
        useless = ~(hidden & patches).any(1) | ~(~hidden & patches).any(1)
        hidden = torch.where(useless[:, None], scattered, hidden)
    visible = candidates & ~hidden
    return visible & (~static | has_visible_patch(grid, static, visible))


def draw_revealed(candidates: Tensor, static: Tensor, generator: torch.Generator) -> Tensor:
    """What generation has revealed at a random moment: bool [B, N], in some samples nothing, in none everything.

    Static tokens come first, in random order; then patches.
    """
    noise = torch.rand(candidates.shape, generator=generator).to(candidates.device)
    moment = torch.rand(len(candidates), 2, generator=generator).to(candidates.device)
    # A third of the samples is still among the static tokens.
    early = moment[:, :1] < 1 / 3
    shown = torch.where(static, torch.where(early, moment[:, 1:], 1.0), torch.where(early, 0.0, moment[:, 1:]))
    visible = candidates & (noise < shown)
    return visible & ~((visible == candidates).all(1, keepdim=True) & _lowest(noise, candidates, 0.0))


def has_visible_patch(grid: Tensor, static: Tensor, visible: Tensor) -> Tensor:
    """bool [B, N]: some patch (not the static token) of the token's column, its link and response, is visible."""
    column = grid[..., 1] * (grid[..., 2].max() + 1) + grid[..., 2]
    counts = torch.zeros(len(column), int(column.max()) + 1, device=column.device)
    return counts.scatter_add_(1, column, (visible & ~static).to(counts.dtype)).gather(1, column) > 0


def _scattered(noise: Tensor, candidates: Tensor, static: Tensor, share: float) -> Tensor:
    """Hide the share of the patches and of the static tokens; of a single patch with its static token, the latter."""
    hidden = _lowest(noise, candidates & ~static, share) | _lowest(noise, candidates & static, share)
    return hidden | (static & ~(hidden & candidates).any(1, keepdim=True))


def _lowest(noise: Tensor, candidates: Tensor, share: float) -> Tensor:
    """Hide the `share` of each sample's candidates that drew the lowest noise, but never all of them nor none."""
    rank = noise.masked_fill(~candidates, 2.0).argsort(1).argsort(1)
    total = candidates.sum(1, keepdim=True)
    count = (total * share).round().clamp(min=1)
    return rank < torch.minimum(count, (total - 1).clamp(min=0))


def _block(index: Tensor, whole: bool, generator: torch.Generator) -> Tensor:
    """Hide one contiguous block of an axis in every sample; for links (`whole`) at least one link stays."""
    size = index.max(1).values + 1  # [B] patches along the axis
    low, high = BLOCK
    share = low + (high - low) * torch.rand(len(index), generator=generator).to(index.device)
    length = (size * share).round().clamp(min=1)
    if whole:
        length = torch.minimum(length, (size - 1).clamp(min=0))
    start = (torch.rand(len(index), generator=generator).to(index.device) * (size - length + 1)).floor()
    return (index >= start[:, None]) & (index < (start + length)[:, None])
