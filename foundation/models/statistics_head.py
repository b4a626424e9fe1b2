"""Statistics head: predicts the statistics of a column linearly from its summary token.

Summary tokens are the static tokens, one per column; of a single snapshot, its patches. What only the decoder reads may
be spread over all tokens; what a linear map of one token predicts is available to any head. Trained by masked feature
prediction (Wei et al. 2022, arXiv 2112.09133), see `StatisticsHead.error`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from foundation.models.column_statistics import ROWS, StatisticsTargets
from foundation.models.config import WfmConfig


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


class StatisticsHead(StatisticsTargets, nn.Module):
    """Linear map from summary tokens to the `ROWS` of their column."""

    def __init__(self, config: WfmConfig) -> None:
        nn.Module.__init__(self)
        StatisticsTargets.__init__(self, config.patch_shapes)
        self.project = nn.Linear(config.hidden_size, len(ROWS) * max(self.widths))

    def forward(self, summary: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens rows slots"]:
        return self.project(summary.to(self.project.weight.dtype)).unflatten(-1, (len(ROWS), -1))

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
