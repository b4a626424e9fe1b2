"""Mixture-of-experts feed-forward layer: each token passes through a few of several experts.

Switch Transformer (Fedus et al. 2021, arXiv 2101.03961) without a capacity limit: tokens are sorted by expert and none
is dropped, as in MegaBlocks (Gale et al. 2022, arXiv 2211.15841), with one matrix product per expert.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.nn.tracing import tracing

BALANCE_WEIGHT = 0.01  # of the balance loss, as in Switch Transformer

_recorded: ContextVar[list[Tensor] | None] = ContextVar("_recorded", default=None)


class Expert(nn.Module):
    """A dense feed-forward layer with `width` inner units."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(hidden, width)
        self.down = nn.Linear(width, hidden)

    def forward(self, x: Float[Tensor, "routed width"]) -> Float[Tensor, "routed width"]:
        return self.down(F.gelu(self.up(x)))


class Experts(nn.Module):
    """Routes each token to the `active` of `count` experts with the highest router probability.

    Active experts together are as wide as the dense layer, 4 hidden. Their outputs are weighted by the router's
    probabilities divided by their sum over the active experts, so that weights add up to one also where one expert is
    active; the sum carries no gradient, so that the router still learns.
    """

    def __init__(self, hidden: int, count: int, active: int) -> None:
        super().__init__()
        self.active = active
        self.router = nn.Linear(hidden, count, bias=False)
        self.experts = nn.ModuleList(Expert(hidden, 4 * hidden // active) for _ in range(count))

    @property
    def idle(self) -> int:
        """Weights of the matrices that a token does not use, for counting FLOPs."""
        matrices = sum(p.numel() for p in self.experts.parameters() if p.ndim == 2)
        return matrices - matrices * self.active // len(self.experts)

    # How many tokens an expert gets depends on the data, which the compiler cannot trace.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Float[Tensor, "packed width"]) -> Float[Tensor, "packed width"]:
        probabilities = self.router(x).float().softmax(-1)
        top, chosen = probabilities.topk(self.active)
        gate = (top / top.sum(-1, keepdim=True).detach()).to(x.dtype)
        # Also where nobody records it: a block that checkpointing computes twice must do the same both times.
        balance = balance_loss(probabilities, chosen)
        if (recorded := _recorded.get()) is not None:
            recorded.append(balance)
        if tracing():  # which expert gets which token is not known: all get all
            share = torch.zeros_like(probabilities, dtype=x.dtype).scatter(1, chosen, gate)
            outputs = [expert(x) * share[:, i : i + 1] for i, expert in enumerate(self.experts)]
            return torch.stack(outputs).sum(0)
        order = chosen.flatten().argsort(stable=True)
        rows, counts = order // self.active, _counts(chosen, len(self.experts))
        out = self._routed(x[rows], chosen.flatten()[order], counts) * gate.flatten()[order, None]
        return out.new_zeros(len(x), out.shape[-1]).index_add(0, rows, out)

    def _routed(
        self, x: Float[Tensor, "routed width"], expert: Int[Tensor, " routed"], counts: Int[Tensor, " experts"]
    ) -> Float[Tensor, "routed width"]:
        """Each row through its expert; rows are sorted by expert.

        On the CPU one product per expert. Elsewhere one grouped product for all, which exists in bfloat16 only: how
        many tokens an expert gets is known on the device alone, and the host would have to wait for it.
        """
        # Also experts without a token: DDP and ZeRO want every parameter to take part in every step.
        if x.device.type == "cpu":
            parts = zip(self.experts, x.split(counts.tolist()), strict=True)
            return torch.cat([layer(part) for layer, part in parts])
        ends = counts.cumsum(0).to(torch.int32)
        layers = cast(list[Expert], list(self.experts))

        def product(x: Tensor, linear: list[nn.Linear]) -> Tensor:
            weight = torch.stack([each.weight for each in linear]).transpose(1, 2)
            bias = torch.stack([each.bias for each in linear])[expert]
            return F.grouped_mm(x.bfloat16(), weight.bfloat16(), offs=ends).to(bias.dtype) + bias

        return product(F.gelu(product(x, [each.up for each in layers])), [each.down for each in layers]).to(x.dtype)


def balance_loss(
    probabilities: Float[Tensor, "packed experts"], chosen: Int[Tensor, "packed active"]
) -> Float[Tensor, ""]:
    """Load-balancing loss of Switch Transformer: 1 where all experts get equally many tokens, their number where one
    expert gets all.

    Args:
        probabilities: of the router.
        chosen: indices of the active experts of each token.
    """
    count = probabilities.shape[-1]
    share = _counts(chosen, count) / max(chosen.numel(), 1)
    return count * (share * probabilities.mean(0)).sum()


def _counts(chosen: Int[Tensor, "packed active"], experts: int) -> Int[Tensor, " experts"]:
    """How many tokens each expert gets; `bincount` would ask the device for the largest."""
    return F.one_hot(chosen.flatten(), experts).sum(0)


@contextmanager
def watch_balance() -> Iterator[list[Tensor]]:
    """Record the balance loss of every expert layer that runs within the context, in order; dense layers have none."""
    found: list[Tensor] = []
    token = _recorded.set(found)
    try:
        yield found
    finally:
        _recorded.reset(token)
