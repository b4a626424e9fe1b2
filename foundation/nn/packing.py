"""Real tokens of a padded batch as rows, so that linear layers and norms pay for no padding, and attention hardly any.

Rows stand sample by sample, short samples first: samples of one group are then one slice of the rows. Attention takes a
group at a time, padded to its own longest sample; where all are equally long, a group is a view and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Longest over shortest of a group. Attention alone pays for it, and a group of its own costs a call: on CPU one call
#: per length took two to three times as long as padding all (12 heads, up to 74 tokens).
SPREAD = 1.5
SHORTEST = 16  # tokens below which groups are not told apart


@dataclass(frozen=True)
class Group:
    """Samples of about the same length: rows [start, stop) of the packed batch.

    place: int64 [rows] of each row among count * longest padded ones; None where all are equally long.
    keep: bool [count, 1, 1, longest] real ones, for attention; None likewise.
    """

    start: int
    stop: int
    count: int
    longest: int
    place: Tensor | None
    keep: Tensor | None

    def padded(self, rows: Tensor) -> Tensor:
        """This group of all rows [T, ...] -> [count, longest, ...], 0 where padded."""
        mine = rows[self.start : self.stop]
        if self.place is not None:
            mine = mine.new_zeros(self.count * self.longest, *mine.shape[1:]).index_copy(0, self.place, mine)
        return mine.unflatten(0, (self.count, self.longest))

    def packed(self, padded: Tensor) -> Tensor:
        """Inverse of `padded`: [count, longest, ...] -> [rows, ...]."""
        flat = padded.flatten(0, 1)
        return flat if self.place is None else flat[self.place]


@dataclass(frozen=True)
class Packing:
    """Where the real tokens of a batch [B, N] stand. `rows` int64 [T]: their places in the flattened batch, in packed
    order; None where all are real and stay where they are."""

    batch: int
    length: int
    rows: Tensor | None
    groups: tuple[Group, ...]

    def pack(self, x: Tensor) -> Tensor:
        """[B, N, ...] -> [T, ...]."""
        flat = x.flatten(0, 1)
        return flat if self.rows is None else flat[self.rows]

    def unpack(self, rows: Tensor) -> Tensor:
        """[T, ...] -> [B, N, ...], 0 where padded."""
        if self.rows is not None:
            rows = rows.new_zeros(self.batch * self.length, *rows.shape[1:]).index_copy(0, self.rows, rows)
        return rows.unflatten(0, (self.batch, self.length))


def pack(keep: Tensor | None, batch: int, length: int) -> Packing:
    """The packing of a batch [batch, length] whose real tokens are `keep` bool [batch, length] (None: all are); every
    sample has at least one."""
    if keep is None or bool(keep.all()):
        return Packing(batch, length, None, (Group(0, batch * length, batch, length, None, None),))
    order = keep.sum(1).argsort(stable=True)
    sample, token = keep[order].nonzero(as_tuple=True)
    return Packing(batch, length, order[sample] * length + token, _groups(keep.sum(1)[order], sample))


def _groups(lengths: Tensor, sample: Tensor) -> tuple[Group, ...]:
    """Cut samples, sorted by length [B], into groups; `sample` int64 [T] says to which one each row belongs."""
    sizes = lengths.tolist()
    ends = lengths.cumsum(0)
    rank = torch.arange(len(sample), device=sample.device) - (ends - lengths)[sample]
    groups, row, first = [], 0, 0
    for i in range(1, len(sizes) + 1):
        if i < len(sizes) and sizes[i] <= SPREAD * max(sizes[first], SHORTEST):
            continue
        count, longest, stop = i - first, sizes[i - 1], row + sum(sizes[first:i])
        place = keep = None
        if sizes[first] < longest:
            place = (sample[row:stop] - first) * longest + rank[row:stop]
            keep = (torch.arange(longest, device=sample.device) < lengths[first:i, None])[:, None, None]
        groups.append(Group(row, stop, count, longest, place, keep))
        row, first = stop, i
    return tuple(groups)
