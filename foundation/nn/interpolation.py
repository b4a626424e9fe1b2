"""What the straight line between visible tokens says of a hidden one.

Interpolation is the strongest simple way to fill in a radio channel, and hard to beat where the response is smooth. The
model may draw its guess towards the line; `foundation.generate.baselines.interpolate` is the baseline on measured fields.

Shapes: B samples, N tokens, E entries a token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LINES = 2  # ways to interpolate: see `interpolate_tokens`


def interpolate_tokens(
    values: Tensor, known: Tensor, static: Tensor, grid: Tensor, shape: Tensor, patch_shapes: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """Fill in tokens of a link in two ways: along the response axis at each time; along time, then the response axis.

    Dynamics and static tokens are two fields of their own.

    Args:
        values: float [B, N, E] normalised tokens; entries are (time, response, part), of static ones (response, part).
        known: bool [B, N, E] entries to interpolate from.
        static: bool [B, N].
        grid: int64 [B, N, 3] patch index along (time, link, response).
        shape: int64 [B, N] index into `patch_shapes`, the same for all tokens of a sample.

    Returns:
        (float [B, N, E, 2]: known entries as they are, held constant beyond the outermost; bool [B, N, E, 2]: where
        there was a known entry to go by, elsewhere the value is 0).
    """
    out, reached = (torch.stack([torch.zeros_like(x)] * LINES, dim=-1) for x in (values, known))
    of_sample = shape[:, 0]
    for index in of_sample.unique().tolist():
        times, responses = patch_shapes[index]
        mine = (of_sample == index)[:, None]
        for chosen, patch in ((mine & ~static, (times, responses)), (mine & static, (1, responses))):
            if bool(chosen.any()):
                out[chosen], reached[chosen] = _fill(values, known, grid, chosen, patch)
    return out, reached


def _fill(values: Tensor, known: Tensor, grid: Tensor, chosen: Tensor, patch: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Both lines through entries of the chosen tokens [B, N], all cut into patches of one size: [M, E, LINES] twice."""
    # Real signals have no second part: half the work.
    parts = 2 if bool(known[..., 1::2].any()) else 1
    entries = slice(0, 2 * patch[0] * patch[1], 3 - parts)
    sample = torch.arange(len(values), device=values.device)[:, None].expand_as(chosen)
    told = chosen & known.any(-1)  # padding stands at the place of a real token and must not overwrite it
    field = values.new_zeros(len(values), *(int(n) + 1 for n in grid[chosen].amax(0)), parts * patch[0] * patch[1])
    given = known.new_zeros(field.shape)
    at, wanted = ((sample[which], *grid[which].unbind(-1)) for which in (told, chosen))
    field[at], given[at] = values[told][:, entries], known[told][:, entries]
    measured = tuple(_as_lines(x, patch, parts) for x in (field, given))
    by_time = (x.transpose(1, -1) for x in _along_last(*(x.transpose(1, -1).contiguous() for x in measured)))
    found = []
    for imputed in zip(_along_last(*measured), _along_last(*by_time), strict=True):
        tokens = imputed[0].new_zeros(int(chosen.sum()), values.shape[-1], LINES)
        tokens[:, entries] = torch.stack([_as_tokens(line, patch)[wanted] for line in imputed], dim=-1)
        found.append(tokens)
    return found[0], found[1]


def _as_lines(x: Tensor, patch: tuple[int, int], parts: int) -> Tensor:
    """[B, nt, L, nr, pt * pr * parts] -> [B, nt * pt, L, parts, nr * pr]."""
    return x.unflatten(-1, (*patch, parts)).permute(0, 1, 4, 2, 6, 3, 5).flatten(5).flatten(1, 2)


def _as_tokens(x: Tensor, patch: tuple[int, int]) -> Tensor:
    """Inverse of `_as_lines`."""
    x = x.unflatten(1, (-1, patch[0])).unflatten(-1, (-1, patch[1]))
    return x.permute(0, 1, 3, 5, 2, 6, 4).flatten(4)


def _along_last(lines: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Fill lines [..., K] from their seen entries, and where there were any; lines without are 0."""
    last = lines.shape[-1]
    index = torch.arange(last, device=lines.device, dtype=torch.int32)
    left = (seen * (index + 1)).cummax(-1).values - 1  # -1 where there is none
    right = last - (seen * (last - index)).flip(-1).cummax(-1).values.flip(-1)
    start, end = torch.where(left < 0, right, left), torch.where(right == last, left, right)
    start, end = start.clamp_(0, last - 1), end.clamp_(0, last - 1)
    low, high = lines.gather(-1, start.long()), lines.gather(-1, end.long())
    share = (index - start).to(lines.dtype) / (end - start).clamp_(min=1).to(lines.dtype)
    reached = seen.any(-1, keepdim=True).expand_as(seen)
    return torch.lerp(low, high, share) * reached, reached
