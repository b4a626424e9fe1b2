"""A feed-forward layer of several experts, each token through few of them: more weights at the same work.

Switch Transformer (Fedus et al. 2021, arXiv 2101.03961) without a capacity: tokens are sorted by expert and none is
dropped, as in MegaBlocks (Gale et al. 2022, arXiv 2211.15841), one product per expert.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_watched: ContextVar[list[Tensor] | None] = ContextVar("_watched", default=None)


class Expert(nn.Module):
    """The dense feed-forward layer, `width` wide inside."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(hidden, width)
        self.down = nn.Linear(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


class Experts(nn.Module):
    """x [T, hidden] -> [T, hidden]: each row through the `active` of `count` experts that the router likes best.

    Active experts together are as wide as the dense layer, 4 hidden. Their outputs are weighed by the router's
    probabilities in units of the sum of the chosen ones: weights add up to one, also where one expert is active, and
    the router still learns, as the sum is taken without a gradient.
    """

    def __init__(self, hidden: int, count: int, active: int) -> None:
        super().__init__()
        self.active = active
        self.router = nn.Linear(hidden, count, bias=False)
        self.experts = nn.ModuleList(Expert(hidden, 4 * hidden // active) for _ in range(count))

    @property
    def idle(self) -> int:
        """Entries of the matrices that a token does not go through."""
        matrices = sum(p.numel() for p in self.experts.parameters() if p.ndim == 2)
        return matrices - matrices * self.active // len(self.experts)

    # How many rows an expert gets is known only when it gets them.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        likes = self.router(x).float().softmax(-1)
        top, which = likes.topk(self.active)
        gate = (top / top.sum(-1, keepdim=True).detach()).to(x.dtype)
        # Not only where somebody watches: a block that is computed twice must do the same both times.
        balance = balance_loss(likes, which)
        if (watched := _watched.get()) is not None:
            watched.append(balance)
        order = which.flatten().argsort(stable=True)
        rows = order // self.active
        counts = which.flatten().bincount(minlength=len(self.experts)).tolist()
        # Also experts without a row: DDP and ZeRO want every parameter to take part in every step.
        parts = zip(self.experts, x[rows].split(counts), strict=True)
        out = torch.cat([expert(part) for expert, part in parts]) * gate.flatten()[order, None]
        return out.new_zeros(len(x), out.shape[-1]).index_add(0, rows, out)


def balance_loss(likes: Tensor, which: Tensor) -> Tensor:
    """Switch Transformer's load-balancing loss, a scalar: 1 where all experts get equally much, their number where one
    gets all.

    Args:
        likes: [T, count] probabilities of the router; which: int64 [T, active] the experts it chose.
    """
    count = likes.shape[-1]
    share = which.flatten().bincount(minlength=count) / max(which.numel(), 1)
    return count * (share * likes.mean(0)).sum()


@contextmanager
def watch_balance() -> Iterator[list[Tensor]]:
    """The balance losses of all layers of experts that run meanwhile, in their order; none of a dense network."""
    found: list[Tensor] = []
    token = _watched.set(found)
    try:
        yield found
    finally:
        _watched.reset(token)
