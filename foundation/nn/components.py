"""Gain, static and dynamic component, kept apart and normalised, from visible entries only.

A column is one (link, response patch) over all times. Its static response is the mean over visible entries along time;
what remains is the dynamics. Where entries are logarithms, the mean over a link is its gain, which automatic gain
control sets per receive chain: it is removed first, or it would drown the shape of the static response. Each component
has its own root-mean-square level. Gains and levels are returned: dividing by them must not destroy them, so the
encoder sees the levels in a context token and the gain in the static tokens of its link, and `restore` inverts the
division before any error is taken. Nothing hidden enters: a column without a visible entry takes its static response
from all entries, but only as the target that the decoder is asked for; a link without one takes the mean of the other
links.

Shapes: B samples, N tokens, E entries a token, C columns, W slots a column ((response, part), part = real, imaginary).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 1e-6
#: Errors are taken of entries up to this many levels of the visible ones: a hidden burst must not own the batch.
CLIP = 5.0

#: What a static token tells of each slot of its column: the mean over time, and three numbers that any gain, filter or
#: furniture leaves alone: how strongly the slot moves and how fast (log of the root-mean-square deviation, and of the
#: difference of neighbouring times, both in units of the dynamic level), and where it goes (slope over the window).
STATISTICS = ("mean", "deviation", "change", "trend")
LEVELS = 3  # numbers that say how strong a signal is, see `Components.levels`
QUIET = 1e-3  # of the dynamic level's power: below it a logarithm would tell of noise


@dataclass(frozen=True)
class Components:
    """Normalised tokens.

    values: [B, N, E]; dynamics tokens hold (x - static) / dynamic level, static tokens `STATISTICS` of their column,
        the mean as (static - offset - gain) / static level.
    static: [B, N, E] what was subtracted under each entry, in signal units.
    gain: [B, N] of the token's link, above the offset; 0 unless entries are logarithms.
    offset, static_level, dynamic_level: [B]. The static level is that of shape and dynamics together.
    """

    values: Tensor
    static: Tensor
    gain: Tensor
    offset: Tensor
    static_level: Tensor
    dynamic_level: Tensor

    def shape_share(self) -> Tensor:
        """[B] root-mean-square of a static response's own shape, in units of the static level."""
        return (1 - (self.dynamic_level / self.static_level).square()).clamp(min=EPSILON).sqrt()

    def levels(self) -> Tensor:
        """[B, 3] what the division removed: offset, log static level, log dynamic level."""
        return torch.stack([self.offset, self.static_level.log(), self.dynamic_level.log()], dim=-1)


