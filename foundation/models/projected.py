"""Samples as the parts of a stack see them: standardised features on their principal components, and their targets."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from foundation.models.kernel_system import KernelSystem

PCA_COMPONENTS = 256  # principal components of the features, on which heads act
PCA_SAMPLES = 512  # training samples from which the principal components are computed
CENTRES = 2048  # most kernel centres; of more training samples a random subset, fitted to all samples
PART_ENTRIES = 2**25  # of the features that are held in double precision at a time
#: Inverse temperature of class outputs, which are regressed to 0 and 1: a margin of one is then near certainty.
LOGIT_SCALE = 8.0


class Projected:
    """Training samples of all heads on one pooling: what costs most is computed once.

    Args:
        features: of the samples.
        targets: classes below `outputs`, or numbers.
        seed: of the order of the samples, the first of which give principal components and kernel centres.
        most: kernel centres.

    Attributes:
        mean, project: of (features - mean) @ project, the components in units of their root-mean-square norm.
        rows: the samples so projected.
        order: of the samples.
        centres: rows around which kernels stand.
        targets: centred, in units of `target_std`; of classes 0 and 1, and the units those of logits.
        target_mean, target_std: as an output of 0, or of 1 more.
        unit: type of the outputs.
    """

    def __init__(
        self,
        features: Float[Tensor, "samples features"],
        targets: Int[Tensor, " samples"] | Float[Tensor, "samples outputs"],
        outputs: int,
        seed: int,
        most: int = CENTRES,
    ) -> None:
        x, classes = Standardised(features), targets.dtype == torch.int64
        self.order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
        components = _principal_components(x.rows(self.order[:PCA_SAMPLES]))
        squares = torch.cat([part.square().sum(1) for part in x.parts()])
        components = components * squares.mean().clamp(min=1e-12).rsqrt()
        self.mean, self.project = x.mean, components / x.scale[:, None]
        self.rows = torch.cat([part @ components for part in x.parts()])
        self.centres = self.rows[self.order[:most]] if len(self.rows) > most else self.rows
        self._kernels: dict[float, KernelSystem] = {}
        y = nn.functional.one_hot(targets, outputs).double() if classes else targets.double()
        mean, std = y.mean(0), torch.ones(outputs, dtype=torch.float64) if classes else spread(y)
        scale = LOGIT_SCALE if classes else 1.0
        self.targets, self.target_mean, self.target_std = (y - mean) / std, scale * mean, scale * std
        self.unit = torch.float32 if classes else torch.float64

    def kernels(self, bandwidth: float) -> KernelSystem:
        """Kernels of this bandwidth, in units of the root-mean-square distance of the samples from their mean."""
        if bandwidth not in self._kernels:
            self._kernels[bandwidth] = KernelSystem(self.rows / bandwidth, self.centres / bandwidth, self.targets)
        return self._kernels[bandwidth]


class Standardised:
    """Features in double precision, standardised, in parts that fit into memory: thousands of scans of hundreds of
    access points have a hundred thousand features each."""

    def __init__(self, features: Float[Tensor, "samples features"]) -> None:
        self.features = features
        moments = [
            (block.double().mean(0), block.double().std(0, correction=0))
            for block in features.split(max(1, PART_ENTRIES // len(features)), dim=1)
        ]
        self.mean, std = (torch.cat(each) for each in zip(*moments, strict=True))
        # Standardising a feature that hardly varies would amplify its noise to the scale of the others.
        self.scale = torch.where(std > 1e-6, std, torch.inf)

    def rows(self, chosen: Int[Tensor, " rows"]) -> Float[Tensor, "rows features"]:
        """These rows."""
        return (self.features[chosen].double() - self.mean) / self.scale

    def parts(self) -> Iterator[Float[Tensor, "rows features"]]:
        """All rows in order, a part at a time."""
        for rows in torch.arange(len(self.features)).split(max(1, PART_ENTRIES // self.features.shape[1])):
            yield self.rows(rows)


def spread(targets: Float[Tensor, "samples outputs"]) -> Float[Tensor, " outputs"]:
    """Standard deviation of every target in double precision; 1 for those that are constant but for rounding errors."""
    targets = targets.double()
    std = targets.std(0, correction=0)
    return torch.where(std > 1e-9 * targets.abs().amax(0), std, 1.0)


def _principal_components(x: Float[Tensor, "samples features"]) -> Float[Tensor, "features components"]:
    """The first `PCA_COMPONENTS` principal components of centred features, or as many as samples and features allow."""
    varying = x.any(0)  # hundreds of equal eigenvalues of 0 are more than LAPACK converges on
    x, components = x[:, varying], x.new_zeros(x.shape[1], max(1, min(PCA_COMPONENTS, len(x), int(varying.sum()))))
    if not len(x.T):
        return components
    count = components.shape[1]
    if x.shape[0] >= x.shape[1]:
        components[varying] = torch.linalg.eigh(x.T @ x).eigenvectors[:, -count:]
        return components
    values, vectors = torch.linalg.eigh(x @ x.T)
    components[varying] = x.T @ vectors[:, -count:] * values[-count:].clamp(min=1e-9).rsqrt()
    return components
