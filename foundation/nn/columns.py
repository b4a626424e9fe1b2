"""Columns of a token batch: sums over the tokens of a (link, response patch), and back to tokens.

The entries of a token are (time, response, part) flattened, part = real, imaginary. A slot is one (response, part) of a
column; sums over a column run over the times within a token and over its tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


def fold_matrices(patch_shapes: Sequence[Sequence[int]]) -> Float[Tensor, "types entries slots"]:
    """0/1 matrices that sum the entries of a token into the slots of its column.

    Index 2 * shape is for dynamics tokens of a patch shape, whose entries are (time, response, part), and
    2 * shape + 1 for its static tokens, (response, part). Unused entries have empty rows.

    Args:
        patch_shapes: (times, responses) of every patch shape.
    """
    entries = 2 * max(times * responses for times, responses in patch_shapes)
    slots = 2 * max(responses for _, responses in patch_shapes)
    fold = torch.zeros(2 * len(patch_shapes), entries, slots)
    for shape, (times, responses) in enumerate(patch_shapes):
        width = 2 * responses
        fold[2 * shape, torch.arange(times * width), torch.arange(width).repeat(times)] = 1
        fold[2 * shape + 1, torch.arange(width), torch.arange(width)] = 1
    return fold


@dataclass(frozen=True)
class Columns:
    """Sums over columns and copies back to tokens, for one batch.

    Attributes:
        column, link: index of the column and of the link of each token.
        time: of each token's patch, -1 for the first patch of its sample to 1 for the last.
        token_type: index into `fold`, 2 * patch shape + static.
        fold: see `fold_matrices`.
        widths: slots of a column, by patch shape.
        count, links: the most columns and links that a sample has.
        samples: patch shape -> its samples; None while a graph is recorded, where this is not known.
        order: place of each sample among `samples`, one shape after the other; None where there is one shape.
        static: patch shape -> rows of its static tokens in the flattened batch; None as `samples`.
    """

    column: Int[Tensor, "batch tokens"]
    link: Int[Tensor, "batch tokens"]
    time: Float[Tensor, "batch tokens"]
    token_type: Int[Tensor, "batch tokens"]
    fold: Float[Tensor, "types entries slots"]
    widths: tuple[int, ...]
    count: int
    links: int
    samples: dict[int, Int[Tensor, " _"]] | None = None
    order: Int[Tensor, " batch"] | None = None
    static: dict[int, Int[Tensor, " _"]] | None = None

    def to_slots(self, values: Float[Tensor, "batch tokens entries"]) -> Float[Tensor, "batch tokens slots"]:
        """Sum the entries of each dynamics token over its times."""
        return self._by_shape(lambda shape, x: x @ self.fold[2 * shape].to(x.dtype), values)

    def to_entries(self, slots: Float[Tensor, "batch tokens slots"]) -> Float[Tensor, "batch tokens entries"]:
        """Copy slots to the entries of dynamics tokens that they cover; 0 in unused entries."""
        return self._by_shape(lambda shape, x: x @ self.fold[2 * shape].T.to(x.dtype), slots)

    def squared_differences(
        self, values: Float[Tensor, "batch tokens entries"], weight: Float[Tensor, "batch tokens entries"]
    ) -> tuple[Float[Tensor, "batch tokens slots"], Float[Tensor, "batch tokens slots"]]:
        """Sums of squared differences of neighbouring times within a dynamics token, and how many there are."""

        def both(shape: int, x: Tensor, w: Tensor) -> Tensor:
            width = self.widths[shape]
            pair = w[..., width:] * w[..., :-width]
            step = (x[..., width:] - x[..., :-width]).square_().mul_(pair)
            fold = self.fold[2 * shape, :-width].to(x.dtype)
            return torch.cat([step @ fold, pair @ fold], dim=-1)

        square, count = self._by_shape(both, values, weight).chunk(2, dim=-1)
        return square, count

    def sum_tokens(
        self, *slots: Float[Tensor, "batch tokens slots"]
    ) -> tuple[Float[Tensor, "batch columns slots"], ...]:
        """Sum each of the tensors over the tokens of a column."""
        joined = torch.cat(slots, dim=-1)
        batch, columns = len(joined), self.count
        row = self.column + columns * torch.arange(batch, device=joined.device)[:, None]
        out = joined.new_zeros(batch * columns, joined.shape[-1]).index_add_(0, row.flatten(), joined.flatten(0, 1))
        return out.view(batch, columns, -1).split([x.shape[-1] for x in slots], dim=-1)

    def at_tokens(self, slots: Shaped[Tensor, "batch columns slots"]) -> Shaped[Tensor, "batch tokens slots"]:
        """Copy what is known of a column to each of its tokens."""
        return slots[torch.arange(len(slots), device=slots.device)[:, None], self.column]

    @cached_property
    def used_slots(self) -> Bool[Tensor, "batch 1 slots"]:
        """Slots that the columns of a sample have: those of its patch shape."""
        return self.fold[1::2].any(1)[self.token_type[:, 0] // 2][:, None]

    def _by_shape(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """Apply function(patch shape, samples of the tensors [batch, ...]) to the samples of each patch shape."""
        if self.samples is None:  # to all samples, as which shapes occur is not known
            own = self.token_type[:, 0] // 2
            of_shapes = [function(shape, *tensors) for shape in range(len(self.widths))]
            return torch.stack(of_shapes, dim=1)[torch.arange(len(own), device=own.device), own]
        if self.order is None:
            return function(*self.samples, *tensors)
        found = torch.cat([function(shape, *(x[rows] for x in tensors)) for shape, rows in self.samples.items()])
        return found[self.order]

    def write_statistics(
        self,
        statistics: Float[Tensor, "batch columns statistics slots"],
        observed: Bool[Tensor, "batch tokens entries"],
        values: Float[Tensor, "batch tokens entries"],
    ) -> None:
        """Write the statistics of every column into the observed entries of its static token in `values`, in place."""
        if self.static is None:
            for shape, width in enumerate(self.widths):
                own = self.at_tokens(statistics)[..., :width].flatten(2)[..., : values.shape[-1]]
                own = torch.nn.functional.pad(own, (0, values.shape[-1] - own.shape[-1])) * observed
                # Entries beyond the statistics are not written.
                written = (self.token_type == 2 * shape + 1)[..., None].expand_as(values).clone()
                written[..., statistics.shape[2] * width :] = False
                values.copy_(torch.where(written, own, values))
            return
        columns = self.column + self.count * torch.arange(len(values), device=values.device)[:, None]
        by_column, measured, out = statistics.flatten(0, 1), observed.flatten(0, 1), values.flatten(0, 1)
        for shape, rows in self.static.items():
            own = by_column[columns.flatten()[rows], :, : self.widths[shape]].flatten(1)[:, : values.shape[-1]]
            out[rows, : own.shape[1]] = own * measured[rows, : own.shape[1]]

    def any_token(self, chosen: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch columns"]:
        """Whether a column has a chosen token."""
        found = torch.zeros(len(chosen), self.count, device=chosen.device).scatter_add_(1, self.column, chosen.float())
        return found > 0

    def link_mean(
        self, slots: Float[Tensor, "batch columns slots"], known: Bool[Tensor, "batch columns slots"]
    ) -> tuple[Float[Tensor, "batch columns"], Float[Tensor, "batch tokens"]]:
        """Mean of the known slots of each link, at its columns and at its tokens.

        A link without a known slot gets the mean over all links.
        """
        batch, count = slots.shape[:2]
        of_column = self.link.new_zeros(batch, count).scatter_(1, self.column, self.link)
        weight = known.to(slots.dtype)
        total, many = (x.sum(-1) for x in (slots * weight, weight))
        links = slots.new_zeros(2, batch, self.links)
        links[0].scatter_add_(1, of_column, total)
        links[1].scatter_add_(1, of_column, many)
        overall = (total.sum(1) / many.sum(1).clamp(min=1))[:, None]
        mean = torch.where(links[1] > 0, links[0] / links[1].clamp(min=1), overall)
        return mean.gather(1, of_column), mean.gather(1, self.link)
