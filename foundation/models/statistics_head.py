"""Statistics head: predicts the statistics of a column linearly from its summary token.

Summary tokens are the static tokens, one per column; of a single snapshot, its patches. What only the decoder reads may
be spread over all tokens; what a linear map of one token predicts is available to any head. Trained by masked feature
prediction (Wei et al. 2022, arXiv 2112.09133), see `StatisticsHead.error`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from foundation.models.config import WfmConfig
from foundation.nn.decomposition import CLIP
from foundation.nn.statistics import STATISTICS

#: Rows of the output, of each slot (response, part) of a column: its statistics; the difference of the mean to the next
#: response; and, in the first slot only, the gain of the link.
ROWS = (*STATISTICS, "slope", "gain")


class Summaries(NamedTuple):
    """Columns of one patch shape.

    Attributes:
        shape: index of the patch shape.
        tokens: that summarise them, of the encoder.
        values, gain: of the same tokens with nothing hidden, see `Components`.
        observed: entries that were measured.
    """

    shape: int
    tokens: Float[Tensor, "columns width"]
    values: Float[Tensor, "columns entries"]
    gain: Float[Tensor, " columns"]
    observed: Bool[Tensor, "columns entries"]


class StatisticsTargets(nn.Module):
    """The `ROWS` of columns in closed form: what the statistics head is trained to predict; `slots` are those of the
    widest patch."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        # Neighbouring responses are two entries apart: their real, or their imaginary, parts.
        self.widths = tuple(2 * responses for _, responses in config.patch_shapes)

    @property
    def is_trained(self) -> bool:
        """Whether the rows mean anything; in closed form they do."""
        return True

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


class StatisticsHead(StatisticsTargets):
    """Linear map from summary tokens to the `ROWS` of their column."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__(config)
        self.project = nn.Linear(config.hidden_size, len(ROWS) * max(self.widths))

    def forward(self, summary: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens rows slots"]:
        return self.project(summary.to(self.project.weight.dtype)).unflatten(-1, (len(ROWS), -1))

    @property
    def is_trained(self) -> bool:
        """Whether its loss had a weight: biases start at 0, and without a gradient they stay there."""
        return bool(self.project.bias.any())

    def error(self, columns: Iterable[Summaries]) -> Float[Tensor, ""]:
        """Mean squared error of the prediction, for columns of which the encoder saw a part."""
        total, count = (
            torch.stack(parts).sum() for parts in zip(*(self._error(*each) for each in columns), strict=True)
        )
        return total / count.clamp(min=1)

    def _error(
        self,
        shape: int,
        summary: Float[Tensor, "columns width"],
        values: Float[Tensor, "columns entries"],
        gain: Float[Tensor, " columns"],
        observed: Bool[Tensor, "columns entries"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Sum of squared errors, and how many outputs have a target."""
        target = self.targets(values, gain, shape)
        weight = self.known(observed, shape).to(target.dtype)
        return ((self(summary).float() - target).square() * weight).sum(), weight.sum()
