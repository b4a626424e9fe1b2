"""The encoder's account, in plain numbers, of what it saw: one line through each of its summary tokens.

Summary tokens are the static tokens, one a column; of a single snapshot, its patches. What only a decoder reads may be
scattered over all tokens; what a line through one token must read is there for any head. Learned by masked feature
prediction (Wei et al. 2022, arXiv 2112.09133), see `StatisticsHead.error`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foundation.models.config import WfmConfig
from foundation.nn.decomposition import CLIP, STATISTICS

#: What is told of each slot (response, part) of a column: its statistics, the step of the mean to the next response,
#: and once, in the first slot, the gain of the link.
ROWS = (*STATISTICS, "slope", "gain")


class StatisticsHead(nn.Module):
    """Summary tokens [..., H] -> `ROWS` of their column [..., R, W]; W slots, those of the widest patch."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        # Neighbouring responses are two entries apart: their real, or their imaginary, parts.
        self.widths = tuple(2 * responses for _, responses in config.patch_shapes)
        self.project = nn.Linear(config.hidden_size, len(ROWS) * max(self.widths))

    def forward(self, summary: Tensor) -> Tensor:
        return self.project(summary).unflatten(-1, (len(ROWS), -1))

    def error(self, summary: Tensor, values: Tensor, gain: Tensor, observed: Tensor, shape: Tensor) -> Tensor:
        """Mean square error of what is told of n columns, of which the encoder saw a part; a scalar.

        Args:
            summary: [n, H].
            values, gain: [n, E], [n] of the same tokens with nothing hidden, see `Components`.
            observed: bool [n, E]. shape: int64 [n], index of the patch shape.
        """
        truth = self._by_slot(values.clamp(-CLIP, CLIP), shape)
        slope = nn.functional.pad(truth[:, 0, 2:] - truth[:, 0, :-2], (0, 2))
        first = nn.functional.pad(gain[:, None], (0, truth.shape[-1] - 1))
        truth = torch.cat([truth, slope[:, None], first[:, None]], dim=1)
        weight = self.known(observed, shape).to(truth.dtype)
        return ((self(summary).float() - truth).square() * weight).sum() / weight.sum().clamp(min=1)

    def known(self, observed: Tensor, shape: Tensor) -> Tensor:
        """Where there is something to tell: observed bool [n, E], shape int64 [n] -> bool [n, R, W]."""
        seen = self._by_slot(observed, shape)
        slope = nn.functional.pad(seen[:, 0, 2:] & seen[:, 0, :-2], (0, 2))
        first = torch.zeros_like(slope)
        first[:, 0] = True
        return torch.cat([seen, slope[:, None], first[:, None]], dim=1)

    def _by_slot(self, entries: Tensor, shape: Tensor) -> Tensor:
        """Entries [n, E] of tokens of mixed patch shapes -> [n, S, W], 0 where a token has none."""
        out = entries.new_zeros(len(entries), len(STATISTICS), max(self.widths))
        for which, width in enumerate(self.widths):
            rows = shape == which
            told = min(len(STATISTICS), entries.shape[1] // width)
            out[rows, :told, :width] = entries[rows, : told * width].unflatten(1, (told, width))
        return out
