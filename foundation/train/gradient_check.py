"""Gradients under ZeRO, which cuts them up as soon as they are there: seen before that, by each process its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LocalGradients:
    """Watches whether any gradient of a network is not finite, before processes add theirs up."""

    def __init__(self, network: nn.Module) -> None:
        self._broken: Tensor | None = None
        for parameter in network.parameters():
            parameter.register_hook(self._see)

    def _see(self, gradient: Tensor) -> None:
        broken = ~torch.isfinite(gradient).all()
        self._broken = broken if self._broken is None else self._broken | broken

    def broken(self) -> bool:
        """Whether one was, since the last call."""
        broken, self._broken = self._broken, None
        return broken is not None and bool(broken)
