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
class Placed:
    """Tokens of a batch in a field.

    Attributes:
        size: samples, patches along time, links, patches along the response axis.
        rows: of the tokens in the flattened batch.
        place: of each of them in the flattened field.
    """

    size: tuple[int, int, int, int]
    rows: Int[Tensor, " rows"]
    place: Int[Tensor, " rows"]


@dataclass(frozen=True)
class TokenField:
    """Where the tokens of one patch shape lie in the fields that they were cut from.

    Attributes:
        patch: times and responses of a patch; a static token has one time.
        parts: 1 where nothing imaginary was measured, which is half the work, else 2.
        dynamic: the patches; `static`: the static tokens, a field of one time, or None where there are none.
    """

    patch: tuple[int, int]
    parts: int
    dynamic: Placed
    static: Placed | None


torch.export.register_dataclass(Placed)
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
        own = exists & (shape[:, :1] == index)
        parts = 1 if bool(real[own.any(1)].all()) else 2
        times, links, responses = (int(most) + 1 for most in grid[own].amax(0))
        patches = _placed(own & ~static, grid, (len(grid), times, links, responses))
        still = _placed(own & static, grid, (len(grid), 1, links, responses))
        pt, pr = patch_shapes[index]
        found.append(TokenField((pt, pr), parts, patches, still if len(still.rows) else None))
    return tuple(found)


def _placed(
    chosen: Bool[Tensor, "batch tokens"], grid: Int[Tensor, "batch tokens 3"], size: tuple[int, int, int, int]
) -> Placed:
    place = chosen.nonzero()[:, 0]
    for count, along in zip(size[1:], grid[chosen].unbind(-1), strict=True):
        place = place * count + along
    return Placed(size, chosen.flatten().nonzero().squeeze(1), place)


def interpolate_tokens(
    values: Float[Tensor, "batch tokens entries"],
    known: Bool[Tensor, "batch tokens entries"],
    fields: Sequence[TokenField],
) -> tuple[Float[Tensor, "batch tokens entries methods"], Bool[Tensor, "batch tokens entries methods"]]:
    """Interpolate the tokens of each link by every one of the `METHODS`.

    Dynamics and static tokens are two separate fields; of static tokens both methods are one.

    Args:
        values: normalised tokens; entries are (time, response, part), of static ones (response, part).
        known: entries to interpolate from.
        fields: of the batch, see `fields_of`.

    Returns:
        (interpolated values: known entries as they are, constant beyond the outermost; where a known entry was
        available to interpolate from, elsewhere the value is 0).
    """
    out = values.new_zeros(*values.shape, METHODS), known.new_zeros(*known.shape, METHODS)
    for field in fields:
        patches = [_gathered(x, field.dynamic, field.patch, field.parts) for x in (values, known)]
        times, by_time = patches[0].shape[1], patches
        if times > 1:
            by_time = [x.transpose(1, -1) for x in _along_last(*(x.transpose(1, -1).contiguous() for x in patches))]
        # All that is interpolated along the response axis, at once: one time after the other.
        lines = [patches, by_time]
        if field.static is not None:
            lines.append([_gathered(x, field.static, (1, field.patch[1]), field.parts) for x in (values, known)])
        done = _along_last(*(torch.cat(each, dim=1) for each in zip(*lines, strict=True)))
        for whole, x in zip(out, done, strict=True):
            each, then, *still = x.split([times, times, x.shape[1] - 2 * times], dim=1)
            _write(whole, field.dynamic, field.patch, field.parts, each, then)
            if field.static is not None:
                _write(whole, field.static, (1, field.patch[1]), field.parts, *still, *still)
    return out


def _gathered(
    x: Shaped[Tensor, "batch tokens entries"], tokens: Placed, patch: tuple[int, int], parts: int
) -> Shaped[Tensor, "batch times links parts responses"]:
    """The field of these tokens, 0 where there is none."""
    own = x.flatten(0, 1)[tokens.rows, : 2 * patch[0] * patch[1] : 3 - parts]
    whole = own.new_zeros(prod(tokens.size), own.shape[1]).index_copy(0, tokens.place, own)
    return _to_field(whole.unflatten(0, tokens.size), patch, parts)


def _write(
    out: Shaped[Tensor, "batch tokens entries methods"],
    tokens: Placed,
    patch: tuple[int, int],
    parts: int,
    *methods: Shaped[Tensor, "batch times links parts responses"],
) -> None:
    """Cut fields into the tokens that they were gathered from, one for each method."""
    cut = torch.stack([_to_patches(x, patch).flatten(0, 3)[tokens.place] for x in methods], dim=-1)
    out.flatten(0, 1)[tokens.rows, : 2 * patch[0] * patch[1] : 3 - parts] = cut


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