def fold_matrices(patch_shapes: Sequence[Sequence[int]]) -> Tensor:
    """0/1 matrices [2 shapes, E, W] that sum a token's entries into the slots of its column.

    Entries of a dynamics token are (time, response, part) flattened, those of a static token (response, part). Index
    2 * shape is the dynamics token of a patch shape, 2 * shape + 1 its static token. Unused entries have empty rows.
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

    column, link: int64 [B, N]; moment: float [B, N], -1 for the first patch in time to 1 for the last; which: int64
    [B, N] index into `fold`; fold: [2 shapes, E, W]; widths: slots of a column, by patch shape.
    """

    column: Tensor
    link: Tensor
    moment: Tensor
    which: Tensor
    fold: Tensor
    widths: tuple[int, ...]

    def mean(self, values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted mean of entries [B, N, E] per slot [B, C, W], and where any weight fell."""
        total, count = self._sum(values * weight), self._sum(weight)
        return total / count.clamp(min=1), count > 0

    def spread(self, slots: Tensor) -> Tensor:
        """Copy slots [B, C, W] to the entries [B, N, E] that they cover; 0 on unused entries."""
        rows = torch.arange(len(slots), device=slots.device)[:, None]
        return self._by_kind(slots[rows, self.column], transposed=True)

    def tell(self, statistics: Tensor) -> Tensor:
        """Statistics [B, C, S, W] as the entries [B, N, E] of their static tokens; 0 in dynamics tokens."""
        out = statistics.new_zeros(*self.column.shape, self.fold.shape[1])
        for shape, width in enumerate(self.widths):
            sample, token = (self.which == 2 * shape + 1).nonzero(as_tuple=True)
            told = statistics[sample, self.column[sample, token], :, :width].flatten(1)[:, : out.shape[-1]]
            out[sample, token, : told.shape[1]] = told
        return out

    def changes(self, values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Differences of neighbouring times within a token, [B, N, E], and their weight; of the last time there is
        none."""
        out, both = torch.zeros_like(values), torch.zeros_like(weight)
        for width in sorted(set(self.widths)):
            shapes = [2 * shape for shape, other in enumerate(self.widths) if other == width]
            chosen = torch.isin(self.which, torch.tensor(shapes, device=self.which.device))
            x, w = values[chosen], weight[chosen]
            step, pair = torch.zeros_like(x), torch.zeros_like(w)
            step[:, :-width], pair[:, :-width] = x[:, width:] - x[:, :-width], w[:, width:] * w[:, :-width]
            out[chosen], both[chosen] = step, pair
        return out, both

    def link_mean(self, slots: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of seen slots [B, C, W] over each link, copied to its columns [B, C] and its tokens [B, N].

        A link of which nothing is seen takes the mean of all.
        """
        batch, count = slots.shape[:2]
        of_column = self.link.new_zeros(batch, count).scatter_(1, self.column, self.link)
        weight = seen.to(slots.dtype)
        total, many = (x.sum(-1) for x in (slots * weight, weight))
        links = slots.new_zeros(2, batch, int(self.link.max()) + 1)
        links[0].scatter_add_(1, of_column, total)
        links[1].scatter_add_(1, of_column, many)
        overall = (total.sum(1) / many.sum(1).clamp(min=1))[:, None]
        mean = torch.where(links[1] > 0, links[0] / links[1].clamp(min=1), overall)
        return mean.gather(1, of_column), mean.gather(1, self.link)

    def _sum(self, values: Tensor) -> Tensor:
        folded = self._by_kind(values, transposed=False)
        batch = len(self.column)
        columns = int(self.column.max()) + 1
        row = self.column + columns * torch.arange(batch, device=values.device)[:, None]
        out = values.new_zeros(batch * columns, folded.shape[-1])
        return out.index_add_(0, row.flatten(), folded.flatten(0, 1)).view(batch, columns, -1)

    def _by_kind(self, x: Tensor, transposed: bool) -> Tensor:
        """x [B, N, in] times the fold matrix of each token's kind."""
        fold = self.fold.to(x.dtype)
        if transposed:
            fold = fold.transpose(1, 2)
        out = x.new_zeros(*x.shape[:2], fold.shape[-1])
        for kind in self.which.unique().tolist():
            chosen = self.which == kind
            out[chosen] = x[chosen] @ fold[kind]
        return out


def split(
    values: Tensor, observed: Tensor, visible: Tensor, static: Tensor, logarithmic: Tensor, columns: Columns
) -> Components:
    """Split raw tokens into normalised components.

    Args:
        values: float [B, N, E] raw entries of dynamics tokens; ignored in static tokens.
        observed: bool [B, N, E] entries that were measured.
        visible: bool [B, N] tokens the encoder may see.
        static: bool [B, N] tokens that stand for the static response of their column. A sample without any (a single
            snapshot) is not split: nothing is subtracted but the offset.
        logarithmic: bool [B] entries are logarithms: a gain is an offset, to be removed by subtraction.
    """
    weight = (observed & ~static[..., None]).to(values.dtype)
    seen = weight * visible[..., None]
    mean_seen, any_seen = columns.mean(values, seen)
    mean_all, _ = columns.mean(values, weight)
    is_split = static.any(1)  # [B]
    seen_column = any_seen & is_split[:, None, None]
    column = torch.where(any_seen, mean_seen, mean_all)
    offset = torch.where(logarithmic, _mean(column, any_seen), 0.0)
    # Of a single snapshot no static token could tell the gain of a link, and of strengths it would be all there is.
    means = columns.link_mean(mean_seen, any_seen)
    by_column, by_token = (
        torch.where(is_split[:, None], mean, offset[:, None]) * logarithmic[:, None] for mean in means
    )

    field = torch.where(is_split[:, None, None], columns.spread(column), by_token[..., None])
    dynamic = values - field
    dynamic_level = _rms(dynamic, seen)
    dynamic = dynamic / dynamic_level[:, None, None]
    # Together with the dynamics: the few columns that a block mask leaves may have hardly any shape of their own, and a
    # flat response, blown up to unit size, taught the encoder the room (2 to 3 points of accuracy in rooms never seen).
    shape = _rms(column - by_column[..., None], seen_column)
    static_level = torch.where(is_split, torch.hypot(shape, dynamic_level), dynamic_level)
    mean = (column - by_column[..., None]) / static_level[:, None, None]
    # As of the mean: where nothing is seen, what the decoder is asked for.
    used = torch.where(columns.spread(any_seen.to(values.dtype)) > 0, seen, weight)
    statistics = torch.stack([mean, *motion(dynamic, used, columns)], dim=2)
    # A visible static token says nothing of slots that only hidden tokens measured.
    told = seen_column[:, :, None] | ~_any_visible(visible & static, columns)
    normalised = torch.where(static[..., None], columns.tell(told * statistics), dynamic)
    gain = by_token - offset[:, None]
    return Components(normalised * observed, field, gain, offset, static_level, dynamic_level)


def motion(dynamic: Tensor, weight: Tensor, columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
    """`STATISTICS` after the mean, of entries [B, N, E] that are centred in time and of unit level: [B, C, W] each."""
    power, _ = columns.mean(dynamic.square(), weight)
    step, pair = columns.changes(dynamic, weight)
    change, known = columns.mean(step.square(), pair)
    moment = columns.moment[..., None]
    place, _ = columns.mean(moment.expand_as(dynamic), weight)
    spread, _ = columns.mean(moment.square().expand_as(dynamic), weight)
    slope, _ = columns.mean(dynamic * moment, weight)
    # Over one patch in time there is no slope to tell.
    trend = slope / (spread - place.square()).clamp(min=0.1)
    return _log_level(power), torch.where(known, _log_level(change), 0.0), trend


def _log_level(power: Tensor) -> Tensor:
    return (power + QUIET).log() / 2


def _any_visible(static: Tensor, columns: Columns) -> Tensor:
    """bool [B, C, 1, 1]: the column's static token is among these."""
    count = int(columns.column.max()) + 1
    found = torch.zeros(len(static), count, device=static.device).scatter_add_(1, columns.column, static.float())
    return (found > 0)[..., None, None]


def restore(values: Tensor, static: Tensor, columns: Columns, components: Components) -> Tensor:
    """Inverse of `split`: normalised [B, N, E] (as predicted or generated) -> raw entries in signal units [B, N, E].

    The static response is read from the static tokens among `values`; static tokens themselves come back as their
    column's static response.
    """
    base = (components.gain + components.offset[:, None])[..., None]
    as_static = values * components.static_level[:, None, None] + base
    column, known = columns.mean(as_static, static[..., None].expand_as(values).to(values.dtype))
    under = torch.where(columns.spread(known.to(values.dtype)) > 0, columns.spread(column), components.static)
    return torch.where(static[..., None], as_static, values * components.dynamic_level[:, None, None] + under)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over all but the first axis."""
    weight = weight.float()
    return (values * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)


def _rms(values: Tensor, weight: Tensor) -> Tensor:
    return _mean(values.square(), weight).sqrt().clamp(min=EPSILON)
