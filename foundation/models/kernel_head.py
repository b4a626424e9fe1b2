"""The head of a task: kernel ridge regression on pooled features, solved in closed form and differentiable afterwards.

Outputs are sums of Gaussian kernels around training samples, one output per class (Saunders et al. 1998; as a
classifier, the least-squares support vector machine of Suykens and Vandewalle 1999). A linear head needs linearly
separable classes, which locations in a room are not: across days of training recordings its accuracy on eight locations
was 50 to 70 % where a kernel machine had 88 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from foundation.errors import SignalError
from foundation.nn.precision import SinglePrecision

PCA_COMPONENTS = 256  # principal components of the features, on which the kernel acts
PCA_SAMPLES = 512  # training samples from which the principal components are computed
PART_ENTRIES = 2**25  # of the features that are held in double precision at a time
ROWS = 4096  # samples whose kernels are held at a time
CENTRES = 2048  # most kernel centres; of more training samples a random subset, fitted to all samples
#: Inverse temperature of class outputs, which are regressed to 0 and 1: a margin of one is then near certainty.
LOGIT_SCALE = 8.0


class KernelHead(SinglePrecision):
    """Maps pooled features to class logits or regression targets.

    Args:
        unit: type of the outputs: single precision for logits, double for numbers, whose mean may be millions of times
            their spread (coordinates in metres).
    """

    mean: Tensor
    project: Tensor
    centres: Tensor
    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self, features: int, outputs: int, width: int, centres: int, unit: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("project", torch.zeros(features, width))
        self.register_buffer("centres", torch.zeros(centres, width))
        self.register_buffer("target_mean", torch.zeros(outputs, dtype=unit))
        self.register_buffer("target_std", torch.ones(outputs, dtype=unit))
        self.weight = nn.Parameter(torch.zeros(centres, outputs))

    def forward(self, pooled: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        projected = (pooled.to(self.mean.dtype) - self.mean) @ self.project
        return (kernel(projected, self.centres) @ self.weight) * self.target_std + self.target_mean

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
            seed: draws the kernel centres, where there are more than `CENTRES` samples.
            ridge: regularisation: noise variance of a target, in units of the kernel's variance.
            bandwidth: of the kernel, in units of the root-mean-square distance of the samples from their mean.
        """
        return cls.fitted_many(features, targets, outputs, seed, ((ridge, bandwidth),))[0]

    @classmethod
    @torch.no_grad()
    def fitted_many(
        cls,
        features: Float[Tensor, "samples features"],
        targets: Int[Tensor, " samples"] | Float[Tensor, "samples outputs"],
        outputs: int,
        seed: int,
        regularisations: Sequence[tuple[float, float]],
    ) -> list[KernelHead]:
        """As `fitted`, for each (ridge, bandwidth); the principal components, which cost most, are computed once."""
        x, classes = Standardised(features), targets.dtype == torch.int64
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
        components = _principal_components(x.rows(order[:PCA_SAMPLES]))
        squares = torch.cat([part.square().sum(1) for part in x.parts()])
        components = components * squares.mean().clamp(min=1e-12).rsqrt()
        y = nn.functional.one_hot(targets, outputs).double() if classes else targets.double()
        target_mean = y.mean(0)
        target_std = torch.ones(outputs) if classes else spread(y)
        logit_scale = LOGIT_SCALE if classes else 1.0
        heads = []
        for ridge, bandwidth in regularisations:
            project = components / bandwidth
            projected = torch.cat([part @ project for part in x.parts()])
            centres = projected[order[:CENTRES]] if len(projected) > CENTRES else projected
            unit = torch.float32 if classes else torch.float64
            head = cls(features.shape[1], outputs, project.shape[1], len(centres), unit)
            head.mean.copy_(x.mean)
            head.project.copy_(project / x.scale[:, None])
            head.centres.copy_(centres)
            head.target_mean.copy_(logit_scale * target_mean)
            head.target_std.copy_(logit_scale * target_std)
            head.weight.copy_(_solve(projected, centres, (y - target_mean) / target_std, ridge))
            heads.append(head)
        return heads


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


