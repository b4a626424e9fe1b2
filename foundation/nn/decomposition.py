"""Decomposition of a signal into gain, static and dynamic component, each normalised, from visible entries only.

A column is one (link, response patch) over all times. Its static response is the mean over visible entries along time;
the remainder is the dynamic component. Where entries are logarithms, the mean over a link is its gain, which automatic
gain control sets per receive chain; it is removed first, or it would dominate the shape of the static response. Each
component is divided by its own root-mean-square level. Gains and levels are kept: the encoder reads the levels in a
context token and the gain in the static tokens of its link, and `restore` inverts the normalisation.

No hidden entry has any influence on what the encoder sees: a column without a visible entry takes its static response
from all its entries, but only as a target of the decoder; a link without one takes the mean over the other links.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foundation.nn.columns import Columns
from foundation.nn.statistics import motion

EPSILON = 1e-6  # in units of the column's strength: dynamics below it are rounding errors
#: Levels below it count as silence. Radar echoes of ordinary rooms are 1e-7 of the transmitted amplitude.
SILENCE = 1e-12
#: Targets of a loss are clamped to this many levels of the visible entries, or a hidden burst would dominate the batch.
CLIP = 5.0
LEVELS = 3  # numbers of `Components.levels`


@dataclass(frozen=True)
class Components:
    """Normalised tokens, and what the normalisation removed.

    Attributes:
        values: of dynamics tokens (x - static) / dynamic level; of static tokens the statistics of their column (see
            `foundation.nn.statistics`), the mean as (static - offset - gain) / static level.
        static: what was subtracted from each entry, in signal units.
        gain: of each token's link, relative to the offset; 0 unless entries are logarithms.
        offset: mean over the sample; 0 unless entries are logarithms.
        static_level: root-mean-square level of static shape and dynamics together.
        dynamic_level: root-mean-square level of the dynamics.
    """

    values: Float[Tensor, "batch tokens entries"]
    static: Float[Tensor, "batch tokens entries"]
    gain: Float[Tensor, "batch tokens"]
    offset: Float[Tensor, " batch"]
    static_level: Float[Tensor, " batch"]
    dynamic_level: Float[Tensor, " batch"]

    def shape_share(self) -> Float[Tensor, " batch"]:
        """Root-mean-square level of the shape of the static response, in units of the static level."""
        return (1 - (self.dynamic_level / self.static_level).square()).clamp(min=EPSILON).sqrt()

    def levels(self) -> Float[Tensor, "batch 3"]:
        """Offset, log of the static level, log of the dynamic level."""
        return torch.stack([self.offset, self.static_level.log(), self.dynamic_level.log()], dim=-1)


torch.export.register_dataclass(Components)  # a part of the encoder's output, which a graph must be able to return


def split(
    values: Float[Tensor, "batch tokens entries"],
    observed: Bool[Tensor, "batch tokens entries"],
    visible: Bool[Tensor, "batch tokens"],
    static: Bool[Tensor, "batch tokens"],
    logarithmic: Bool[Tensor, " batch"],
    columns: Columns,
) -> Components:
    """Split raw tokens into normalised components.

    Args:
        values: raw entries of dynamics tokens; ignored in static tokens.
        observed: entries that were measured.
        visible: tokens the encoder may see.
        static: static tokens. A sample without any (a single snapshot) is not split: only the offset is subtracted.
        logarithmic: entries are logarithms, in which a gain is an offset.
    """
    weight, shown = (observed & ~static[..., None]).to(values.dtype), visible[..., None].to(values.dtype)
    measured = values * weight
    total, count = columns.to_slots(measured), columns.to_slots(weight)
    # A token is visible or hidden as a whole: entries are summed once, for the mean over visible ones and over all.
    visible_total, visible_count, total_all, count_all = columns.sum_tokens(total * shown, count * shown, total, count)
    visible_mean, has_visible = visible_total / visible_count.clamp(min=1), visible_count > 0
    response = torch.where(has_visible, visible_mean, total_all / count_all.clamp(min=1))
    is_split = static.any(1)
    offset = torch.where(logarithmic, _mean(response, has_visible), 0.0)
    # A single snapshot has no static token to carry the gain of a link, and of signal strengths nothing would be left.
    column_gain, token_gain = (
        torch.where(is_split[:, None], mean, offset[:, None]) * logarithmic[:, None]
        for mean in columns.link_mean(visible_mean, has_visible)
    )
    base = torch.where(is_split[:, None, None], response, column_gain[..., None])
    subtracted = columns.to_entries(columns.at_tokens(base))
    dynamic = torch.sub(values, subtracted, out=measured).mul_(weight)  # bound by memory bandwidth: one array less
    power = columns.to_slots(dynamic.square())
    dynamic_level = _level((power * shown).flatten(1).sum(1), (count * shown).flatten(1).sum(1))
    dynamic_level = torch.maximum(dynamic_level, EPSILON * _rms(response, has_visible))
    dynamic.div_(dynamic_level[:, None, None])
    shape, has_shape = response - column_gain[..., None], has_visible & is_split[:, None, None]
    # Level of shape and dynamics together: the few columns that a block mask leaves may have hardly any shape, and
    # scaling it to unit size taught the encoder the room (2 to 3 points of accuracy in unseen rooms).
    static_level = torch.where(is_split, torch.hypot(_rms(shape, has_shape), dynamic_level), dynamic_level)
    # As for the mean: from visible tokens where the slot has any, else from all, as a target of the decoder.
    used = torch.where(columns.at_tokens(has_visible), shown, 1.0)
    power = power / dynamic_level.square()[:, None, None]
    mean = shape / static_level[:, None, None]
    statistics = torch.stack([mean, *motion(dynamic, weight, power, count, used, columns)], dim=2)
    # A visible static token is 0 in slots that only hidden tokens measured.
    known = has_shape[:, :, None] | ~columns.any_token(visible & static)[..., None, None]
    columns.write_statistics(known * statistics, observed, dynamic)
    return Components(dynamic, subtracted, token_gain - offset[:, None], offset, static_level, dynamic_level)


def restore(
    values: Float[Tensor, "batch tokens entries"],
    static: Bool[Tensor, "batch tokens"],
    columns: Columns,
    components: Components,
) -> Float[Tensor, "batch tokens entries"]:
    """Inverse of `split`: normalised entries (as predicted or generated) -> raw entries in signal units.

    The static response is read from the static tokens among `values`; static tokens themselves come back as the static
    response of their column.
    """
    base = (components.gain + components.offset[:, None])[..., None]
    as_static = values * components.static_level[:, None, None] + base
    weight = (static[..., None] & columns.used_slots).to(values.dtype)
    # The mean is the first of the statistics: the first entries of a static token.
    total, count = columns.sum_tokens(as_static[..., : weight.shape[-1]] * weight, weight)
    known, response = (columns.to_entries(columns.at_tokens(x)) for x in (count, total / count.clamp(min=1)))
    base = torch.where(known > 0, response, components.static)
    return torch.where(static[..., None], as_static, values * components.dynamic_level[:, None, None] + base)


def _mean(values: Float[Tensor, " batch *rest"], weight: Bool[Tensor, " batch *rest"]) -> Float[Tensor, " batch"]:
    """Mean over all but the first axis where `weight` is True; 0 where it never is."""
    weight = weight.float()
    return (values * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)


def _rms(values: Float[Tensor, " batch *rest"], weight: Bool[Tensor, " batch *rest"]) -> Float[Tensor, " batch"]:
    return _mean(values.square(), weight).sqrt().clamp(min=SILENCE)


def _level(power: Float[Tensor, " batch"], count: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    return (power / count.clamp(min=1)).sqrt().clamp(min=SILENCE)
