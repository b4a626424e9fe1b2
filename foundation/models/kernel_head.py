"""The head of a task: a kernel machine on pooled features, solved in closed form and differentiable from there on.

Outputs are sums of Gaussian kernels around training samples (kernel ridge regression, one output per class; Saunders et
al. 1998; as a classifier, the least-squares support vector machine of Suykens and Vandewalle 1999). A linear head needs
classes that a plane separates, which places in a room are not: over days of training recordings it found 50 to 70 % of
eight places where a kernel machine found 88 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from foundation.errors import SignalError

WIDTH = 256  # principal directions of the features that the kernel sees
CENTRES = 2048  # training samples that carry a kernel; of more, a random choice, fitted to all
SURVEYED = 512  # training samples that the principal directions are taken from
#: Of class outputs, which lie between 0 and 1: a margin of one is then near certainty.
SHARPNESS = 8.0


class KernelHead(nn.Module):
    """Pooled features [B, F] -> class logits or numbers [B, outputs]."""

    mean: Tensor
    project: Tensor
    centres: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(self, features: int, outputs: int, width: int, centres: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("project", torch.zeros(features, width))
        self.register_buffer("centres", torch.zeros(centres, width))
        self.register_buffer("target_mean", torch.zeros(outputs))
        self.register_buffer("target_std", torch.ones(outputs))
        self.weight = nn.Parameter(torch.zeros(centres, outputs))

    def forward(self, pooled: Tensor) -> Tensor:
        place = (pooled.float() - self.mean) @ self.project
        return (kernel(place, self.centres) @ self.weight) * self.target_std + self.target_mean

    @classmethod
    def fitted(
        cls, features: Tensor, targets: Tensor, outputs: int, seed: int, ridge: float, bandwidth: float
    ) -> KernelHead:
        """The head that fits frozen features [n, F] best, by ridge regression.

        Args:
            targets: int64 [n] classes below `outputs`, or float [n, outputs] numbers.
            seed: chooses the centres among more than `CENTRES` samples.
            ridge: noise of a target, in units of the kernel's variance.
            bandwidth: radius of a kernel, in units of the root-mean-square distance of a sample from the mean of all.
        """
        return cls.fitted_alike(features, targets, outputs, seed, ((ridge, bandwidth),))[0]

    @classmethod
    @torch.no_grad()
    def fitted_alike(
        cls, features: Tensor, targets: Tensor, outputs: int, seed: int, regularisations: Sequence[tuple[float, float]]
    ) -> list[KernelHead]:
        """As `fitted`, for each (ridge, bandwidth): the principal directions, which cost most, are those of all."""
        x, classes = features.double(), targets.dtype == torch.int64
        mean, std = x.mean(0), x.std(0, correction=0)
        # A feature that hardly varies would be blown up to noise of the size of all others.
        scale = torch.where(std > 1e-6, std, torch.inf)
        x = (x - mean) / scale
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        directions = _directions(x[order[:SURVEYED]])
        directions = directions * x.square().sum(1).mean().clamp(min=1e-12).rsqrt()
        y = nn.functional.one_hot(targets, outputs).double() if classes else targets.double()
        middle, spread = y.mean(0), torch.ones(outputs) if classes else y.std(0, correction=0).clamp(min=1e-3)
        sharpness = SHARPNESS if classes else 1.0
        heads = []
        for ridge, bandwidth in regularisations:
            project = directions / bandwidth
            place = x @ project
            centres = place[order[:CENTRES]] if len(place) > CENTRES else place
            head = cls(x.shape[1], outputs, project.shape[1], len(centres))
            head.mean.copy_(mean)
            head.project.copy_(project / scale[:, None])
            head.centres.copy_(centres)
            head.target_mean.copy_(sharpness * middle)
            head.target_std.copy_(sharpness * spread)
            head.weight.copy_(_solve(place, centres, (y - middle) / spread, ridge))
            heads.append(head)
        return heads


class StackedHead(nn.Module):
    """A weighted mean of kernel heads, each of which reads a part of the pooled features [B, F] -> [B, outputs].

    Raises:
        SignalError: F is not that of the samples it was fitted to, as `columns` of signals of another shape.
    """

    start: Tensor
    share: Tensor

    def __init__(self, parts: Sequence[KernelHead]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.register_buffer("start", torch.zeros(len(parts), dtype=torch.int64))
        self.register_buffer("share", torch.zeros(len(parts)))

    def forward(self, pooled: Tensor) -> Tensor:
        ends = [start + len(part.mean) for part, start in zip(self._heads(), self.start.tolist(), strict=True)]
        if pooled.shape[1] != max(ends):
            raise SignalError(
                f"a head fitted to {max(ends)} features was given {pooled.shape[1]}: these signals have other links or "
                "responses than the training samples; give signals of one shape, or fit with tune.pooling=moments."
            )
        said = [
            share * part(pooled[:, end - len(part.mean) : end])
            for part, end, share in zip(self._heads(), ends, self.share, strict=True)
        ]
        return torch.stack(said).sum(0)

    def _heads(self) -> list[KernelHead]:
        return [part for part in self.parts if isinstance(part, KernelHead)]

    @property
    def target_mean(self) -> Tensor:
        """All parts were fitted to the same targets."""
        return self._heads()[0].target_mean

    @property
    def target_std(self) -> Tensor:
        return self._heads()[0].target_std

    @classmethod
    def of(cls, parts: Sequence[tuple[KernelHead, int, float]]) -> StackedHead:
        """Of heads, the first feature that each reads, and how much it counts: shares that add up to one."""
        head = cls([part for part, _, _ in parts])
        head.start.copy_(torch.tensor([start for _, start, _ in parts]))
        head.share.copy_(torch.tensor([share for _, _, share in parts]))
        return head

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], outputs: int) -> StackedHead:
        """What `state_dict` of a head with so many outputs holds.

        Raises:
            KeyError, RuntimeError: it is the state of something else.
        """
        shapes = [
            (*state[f"parts.{k}.project"].shape, *state[f"parts.{k}.centres"].shape) for k in range(len(state["share"]))
        ]
        head = cls([KernelHead(features, outputs, width, count) for features, width, count, _ in shapes])
        head.load_state_dict(state)
        return head


def kernel(left: Tensor, right: Tensor) -> Tensor:
    """exp(-|a - b|^2) of rows [n, P] and [m, P]: [n, m]."""
    square = left.square().sum(1, keepdim=True) + right.square().sum(1) - 2 * left @ right.T
    return torch.exp(-square.clamp(min=0))


def _directions(x: Tensor) -> Tensor:
    """The first `WIDTH` principal directions of centred features [n, F], fewer where n or F is less, as columns."""
    moving = x.any(0)  # hundreds of equal eigenvalues of 0 are more than LAPACK converges on
    told, directions = x[:, moving], x.new_zeros(x.shape[1], max(1, min(WIDTH, len(x), int(moving.sum()))))
    if not len(told.T):
        return directions
    width = directions.shape[1]
    if told.shape[0] >= told.shape[1]:
        directions[moving] = torch.linalg.eigh(told.T @ told).eigenvectors[:, -width:]
        return directions
    values, vectors = torch.linalg.eigh(told @ told.T)
    directions[moving] = told.T @ vectors[:, -width:] * values[-width:].clamp(min=1e-9).rsqrt()
    return directions


def _solve(place: Tensor, centres: Tensor, y: Tensor, ridge: float) -> Tensor:
    """Ridge regression of y [n, outputs] on kernels at the centres: weights [m, outputs]."""
    among = kernel(centres, centres)
    if len(centres) == len(place):
        return torch.linalg.solve(among + ridge * torch.eye(len(among), dtype=among.dtype), y)
    # Fewer centres than samples: the best function of their span (Smola and Schoelkopf 2000).
    seen = kernel(place, centres)
    system = seen.T @ seen + ridge * among + 1e-8 * torch.eye(len(among), dtype=among.dtype)
    return torch.linalg.solve(system, seen.T @ y)
