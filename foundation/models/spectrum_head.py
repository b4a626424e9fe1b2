"""Spectrum head: predicts how strong and how fast a hidden patch varies, band by band.

The waveform of a hidden patch cannot be known where its phase cannot; the power in its Doppler bands can. Masked
feature prediction (Wei et al. 2022, arXiv 2112.09133), whose histograms of gradients are to images what these are here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from foundation.models.config import WfmConfig
from foundation.models.masked_loss import Hidden
from foundation.nn.delay_doppler import EDGES, Bands


class SpectrumHead(nn.Module):
    """Linear map from condition vectors to the log powers of `foundation.nn.delay_doppler.Bands`."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        self.bands = nn.ModuleList(Bands(times, responses) for times, responses in config.patch_shapes)
        self.project = nn.ModuleList(nn.Linear(config.decoder_size, len(EDGES)) for _ in config.patch_shapes)

    def loss(self, hidden: Hidden, patches: Sequence[Int[Tensor, " _"]]) -> Float[Tensor, ""]:
        """Mean squared error over the hidden patches; `patches` are the rows of `hidden` of each patch shape."""
        errors = []
        for bands, project, rows in zip(self.bands, self.project, patches, strict=True):
            target = bands(hidden.target[rows])
            found = project(hidden.condition[rows]).float()[:, : target.shape[1]]
            errors.append((found - target).square().mean(1))
        # Their sum over no patch is 0, and still has a gradient: every parameter takes part in every step.
        return torch.cat(errors).sum() / max(1, sum(len(rows) for rows in patches))
