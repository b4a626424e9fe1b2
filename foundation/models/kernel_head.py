"""The heads of a task, solved in closed form on pooled features and differentiable afterwards; a stack weighs them.

A kernel machine is a sum of Gaussian kernels around training samples, one output per class (Saunders et al. 1998; as a
classifier, the least-squares support vector machine of Suykens and Vandewalle 1999). A linear head needs linearly
separable classes, which locations in a room are not: across days of training recordings its accuracy on eight locations
was 50 to 70 % where a kernel machine had 88 %. But where no training sample is near, as in another room, a Gaussian has
nothing to say: a linear head still tells there, and the kernel head does not decay beyond its `reach`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from foundation.models.kernel_system import squares
from foundation.models.projected import Projected
from foundation.nn.precision import SinglePrecision

UNLIMITED = torch.tensor(torch.finfo(torch.float32).max)  # reach of a kernel that always decays


class Head(SinglePrecision):
    """A part of a stack: maps pooled features to class logits or regression targets.

    Args:
        unit: type of the outputs: single precision for logits, double for numbers, whose mean may be millions of times
            their spread (coordinates in metres).
    """

    mean: Tensor
    project: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(self, features: int, outputs: int, width: int, unit: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("project", torch.zeros(features, width))
        self.register_buffer("target_mean", torch.zeros(outputs, dtype=unit))
        self.register_buffer("target_std", torch.ones(outputs, dtype=unit))

    def forward(self, pooled: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        projected = (pooled.to(self.mean.dtype) - self.mean) @ self.project
        return self.standardised(projected) * self.target_std + self.target_mean

    def standardised(self, projected: Float[Tensor, "batch width"]) -> Float[Tensor, "batch outputs"]:
        """Outputs in units of `target_std` from the `target_mean`."""
        raise NotImplementedError

    def _takes(self, samples: Projected, bandwidth: float = 1.0) -> None:
        self.mean.copy_(samples.mean)
        self.project.copy_(samples.project / bandwidth)
        self.target_mean.copy_(samples.target_mean)
        self.target_std.copy_(samples.target_std)


class KernelHead(Head):
    """Sum of Gaussian kernels around training samples.

    Farther from all centres than any training sample is from the others (`reach`, a squared distance), distances count
    from there on: the prediction is then that of the nearest training samples, and does not fade to the mean target.
    """

    centres: Tensor
    reach: Tensor

    def __init__(
        self, features: int, outputs: int, width: int, centres: int, unit: torch.dtype = torch.float32
    ) -> None:
        super().__init__(features, outputs, width, unit)
        self.register_buffer("centres", torch.zeros(centres, width))
        self.register_buffer("reach", UNLIMITED.clone())
        self.weight = nn.Parameter(torch.zeros(centres, outputs))

    def standardised(self, projected: Float[Tensor, "batch width"]) -> Float[Tensor, "batch outputs"]:
        square = squares(projected, self.centres)
        beyond = nn.functional.relu(square.amin(1, keepdim=True) - self.reach)
        return torch.exp(beyond - square) @ self.weight

    @classmethod
    def fitted(
        cls,
        features: Float[Tensor, "samples features"],
        targets: Int[Tensor, " samples"] | Float[Tensor, "samples outputs"],
        outputs: int,
        seed: int,
        ridge: float,
        bandwidth: float,
    ) -> KernelHead:
        """Fit a head to frozen features by ridge regression.

        Args:
            targets: classes below `outputs`, or numbers.
            seed: draws the kernel centres, where there are more than `projected.CENTRES` samples.
            ridge, bandwidth: see `of`.
        """
        return cls.of(Projected(features, targets, outputs, seed), ridge, bandwidth)

    @classmethod
    @torch.no_grad()
    def of(cls, samples: Projected, ridge: float, bandwidth: float) -> KernelHead:
        """Fit a head by ridge regression.

        Args:
            ridge: regularisation: noise variance of a target, in units of the kernel's variance.
            bandwidth: of the kernel, in units of the root-mean-square distance of the samples from their mean.
        """
        system, centres = samples.kernels(bandwidth), samples.centres / bandwidth
        head = cls(len(samples.mean), samples.targets.shape[1], centres.shape[1], len(centres), samples.unit)
        head._takes(samples, bandwidth)
        head.centres.copy_(centres)
        head.weight.copy_(system.weights(ridge))
        if system.reach is not None:
            head.reach.copy_(system.reach)
        return head


class RidgeHead(Head):
    """Linear map of the principal components."""

    def __init__(self, features: int, outputs: int, width: int, unit: torch.dtype = torch.float32) -> None:
        super().__init__(features, outputs, width, unit)
        self.weight = nn.Parameter(torch.zeros(width, outputs))

    def standardised(self, projected: Float[Tensor, "batch width"]) -> Float[Tensor, "batch outputs"]:
        return projected @ self.weight

    @classmethod
    @torch.no_grad()
    def of(cls, samples: Projected, ridge: float) -> RidgeHead:
        """Fit a head by ridge regression.

        Args:
            ridge: noise variance of a target, in units of the variance of what is predicted.
        """
        x = samples.rows
        system = x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype)
        head = cls(len(samples.mean), samples.targets.shape[1], x.shape[1], samples.unit)
        head._takes(samples)
        head.weight.copy_(torch.linalg.solve(system, x.T @ samples.targets))
        return head
