"""The statistics of every column, computed: what an encoder is compared with whose statistics head predicts them.

In the place of an encoder, so that poolings and heads are the same: each summary token holds the exact targets of the
statistics head, the context tokens hold what they are embedded from, and no weight is learnt.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foundation.models.batch import checked_batch
from foundation.models.config import WfmConfig
from foundation.models.normaliser import Normaliser
from foundation.models.output import EncoderOutput
from foundation.models.statistics_head import ROWS, StatisticsTargets
from foundation.models.structure import CONTEXT_TOKENS, Visible, batch_rows
from foundation.nn.columns import fold_matrices


class ClosedForm(Normaliser, nn.Module):
    """Statistics in the place of an encoder; the width of its tokens is its `config.hidden_size`.

    Args:
        config: how signals are cut into tokens (patch shapes, views); its sizes are not used.
    """

    fold: Tensor

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        self.statistics_head = Readout(config)
        width = len(ROWS) * max(self.statistics_head.widths)
        cut = {"patch_shapes": config.patch_shapes, "views": config.views, "positions": config.positions}
        self.config = WfmConfig(hidden_size=width, heads=1, links=config.links, **cut)
        self.register_buffer("fold", fold_matrices(config.patch_shapes))

    def forward(self, visible: Visible, **batch: Any) -> EncoderOutput:
        """Statistics of the columns of a batch as tokens; dynamics tokens of a split signal are 0.

        Args:
            visible, batch: as `foundation.models.structure.inputs_of` makes them: every measured token is visible.
        """
        batch = checked_batch(batch)
        components = self.components(batch, visible.mask)
        own = batch_rows(visible.index, batch["static"].shape[1])
        values, gain, observed = (
            each.flatten(0, 1)[own] for each in (components.values, components.gain, batch["observed"])
        )
        tokens = values.new_zeros(len(values), self.config.hidden_size)
        assert visible.summary is not None
        for shape, rows in visible.summary.items():
            head = self.statistics_head
            found = head.targets(values[rows], gain[rows], shape) * head.known(observed[rows], shape)
            tokens[rows] = found.flatten(1)
        context = torch.stack([self._wide(batch["radio"].nan_to_num(0.0)), self._wide(components.levels())], dim=1)
        keep = torch.cat([visible.real.new_ones(len(context), CONTEXT_TOKENS), visible.real], dim=1)
        return EncoderOutput(
            last_hidden_state=torch.cat([context, tokens.view(*visible.index.shape, -1)], dim=1),
            keep=keep,
            index=visible.index,
            components=components,
            structure=batch["structure"],
            visible=visible,
        )

    def _wide(self, numbers: Float[Tensor, "batch few"]) -> Float[Tensor, "batch width"]:
        return nn.functional.pad(numbers, (0, self.config.hidden_size - numbers.shape[1]))


class Readout(StatisticsTargets):
    """In the place of the statistics head: the tokens are its rows already."""

    def forward(self, summary: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens rows slots"]:
        return summary.unflatten(-1, (len(ROWS), -1))
