"""The heads that a stack weighs on every pooling, by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from foundation.models import KernelHead
from foundation.models.kernel_head import Head, RidgeHead
from foundation.models.projected import CENTRES, Projected

#: Kernels from weak regularisation (clean labels, well separated classes) to strong (labels that other recordings
#: contradict); and what still tells where no training sample is near.
CANDIDATES: dict[str, Callable[[Projected], Head]] = {
    "kernel-weak": lambda samples: KernelHead.of(samples, ridge=0.01, bandwidth=2.0),
    "kernel": lambda samples: KernelHead.of(samples, ridge=0.1, bandwidth=1.0),
    "kernel-strong": lambda samples: KernelHead.of(samples, ridge=1.0, bandwidth=1.0),
    "linear": lambda samples: RidgeHead.of(samples, ridge=0.1),
}


def projected(features: np.ndarray, targets: np.ndarray, outputs: int, seed: int, most: int = CENTRES) -> Projected:
    """Training samples for any candidate; features [n, F], or [K, n, F] with copies; at most so many kernel centres."""
    return Projected(*stacked(features, targets), outputs, seed, most)


def stacked(features: np.ndarray, targets: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Flatten copies: features [n, F] or [K, n, F] and targets [n, ...] to [K n, F] and [K n, ...]."""
    x = torch.from_numpy(features.reshape(-1, features.shape[-1]))
    y = torch.from_numpy(targets)
    return x, torch.cat([y] * (len(x) // len(y)))
