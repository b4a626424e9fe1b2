"""Small models whose every part has an effect, and masks for their batches."""

from __future__ import annotations

import torch

from foundation.data.tokens import Batch
from foundation.models import WfmForMaskedModeling
from foundation.nn.masks import draw_mask
from helpers.signals import tiny_config


def build(seed: int = 0, **changes: object) -> WfmForMaskedModeling:
    """A model whose gates are open, so that every part of it acts on its output."""
    torch.manual_seed(seed)
    made = WfmForMaskedModeling(tiny_config(**changes)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def hide(batch: Batch, seed: int = 0, kind: str = "random") -> torch.Tensor:
    """Visible tokens of a batch under a mask of this kind."""
    generator = torch.Generator().manual_seed(seed)
    return draw_mask(batch["grid"], batch["observed"].any(-1), batch["static"], (0.5, 0.7), {kind: 1.0}, generator)
