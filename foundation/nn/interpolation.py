"""Linear interpolation of normalised tokens from visible ones, in parallel on the accelerator.

Interpolation is the strongest simple imputation of a radio channel, and hard to beat where the response is smooth; the
gate of the model mixes it with the network's prediction. The baseline on measured fields is
`foundation.generate.baselines.interpolate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

FIELD_KEYS = ("exists", "static", "grid", "shape", "real")  # of a batch, for `fields_of`
METHODS = 2  # ways to interpolate: along the response axis; along time, then along the response axis


@dataclass(frozen=True)
class TokenField:
    """Where the tokens of one patch shape, either static or not, lie in the field that they were cut from.

    Attributes:
        patch: times and responses of a patch; a static token has one time.
        parts: 1 where nothing imaginary was measured, which is half the work, else 2.
        size: samples, patches along time, links, patches along the response axis.
        rows: of the tokens in the flattened batch.
        place: of each of them in the flattened field.
    """

    patch: tuple[int, int]
    parts: int
    size: tuple[int, int, int, int]
    rows: Int[Tensor, " rows"]
    place: Int[Tensor, " rows"]


torch.export.register_dataclass(TokenField)


def fields_of(batch: Mapping[str, Any], patch_shapes: Sequence[Sequence[int]]) -> tuple[TokenField, ...]:
    """The fields of a batch. Asks its tensors for numbers, so it is called where the batch is made.

    Args:
        batch: exists, static, shape [batch, tokens]; grid [batch, tokens, 3], the patch index along (time, link,
            response); real [batch], samples without imaginary parts.
    """
    exists, static, grid, shape, real = (batch[name] for name in FIELD_KEYS)
    found = []
    for index in shape[:, 0].unique().tolist():
        pt, pr = patch_shapes[index]
        own = exists & (shape[:, :1] == index)
        for chosen, patch in ((own & ~static, (pt, pr)), (own & static, (1, pr))):
            if not bool(chosen.any()):
                continue
            times, links, responses = (int(most) + 1 for most in grid[chosen].amax(0))
            size = len(grid), times, links, responses
            place = chosen.nonzero()[:, 0]
            for count, along in zip(size[1:], grid[chosen].unbind(-1), strict=True):
                place = place * count + along
            parts = 1 if bool(real[chosen.any(1)].all()) else 2
            found.append(TokenField(patch, parts, size, chosen.flatten().nonzero().squeeze(1), place))
    return tuple(found)


def interpolate_tokens(
    values: Float[Tensor, "batch tokens entries"],
    known: Bool[Tensor, "batch tokens entries"],
    fields: Sequence[TokenField],
) -> tuple[Float[Tensor, "batch tokens entries methods"], Bool[Tensor, "batch tokens entries methods"]]:
    """Interpolate the tokens of each link by every one of the `METHODS`.

    Dynamics and static tokens are two separate fields.

    Args:
        values: normalised tokens; entries are (time, response, part), of static ones (response, part).
        known: entries to interpolate from.
        fields: of the batch, see `fields_of`.

    Returns:
        (interpolated values: known entries as they are, constant beyond the outermost; where a known entry was
        available to interpolate from, elsewhere the value is 0).
    """
    out, available = (x.new_zeros(*x.shape, METHODS) for x in (values, known))
    for each in fields:
        found = _interpolate_field(values.flatten(0, 1)[each.rows], known.flatten(0, 1)[each.rows], each)
        for whole, part in zip((out, available), found, strict=True):
            whole.view(-1, *whole.shape[2:])[each.rows] = part
    return out, available


def _interpolate_field(
    values: Float[Tensor, "chosen entries"], known: Bool[Tensor, "chosen entries"], place: TokenField
) -> tuple[Float[Tensor, "chosen entries methods"], Bool[Tensor, "chosen entries methods"]]:
    """Interpolate the field of these tokens, and cut it into them again."""
    patch, parts, width = place.patch, place.parts, values.shape[-1]
    entries = slice(0, 2 * patch[0] * patch[1], 3 - parts)
    measured = tuple(
        _to_field(
            x.new_zeros(prod(place.size), parts * patch[0] * patch[1])
            .index_copy(0, place.place, x[:, entries])
            .unflatten(0, place.size),
            patch,
            parts,
        )
        for x in (values, known)
    )
    by_time = (x.transpose(1, -1) for x in _along_last(*(x.transpose(1, -1).contiguous() for x in measured)))
    found = []
    for both in zip(_along_last(*measured), _along_last(*by_time), strict=True):
        tokens = both[0].new_zeros(len(values), width, METHODS)
        tokens[:, entries] = torch.stack([_to_patches(x, patch).flatten(0, 3)[place.place] for x in both], dim=-1)
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
