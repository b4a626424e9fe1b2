"""Kernel ridge regression around centres: what kernels of one bandwidth need, whatever their regularisation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

ROWS = 4096  # samples whose kernels are held at a time


class KernelSystem:
    """Normal equations of Gaussian kernels of one bandwidth, made once for every regularisation.

    Of fewer centres than samples, the subset of regressors (Smola and Schoelkopf 2000).

    Args:
        rows: samples, in units of the bandwidth.
        centres: some of them, or all.
        targets: of the samples.

    Attributes:
        reach: largest squared distance of a centre to its nearest; None of a single one.
    """

    def __init__(
        self,
        rows: Float[Tensor, "samples components"],
        centres: Float[Tensor, "centres components"],
        targets: Float[Tensor, "samples outputs"],
    ) -> None:
        between = squares(centres, centres)
        self.gram = torch.exp(-between)
        self.reach = between.fill_diagonal_(torch.inf).amin(1).amax() if len(centres) > 1 else None
        self.every = len(centres) == len(rows)
        if self.every:
            self.right = targets
            return
        self.cross = torch.zeros_like(self.gram)
        self.right = targets.new_zeros(len(centres), targets.shape[1])
        for some, numbers in zip(rows.split(ROWS), targets.split(ROWS), strict=True):
            near = torch.exp(-squares(some, centres))
            self.cross += near.T @ near
            self.right += near.T @ numbers

    def weights(self, ridge: float) -> Float[Tensor, "centres outputs"]:
        """Of the kernel centres; `ridge` is the noise variance of a target, in units of the kernel's variance."""
        unit = torch.eye(len(self.gram), dtype=self.gram.dtype)
        if self.every:
            return torch.linalg.solve(self.gram + ridge * unit, self.right)
        return torch.linalg.solve(self.cross + ridge * self.gram + 1e-8 * unit, self.right)


def squares(left: Float[Tensor, "n components"], right: Float[Tensor, "m components"]) -> Float[Tensor, "n m"]:
    """Squared distance of all pairs of rows."""
    square = left.square().sum(1, keepdim=True) + right.square().sum(1) - 2 * left @ right.T
    return square.clamp(min=0)
