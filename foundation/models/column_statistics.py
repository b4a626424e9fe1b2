"""The statistics of every column in closed form, by column and slot, from the normalised tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from foundation.models.output import EncoderOutput
from foundation.models.structure import batch_rows
from foundation.nn.decomposition import CLIP
from foundation.nn.statistics import STATISTICS

#: Rows of a column, of each slot (response, part): its statistics; the difference of the mean to the next response;
#: and, in the first slot only, the gain of the link.
ROWS = (*STATISTICS, "slope", "gain")


class StatisticsTargets:
    """The `ROWS` of columns from the contents of their summary tokens; `slots` are those of the widest patch.

    Args:
        patch_shapes: (times, responses) of every patch shape.
    """

    def __init__(self, patch_shapes: Sequence[Sequence[int]]) -> None:
        # Neighbouring responses are two entries apart: their real, or their imaginary, parts.
        self.widths = tuple(2 * responses for _, responses in patch_shapes)

    def targets(
        self, values: Float[Tensor, "columns entries"], gain: Float[Tensor, " columns"], shape: int
    ) -> Float[Tensor, "columns rows slots"]:
        """The rows of columns of this patch shape, from the values and gains of their summary tokens with nothing
        hidden; where `known` says so."""
        target = self._by_slot(values.clamp(-CLIP, CLIP), shape)
        slope = nn.functional.pad(target[:, 0, 2:] - target[:, 0, :-2], (0, 2))
        first = nn.functional.pad(gain[:, None], (0, target.shape[-1] - 1))
        return torch.cat([target, slope[:, None], first[:, None]], dim=1)

    def known(self, observed: Bool[Tensor, "columns entries"], shape: int) -> Bool[Tensor, "columns rows slots"]:
        """Which outputs have a target, given which entries of static tokens of this patch shape were measured."""
        seen = self._by_slot(observed, shape)
        slope = nn.functional.pad(seen[:, 0, 2:] & seen[:, 0, :-2], (0, 2))
        first = torch.zeros_like(slope)
        first[:, 0] = True
        return torch.cat([seen, slope[:, None], first[:, None]], dim=1)

    def _by_slot(
        self, entries: Shaped[Tensor, "columns entries"], shape: int
    ) -> Shaped[Tensor, "columns statistics slots"]:
        """Entries of static tokens, by statistic and slot; 0 where a token has none."""
        width = self.widths[shape]
        count = min(len(STATISTICS), entries.shape[1] // width)
        known = entries[:, : count * width].unflatten(1, (count, width))
        return nn.functional.pad(known, (0, max(self.widths) - width, 0, len(STATISTICS) - count))


def column_rows(
    patch_shapes: Sequence[Sequence[int]], output: EncoderOutput, batch: Mapping[str, Tensor]
) -> tuple[Float[Tensor, "batch visible rows slots"], Bool[Tensor, "batch visible rows slots"]]:
    """The `ROWS` at every visible token that summarises a column, and which of them were measured; else 0 and False."""
    visible, components = output.visible, output.components
    assert visible is not None and visible.summary is not None and components is not None
    targets, index = StatisticsTargets(patch_shapes), visible.index
    place = batch_rows(index, batch["static"].shape[1])
    values, gain, observed = (x.flatten(0, 1) for x in (components.values, components.gain, batch["observed"]))
    found = values.new_zeros(index.numel(), len(ROWS), max(targets.widths))
    known = torch.zeros_like(found, dtype=torch.bool)
    for shape, rows in visible.summary.items():
        own = place[rows]
        known[rows] = targets.known(observed[own], shape)
        found[rows] = targets.targets(values[own], gain[own], shape) * known[rows]
    return found.view(*index.shape, *found.shape[1:]), known.view(*index.shape, *known.shape[1:])
