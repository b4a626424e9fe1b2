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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

EPSILON = 1e-6  # of a column's strength: dynamics below it are rounding
#: Levels below it count as silence. Radar echoes of ordinary rooms are 1e-7 of what was sent.
SILENCE = 1e-12
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

    def slots(self, values: Tensor) -> Tensor:
        """Entries [B, N, E] of dynamics tokens, summed over the times of each: [B, N, W]."""
        return self._each(lambda shape, x: x @ self.fold[2 * shape].to(x.dtype), values)

    def unfold(self, slots: Tensor) -> Tensor:
        """Slots [B, N, W] at the entries [B, N, E] of dynamics tokens that they cover; 0 on unused entries."""
        return self._each(lambda shape, x: x @ self.fold[2 * shape].T.to(x.dtype), slots)

    def changes(self, values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Squares of the differences of neighbouring times within a dynamics token, summed, and how many there are:
        entries [B, N, E] -> [B, N, W] twice."""

        def both(shape: int, x: Tensor, w: Tensor) -> Tensor:
            width = self.widths[shape]
            pair = w[..., width:] * w[..., :-width]
            step = (x[..., width:] - x[..., :-width]).square_().mul_(pair)
            fold = self.fold[2 * shape, :-width].to(x.dtype)
            return torch.cat([step @ fold, pair @ fold], dim=-1)

        square, count = self._each(both, values, weight).chunk(2, dim=-1)
        return square, count

    def collect(self, *slots: Tensor) -> tuple[Tensor, ...]:
        """Sums of each [B, N, W] over the tokens of a column: [B, C, W]."""
        joined = torch.cat(slots, dim=-1)
        batch, columns = len(joined), int(self.column.max()) + 1
        row = self.column + columns * torch.arange(batch, device=joined.device)[:, None]
        out = joined.new_zeros(batch * columns, joined.shape[-1]).index_add_(0, row.flatten(), joined.flatten(0, 1))
        return out.view(batch, columns, -1).split([x.shape[-1] for x in slots], dim=-1)

    def at_tokens(self, slots: Tensor) -> Tensor:
        """Slots of columns [B, C, W] at their tokens [B, N, W]."""
        return slots[torch.arange(len(slots), device=slots.device)[:, None], self.column]

    @cached_property
    def within(self) -> Tensor:
        """bool [B, 1, W]: slots that the columns of a sample have."""
        return self.fold[1::2].any(1)[self.which[:, 0] // 2][:, None]

    @cached_property
    def _samples(self) -> dict[int, Tensor]:
        """Patch shape -> samples that are cut by it: all tokens of a sample are."""
        shape = self.which[:, 0] // 2
        return {index: (shape == index).nonzero().squeeze(1) for index in shape.unique().tolist()}

    def _each(self, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """function(patch shape, rows of the tensors [B, ...]), for the samples of each shape."""
        if len(self._samples) == 1:
            return function(*self._samples, *tensors)
        found = torch.cat([function(shape, *(x[rows] for x in tensors)) for shape, rows in self._samples.items()])
        return found[torch.cat(list(self._samples.values())).argsort()]

    def tell(self, statistics: Tensor, observed: Tensor, values: Tensor) -> None:
        """Write the statistics [B, C, S, W] of every column into the observed entries of its static token, in `values`
        [B, N, E]."""
        for shape, width in enumerate(self.widths):
            sample, token = (self.which == 2 * shape + 1).nonzero(as_tuple=True)
            told = statistics[sample, self.column[sample, token], :, :width].flatten(1)[:, : values.shape[-1]]
            entries = sample, token, slice(told.shape[1])
            values[entries] = told * observed[entries]

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
    # A token is seen as a whole or not at all: its slots are summed once, for what is seen and for all.
    weight, shown = (observed & ~static[..., None]).to(values.dtype), visible[..., None].to(values.dtype)
    measured = values * weight
    total, count = columns.slots(measured), columns.slots(weight)
    seen_total, seen_count, all_total, all_count = columns.collect(total * shown, count * shown, total, count)
    mean_seen, any_seen = seen_total / seen_count.clamp(min=1), seen_count > 0
    mean_all = all_total / all_count.clamp(min=1)
    is_split = static.any(1)  # [B]
    seen_column = any_seen & is_split[:, None, None]
    column = torch.where(any_seen, mean_seen, mean_all)
    offset = torch.where(logarithmic, _mean(column, any_seen), 0.0)
    # Of a single snapshot no static token could tell the gain of a link, and of strengths it would be all there is.
    means = columns.link_mean(mean_seen, any_seen)
    by_column, by_token = (
        torch.where(is_split[:, None], mean, offset[:, None]) * logarithmic[:, None] for mean in means
    )

    under = torch.where(is_split[:, None, None], column, by_column[..., None])
    field = columns.unfold(columns.at_tokens(under))
    dynamic = torch.sub(values, field, out=measured).mul_(weight)  # all of this is as slow as memory: one array less
    power = columns.slots(dynamic.square())
    dynamic_level = _level((power * shown).flatten(1).sum(1), (count * shown).flatten(1).sum(1))
    dynamic_level = torch.maximum(dynamic_level, EPSILON * _rms(column, any_seen))
    dynamic.div_(dynamic_level[:, None, None])
    # Together with the dynamics: the few columns that a block mask leaves may have hardly any shape of their own, and a
    # flat response, blown up to unit size, taught the encoder the room (2 to 3 points of accuracy in rooms never seen).
    shape = _rms(column - by_column[..., None], seen_column)
    static_level = torch.where(is_split, torch.hypot(shape, dynamic_level), dynamic_level)
    mean = (column - by_column[..., None]) / static_level[:, None, None]
    # As of the mean: where nothing is seen, what the decoder is asked for.
    used = torch.where(columns.at_tokens(any_seen), shown, 1.0)
    power = power / dynamic_level.square()[:, None, None]
    statistics = torch.stack([mean, *motion(dynamic, weight, power, count, used, columns)], dim=2)
    # A visible static token says nothing of slots that only hidden tokens measured.
    told = seen_column[:, :, None] | ~_any_visible(visible & static, columns)
    columns.tell(told * statistics, observed, dynamic)
    gain = by_token - offset[:, None]
    return Components(dynamic, field, gain, offset, static_level, dynamic_level)


def motion(
    dynamic: Tensor, weight: Tensor, power: Tensor, count: Tensor, used: Tensor, columns: Columns
) -> tuple[Tensor, Tensor, Tensor]:
    """`STATISTICS` after the mean: [B, C, W] each.

    Args:
        dynamic: entries [B, N, E] centred in time and of unit level, 0 where weight [B, N, E] is: not measured.
        power, count: sums of their squares, and how many there are, by token and slot [B, N, W].
        used: [B, N, W] 1 for the tokens that a slot is told from, 0 for the others.
    """
    moment = columns.moment[..., None]
    many, turn = count * used, columns.slots(dynamic) * moment
    step, pair = columns.changes(dynamic, weight)
    parts = (many, many * moment, many * moment.square(), power * used, turn * used, step * used, pair * used)
    total, *sums, step, pair = columns.collect(*parts)
    place, spread, square, slope = (x / total.clamp(min=1) for x in sums)
    change = torch.where(pair > 0, _log_level(step / pair.clamp(min=1)), 0.0)
    # Over one patch in time there is no slope to tell.
    trend = slope / (spread - place.square()).clamp(min=0.1)
    return _log_level(square), change, trend


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
    told = (static[..., None] & columns.within).to(values.dtype)
    # The mean is the first that a static token tells.
    total, count = columns.collect(as_static[..., : told.shape[-1]] * told, told)
    known, column = (columns.unfold(columns.at_tokens(x)) for x in (count, total / count.clamp(min=1)))
    under = torch.where(known > 0, column, components.static)
    return torch.where(static[..., None], as_static, values * components.dynamic_level[:, None, None] + under)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over all but the first axis."""
    weight = weight.float()
    return (values * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)


def _rms(values: Tensor, weight: Tensor) -> Tensor:
    return _mean(values.square(), weight).sqrt().clamp(min=SILENCE)


def _level(power: Tensor, count: Tensor) -> Tensor:
    return (power / count.clamp(min=1)).sqrt().clamp(min=SILENCE)
