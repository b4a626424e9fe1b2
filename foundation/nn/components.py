"""Static and dynamic component, kept apart and normalised, from visible entries only.

A column is one (link, response patch) over all times. Its static response is the mean over visible entries along time;
what remains is the dynamics. Each component has its own root-mean-square level, which is returned: dividing by it must
not destroy it, so the encoder sees the levels as a context token and `restore` inverts the division before any error
is taken. Nothing hidden enters: a column without a visible entry takes its static response from all entries, but only
as the target that the decoder is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-6


def slot_table(patch_shapes: Sequence[Sequence[int]]) -> Tensor:
    """int64 [2, shapes, E]: the column entry under each entry of a (dynamics, static) token; -1 for unused entries.

    Entries of a dynamics token are (time, response, part) flattened, those of a static token (response, part), with
    part = (real, imaginary). E is twice the area of the largest patch.
    """
    size = 2 * max(times * responses for times, responses in patch_shapes)
    table = torch.full((2, len(patch_shapes), size), -1)
    for index, (times, responses) in enumerate(patch_shapes):
        row = torch.arange(2 * responses)
        table[0, index, : 2 * times * responses] = row.repeat(times)
        table[1, index, : 2 * responses] = row
    return table


def slots_of(column: Tensor, shape: Tensor, static: Tensor, table: Tensor) -> Tensor:
    """Slot of every entry [B, N, E] from column, shape [B, N] and `slot_table`; the last slot collects unused entries."""
    entry = table[static.long(), shape]
    width = table.shape[-1]
    trash = (int(column.max()) + 1) * width
    return torch.where(entry >= 0, column[..., None] * width + entry, trash)


@dataclass(frozen=True)
class Components:
    """Normalised tokens. B samples, N tokens, E entries a token (time x response x (real, imaginary), flattened).

    values: [B, N, E]; dynamics tokens hold (x - static) / dynamic level, static tokens (static - offset) / static level.
    static: [B, N, E] the static response under each entry of a dynamics token, in signal units.
    offset, static_level, dynamic_level: [B].
    """

    values: Tensor
    static: Tensor
    offset: Tensor
    static_level: Tensor
    dynamic_level: Tensor

    def levels(self) -> Tensor:
        """[B, 3] what the division removed: offset, log static level, log dynamic level."""
        return torch.stack([self.offset, self.static_level.log(), self.dynamic_level.log()], dim=-1)


def split(
    values: Tensor, observed: Tensor, visible: Tensor, static: Tensor, slot: Tensor, logarithmic: Tensor
) -> Components:
    """Split raw tokens into normalised components.

    Args:
        values: float [B, N, E] raw entries of dynamics tokens; ignored in static tokens.
        observed: bool [B, N, E] entries that were measured.
        visible: bool [B, N] tokens the encoder may see.
        static: bool [B, N] tokens that stand for the static response of their column. A sample without any (a single
            snapshot) is not split: its static response is 0.
        slot: int64 [B, N, E] column entry that each entry belongs to, the same for all times of one column.
        logarithmic: bool [B] entries are logarithms: a gain is an offset, to be removed by subtraction.
    """
    weight = (observed & ~static[..., None]).to(values.dtype)
    seen = weight * visible[..., None]
    slots = int(slot.max()) + 1
    mean_seen, any_seen = _mean(values, seen, slot, slots)
    mean_all, _ = _mean(values, weight, slot, slots)
    is_split = static.any(1)  # [B]
    column = torch.where(any_seen, mean_seen, mean_all) * is_split[:, None]
    field = column.gather(1, slot.flatten(1)).view_as(values)

    seen_column = any_seen & is_split[:, None]
    offset = torch.where(logarithmic & is_split, _masked_mean(column, seen_column), 0.0)
    plain = torch.where(logarithmic & ~is_split, _masked_mean(values.flatten(1), seen.flatten(1) > 0), 0.0)
    offset = offset + plain
    removed = torch.where(is_split[:, None, None], field, offset[:, None, None].expand_as(field))
    dynamic = values - removed
    dynamic_level = _rms(dynamic.flatten(1), seen.flatten(1) > 0)
    static_level = torch.where(is_split, _rms(column - offset[:, None], seen_column), dynamic_level)
    normalised = torch.where(
        static[..., None],
        (field - offset[:, None, None]) / static_level[:, None, None],
        dynamic / dynamic_level[:, None, None],
    )
    return Components(normalised * observed, removed, offset, static_level, dynamic_level)


def restore(values: Tensor, static: Tensor, slot: Tensor, components: Components) -> Tensor:
    """Inverse of `split`: normalised [B, N, E] (as predicted or generated) -> raw entries in signal units [B, N, E].

    The static response is read from the static tokens among `values`; static tokens themselves come back as their
    column's static response.
    """
    level, offset = components.static_level[:, None, None], components.offset[:, None, None]
    column_value = values * level + offset
    slots = int(slot.max()) + 1
    weight = static[..., None].expand_as(values).to(values.dtype)
    column, known = _mean(column_value, weight, slot, slots)
    field = column.gather(1, slot.flatten(1)).view_as(values)
    has = known.gather(1, slot.flatten(1)).view_as(values)
    base = torch.where(has, field, components.static)
    dynamic = values * components.dynamic_level[:, None, None] + base
    return torch.where(static[..., None], column_value, dynamic)


def _mean(values: Tensor, weight: Tensor, slot: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """Weighted mean per slot [B, slots], and where any weight fell."""
    flat = slot.flatten(1)
    total = values.new_zeros(len(values), slots).scatter_add_(1, flat, (values * weight).flatten(1))
    count = values.new_zeros(len(values), slots).scatter_add_(1, flat, weight.flatten(1))
    return total / count.clamp(min=1), count > 0


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)


def _rms(values: Tensor, mask: Tensor) -> Tensor:
    return _masked_mean(values.square(), mask).sqrt().clamp(min=EPSILON)
