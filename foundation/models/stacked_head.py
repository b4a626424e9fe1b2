"""A stack: the weighted mean of heads, each of which reads a slice of the pooled features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foundation.errors import SignalError
from foundation.models.kernel_head import UNLIMITED, Head, KernelHead, RidgeHead
from foundation.nn.precision import SinglePrecision


class StackedHead(SinglePrecision):
    """Stacked generalisation: a weighted mean of heads, each on a slice of the pooled features.

    Raises:
        SignalError: the number of features differs from that of the training samples, as with `columns` pooling of
            signals of another shape.
    """

    start: Tensor
    share: Tensor

    def __init__(self, parts: Sequence[Head]) -> None:
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

    def _heads(self) -> list[Head]:
        return [part for part in self.parts if isinstance(part, Head)]

    @property
    def target_mean(self) -> Float[Tensor, " outputs"]:
        """Mean of the training targets, the same in all parts."""
        return self._heads()[0].target_mean

    @property
    def target_std(self) -> Float[Tensor, " outputs"]:
        """Standard deviation of the training targets, the same in all parts."""
        return self._heads()[0].target_std

    @classmethod
    def of(cls, parts: Sequence[tuple[Head, int, float]]) -> StackedHead:
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
        if any(value.ndim for name, value in state.items() if name.endswith(".reach")):
            raise ValueError("reach: expected one number")  # torch takes one of shape [1] for it
        unit = torch.float64 if state["share"].dtype == torch.float64 else torch.float32
        prefixes = [f"parts.{k}." for k in range(len(state["share"]))]
        unlimited = {f"{each}reach": UNLIMITED for each in prefixes if f"{each}centres" in state}
        known = {**unlimited, **state}  # earlier kernels had no reach
        with torch.device("meta"):  # no memory before all names and shapes are known to be right
            head = cls([_part(known, each, outputs, unit) for each in prefixes])
        types = {name: value.dtype for name, value in head.state_dict().items()}
        head.load_state_dict({name: value.to(types.get(name)) for name, value in known.items()}, assign=True)
        return head.requires_grad_()


def _part(state: Mapping[str, Tensor], prefix: str, outputs: int, unit: torch.dtype) -> Head:
    """An empty head of the sizes that the state has under this prefix; its kind follows from the names there."""
    features, width = state[f"{prefix}project"].shape
    if (centres := state.get(f"{prefix}centres")) is None:
        return RidgeHead(features, outputs, width, unit)
    count, _ = centres.shape
    return KernelHead(features, outputs, width, count, unit)
