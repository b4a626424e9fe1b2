"""Linear interpolation of normalised tokens from visible ones, in parallel on the accelerator.

Interpolation is the strongest simple imputation of a radio channel, and hard to beat where the response is smooth; the
gate of the model mixes it with the network's prediction. The baseline on measured fields is
`foundation.generate.baselines.interpolate`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

METHODS = 2  # ways to interpolate: along the response axis; along time, then along the response axis


def interpolate_tokens(
    values: Float[Tensor, "batch tokens entries"],
    known: Bool[Tensor, "batch tokens entries"],
    static: Bool[Tensor, "batch tokens"],
    grid: Int[Tensor, "batch tokens 3"],
    shape: Int[Tensor, "batch tokens"],
    patch_shapes: Sequence[Sequence[int]],
) -> tuple[Float[Tensor, "batch tokens entries methods"], Bool[Tensor, "batch tokens entries methods"]]:
    """Interpolate the tokens of each link by every one of the `METHODS`.

    Dynamics and static tokens are two separate fields.

    Args:
        values: normalised tokens; entries are (time, response, part), of static ones (response, part).
        known: entries to interpolate from.
        grid: patch index along (time, link, response).
        shape: index into `patch_shapes`, the same for all tokens of a sample.

    Returns:
        (interpolated values: known entries as they are, constant beyond the outermost; where a known entry was
        available to interpolate from, elsewhere the value is 0).
    """
    out, available = (torch.stack([torch.zeros_like(x)] * METHODS, dim=-1) for x in (values, known))
    of_sample = shape[:, 0]
    for index in of_sample.unique().tolist():
        times, responses = patch_shapes[index]
        own = (of_sample == index)[:, None]
        for chosen, patch in ((own & ~static, (times, responses)), (own & static, (1, responses))):
            if bool(chosen.any()):
                out[chosen], available[chosen] = _interpolate_field(values, known, grid, chosen, patch)
    return out, available


def _interpolate_field(
    values: Float[Tensor, "batch tokens entries"],
    known: Bool[Tensor, "batch tokens entries"],
    grid: Int[Tensor, "batch tokens 3"],
    chosen: Bool[Tensor, "batch tokens"],
    patch: tuple[int, int],
) -> tuple[Float[Tensor, "chosen entries methods"], Bool[Tensor, "chosen entries methods"]]:
    """Interpolate the field of the chosen tokens, all of one patch shape, and cut it into these tokens again."""
    # Real signals have no imaginary part: half the work.
    parts = 2 if bool(known[..., 1::2].any()) else 1
    entries = slice(0, 2 * patch[0] * patch[1], 3 - parts)
    sample = torch.arange(len(values), device=values.device)[:, None].expand_as(chosen)
    source = chosen & known.any(-1)  # padding has the index of a real token and must not overwrite it
    field = values.new_zeros(len(values), *(int(n) + 1 for n in grid[chosen].amax(0)), parts * patch[0] * patch[1])
    field_known = known.new_zeros(field.shape)
    write, read = ((sample[which], *grid[which].unbind(-1)) for which in (source, chosen))
    field[write], field_known[write] = values[source][:, entries], known[source][:, entries]
    measured = tuple(_to_field(x, patch, parts) for x in (field, field_known))
    by_time = (x.transpose(1, -1) for x in _along_last(*(x.transpose(1, -1).contiguous() for x in measured)))
    found = []
    for both in zip(_along_last(*measured), _along_last(*by_time), strict=True):
        tokens = both[0].new_zeros(int(chosen.sum()), values.shape[-1], METHODS)
        tokens[:, entries] = torch.stack([_to_patches(x, patch)[read] for x in both], dim=-1)
        found.append(tokens)
    return found[0], found[1]


def _to_field(
    x: Shaped[Tensor, "batch time_patches links response_patches patch_entries"], patch: tuple[int, int], parts: int
) -> Shaped[Tensor, "batch times links parts responses"]:
    """Patches -> the field that they were cut from."""
    return x.unflatten(-1, (*patch, parts)).permute(0, 1, 4, 2, 6, 3, 5).flatten(5).flatten(1, 2)


def _to_patches(
    x: Shaped[Tensor, "batch times links parts responses"], patch: tuple[int, int]
) -> Shaped[Tensor, "batch time_patches links response_patches patch_entries"]:
    """Inverse of `_to_field`."""
    x = x.unflatten(1, (-1, patch[0])).unflatten(-1, (-1, patch[1]))
    return x.permute(0, 1, 3, 5, 2, 6, 4).flatten(4)


def _along_last(
    x: Float[Tensor, "*leading length"], known: Bool[Tensor, "*leading length"]
) -> tuple[Float[Tensor, "*leading length"], Bool[Tensor, "*leading length"]]:
    """Interpolate along the last axis from known entries, and where there was any; 0 where there was none."""
    length = x.shape[-1]
    index = torch.arange(length, device=x.device, dtype=torch.int32)
    left = (known * (index + 1)).cummax(-1).values - 1  # nearest known index; -1 where there is none
    right = length - (known * (length - index)).flip(-1).cummax(-1).values.flip(-1)  # `length` where there is none
    start, end = torch.where(left < 0, right, left), torch.where(right == length, left, right)
    start, end = start.clamp_(0, length - 1), end.clamp_(0, length - 1)
    low, high = x.gather(-1, start.long()), x.gather(-1, end.long())
    fraction = (index - start).to(x.dtype) / (end - start).clamp_(min=1).to(x.dtype)
    available = known.any(-1, keepdim=True).expand_as(known)
    return torch.lerp(low, high, fraction) * available, available
