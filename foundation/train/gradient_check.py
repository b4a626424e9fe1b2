"""Finiteness check of gradients under ZeRO, which partitions gradients as soon as they are computed."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LocalGradients:
    """Records by hooks whether any local gradient of a network is not finite, before the reduction over processes."""

    def __init__(self, network: nn.Module) -> None:
        self._broken: Tensor | None = None
        for parameter in network.parameters():
            parameter.register_hook(self._check)

    def _check(self, gradient: Tensor) -> None:
        broken = ~torch.isfinite(gradient).all()
        self._broken = broken if self._broken is None else self._broken | broken

    def broken(self) -> bool:
        """Whether any gradient since the last call was not finite."""
        broken, self._broken = self._broken, None
        return broken is not None and bool(broken)