class StackedHead(SinglePrecision):
    """Stacked generalisation: a weighted mean of kernel heads, each on a slice of the pooled features.

    Raises:
        SignalError: the number of features differs from that of the training samples, as with `columns` pooling of
            signals of another shape.
    """

    start: Tensor
    share: Tensor

    def __init__(self, parts: Sequence[KernelHead]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._ends: list[int] | None = None  # of the slices; kept, as asking a device for `start` would make it wait
        self.register_buffer("start", torch.zeros(len(parts), dtype=torch.int64))
        # In the precision of the outputs: shares that add up to 1 + 1e-7 would move large coordinates.
        self.register_buffer("share", torch.zeros(len(parts), dtype=parts[0].target_mean.dtype))

    def forward(self, pooled: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        if self._ends is None:
            self._ends = [
                start + len(part.mean) for part, start in zip(self._heads(), self.start.tolist(), strict=True)
            ]
        ends = self._ends
        if pooled.shape[1] != max(ends):
            raise SignalError(
                f"a head fitted to {max(ends)} features was given {pooled.shape[1]}: these signals have other links or "
                "responses than the training samples; give signals of one shape, or fit with tune.pooling=moments."
            )
        weighted = [
            share * part(pooled[:, end - len(part.mean) : end])
            for part, end, share in zip(self._heads(), ends, self.share, strict=True)
        ]
        return torch.stack(weighted).sum(0)

    def _heads(self) -> list[KernelHead]:
        return [part for part in self.parts if isinstance(part, KernelHead)]

    @property
    def target_mean(self) -> Float[Tensor, " outputs"]:
        """Mean of the training targets, the same in all parts."""
        return self._heads()[0].target_mean

    @property
    def target_std(self) -> Float[Tensor, " outputs"]:
        """Standard deviation of the training targets, the same in all parts."""
        return self._heads()[0].target_std

    @classmethod
    def of(cls, parts: Sequence[tuple[KernelHead, int, float]]) -> StackedHead:
        """Combine heads: (head, first feature of its slice, weight); the weights add up to one."""
        head = cls([part for part, _, _ in parts])
        head.start.copy_(torch.tensor([start for _, start, _ in parts]))
        head.share.copy_(torch.tensor([share for _, _, share in parts], dtype=torch.float64))
        return head

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], outputs: int) -> StackedHead:
        """Build a head from its `state_dict`.

        Raises:
            KeyError, RuntimeError, ValueError, TypeError: the state is not that of a stacked head with so many outputs.
        """
        if not state["share"].ndim == state["start"].ndim == 1 or not len(state["share"]) == len(state["start"]) > 0:
            raise ValueError("share and start: expected one number for each part")
        if state["start"].dtype != torch.int64 or bool((state["start"] < 0).any()):
            raise ValueError("start: expected indices of features")
        if any(not value.is_floating_point() for name, value in state.items() if name != "start"):
            raise ValueError("expected floating-point numbers")
        unit = torch.float64 if state["share"].dtype == torch.float64 else torch.float32
        shapes = []
        for k in range(len(state["share"])):
            (features, width), (count, _) = state[f"parts.{k}.project"].shape, state[f"parts.{k}.centres"].shape
            shapes.append((features, outputs, width, count))
        with torch.device("meta"):  # no memory before all names and shapes are known to be right
            head = cls([KernelHead(*shape, unit) for shape in shapes])
        types = {name: value.dtype for name, value in head.state_dict().items()}
        head.load_state_dict({name: value.to(types.get(name)) for name, value in state.items()}, assign=True)
        return head.requires_grad_()


def spread(targets: Float[Tensor, "samples outputs"]) -> Float[Tensor, " outputs"]:
    """Standard deviation of every target in double precision; 1 for those that are constant but for rounding errors."""
    targets = targets.double()
    std = targets.std(0, correction=0)
    return torch.where(std > 1e-9 * targets.abs().amax(0), std, 1.0)


def kernel(left: Float[Tensor, "n components"], right: Float[Tensor, "m components"]) -> Float[Tensor, "n m"]:
    """Gaussian kernel exp(-|a - b|^2) of all pairs of rows."""
    square = left.square().sum(1, keepdim=True) + right.square().sum(1) - 2 * left @ right.T
    return torch.exp(-square.clamp(min=0))


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


def _solve(
    x: Float[Tensor, "samples components"],
    centres: Float[Tensor, "centres components"],
    y: Float[Tensor, "samples outputs"],
    ridge: float,
) -> Float[Tensor, "centres outputs"]:
    """Weights of the kernel centres by ridge regression."""
    gram = kernel(centres, centres)
    if len(centres) == len(x):
        return torch.linalg.solve(gram + ridge * torch.eye(len(gram), dtype=gram.dtype), y)
    # Fewer centres than samples: subset of regressors (Smola and Schoelkopf 2000).
    system = ridge * gram + 1e-8 * torch.eye(len(gram), dtype=gram.dtype)
    right = y.new_zeros(len(centres), y.shape[1])
    for some, numbers in zip(x.split(ROWS), y.split(ROWS), strict=True):
        cross = kernel(some, centres)
        system += cross.T @ cross
        right += cross.T @ numbers
    return torch.linalg.solve(system, right)
