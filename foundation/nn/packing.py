"""Packing: the real tokens of a padded batch as rows, so that linear layers and norms compute nothing on padding.

Rows are ordered by sample, short samples first, so that the samples of one group are one slice of the rows. On the CPU
attention runs one group at a time, padded to the longest sample of the group; where all are equally long, a group is a
view. On CUDA one call takes samples of any length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from foundation.nn.tracing import tracing

#: Longest over shortest sample of a group. More groups mean less padding and more calls: on CPU one call per length
#: took two to three times as long as padding all (12 heads, up to 74 tokens).
SPREAD = 1.5
SHORTEST = 16  # samples of fewer tokens count as this long when they are grouped


@dataclass(frozen=True)
class Group:
    """Samples of similar length: rows [start, stop) of the packed batch.

    Attributes:
        count, longest: samples of the group, and tokens of its longest one.
        index: of each row among the count * longest padded tokens; None where all samples are equally long.
        keep: real tokens, as a mask for attention; None where all are real.
    """

    start: int
    stop: int
    count: int
    longest: int
    index: Int[Tensor, " group"] | None
    keep: Bool[Tensor, "samples 1 1 length"] | None

    def padded(self, rows: Shaped[Tensor, " packed *rest"]) -> Shaped[Tensor, "samples length *rest"]:
        """This group out of all packed rows, each sample padded with 0 to the longest."""
        own = rows[self.start : self.stop]
        if self.index is not None:
            own = own.new_zeros(self.count * self.longest, *own.shape[1:]).index_copy(0, self.index, own)
        return own.unflatten(0, (self.count, self.longest))

    def packed(self, padded: Shaped[Tensor, "samples length *rest"]) -> Shaped[Tensor, " group *rest"]:
        """Inverse of `padded`: the rows of this group alone."""
        flat = padded.flatten(0, 1)
        return flat if self.index is None else flat[self.index]


@dataclass(frozen=True)
class Packing:
    """Which tokens of a padded batch are real, and how they are grouped.

    Attributes:
        batch, length: shape of the padded batch.
        rows: index of each packed token in the flattened batch; None where all tokens stay, in their order.
        ends: row at which each sample begins, and where the last one ends; None where a graph is recorded.
        longest: tokens of the longest sample.
    """

    batch: int
    length: int
    rows: Int[Tensor, " packed"] | None
    groups: tuple[Group, ...]
    ends: Int[Tensor, " ends"] | None
    longest: int

    def pack(self, x: Shaped[Tensor, "batch tokens *rest"]) -> Shaped[Tensor, " packed *rest"]:
        """The real tokens of a padded batch."""
        flat = x.flatten(0, 1)
        return flat if self.rows is None else flat[self.rows]

    def unpack(self, rows: Shaped[Tensor, " packed *rest"]) -> Shaped[Tensor, "batch tokens *rest"]:
        """Inverse of `pack`; padding is 0."""
        if self.rows is not None:
            rows = rows.new_zeros(self.batch * self.length, *rows.shape[1:]).index_copy(0, self.rows, rows)
        elif (keep := self.groups[0].keep) is not None:
            rows = rows.masked_fill(~keep.reshape(-1, *[1] * (rows.ndim - 1)), 0)
        return rows.unflatten(0, (self.batch, self.length))


torch.export.register_dataclass(Group)
torch.export.register_dataclass(Packing)


def pack(keep: Bool[Tensor, "batch tokens"] | None, batch: int, length: int) -> Packing:
    """The packing of a batch [batch, length]; `keep` marks its real tokens (None: all), at least one per sample."""
    if keep is not None and tracing():  # how many tokens are real is not known: padding stays, hidden from attention
        group = Group(0, batch * length, batch, length, None, keep[:, None, None])
        return Packing(batch, length, None, (group,), None, length)
    if keep is None or bool(keep.all()):
        ends = torch.arange(0, (batch + 1) * length, length, dtype=torch.int32)
        return Packing(batch, length, None, (Group(0, batch * length, batch, length, None, None),), ends, length)
    order = keep.sum(1).argsort(stable=True)
    sample, token = keep[order].nonzero(as_tuple=True)
    lengths = keep.sum(1)[order]
    ends = F.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    groups = _groups(lengths, sample)
    return Packing(batch, length, order[sample] * length + token, groups, ends, groups[-1].longest)


def _groups(lengths: Int[Tensor, " batch"], sample: Int[Tensor, " packed"]) -> tuple[Group, ...]:
    """Group samples that are sorted by length; `sample` is the sample of each packed token."""
    sizes = lengths.tolist()
    ends = lengths.cumsum(0)
    rank = torch.arange(len(sample), device=sample.device) - (ends - lengths)[sample]
    groups, row, first = [], 0, 0
    for i in range(1, len(sizes) + 1):
        if i < len(sizes) and sizes[i] <= SPREAD * max(sizes[first], SHORTEST):
            continue
        count, longest, stop = i - first, sizes[i - 1], row + sum(sizes[first:i])
        index = keep = None
        if sizes[first] < longest:
            index = (sample[row:stop] - first) * longest + rank[row:stop]
            keep = (torch.arange(longest, device=sample.device) < lengths[first:i, None])[:, None, None]
        groups.append(Group(row, stop, count, longest, index, keep))
        row, first = stop, i
    return tuple(groups)
