"""Pre-norm transformer blocks (Vaswani et al. 2017; pre-norm: Xiong et al. 2020) on packed tokens, see `packing`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from foundation.nn.attention import Attention
from foundation.nn.experts import Experts
from foundation.nn.packing import Packing, pack
from foundation.nn.positions import Rotary


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); with `experts` > 0 the second is a layer of so many, `active` of
    which each token goes through."""

    def __init__(self, hidden: int, heads: int, experts: int = 0, active: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.norm2 = nn.LayerNorm(hidden)
        self.experts = Experts(hidden, experts, active) if experts else None
        if self.experts is None:
            self.up = nn.Linear(hidden, 4 * hidden)
            self.down = nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], packing: Packing) -> Tensor:
        turned, values = self.attention.project(self.norm1(x), turn)
        return self.rest(x, self.attention.mix(turned, values, packing))

    def rest(self, x: Tensor, mixed: Tensor) -> Tensor:
        """What follows the mixing of tokens, row by row; x, mixed [T, hidden]."""
        x = x + self.attention.proj(mixed)
        rows = self.norm2(x)
        return x + (self.down(F.gelu(self.up(rows))) if self.experts is None else self.experts(rows))


def compile_blocks(model: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile, in every block of a model, all that follows attention, for any number of rows at once.

    Attention stays as it is: its groups differ from batch to batch, and each new cut would be compiled anew.
    """
    compiled = torch.compile(Block.rest, backend=backend)

    def any_length(block: Block, x: Tensor, mixed: Tensor) -> Tensor:
        for rows in (x, mixed):
            torch._dynamo.maybe_mark_dynamic(rows, 0)
        return compiled(block, x, mixed)

    for block in model.modules():
        if isinstance(block, Block):
            block.rest = partial(any_length, block)  # type: ignore[method-assign]


class Transformer(nn.Module):
    """`depth` blocks and a final norm: x [B, N, hidden] at position [B, N, 6] -> [B, N, hidden]; `keep` bool [B, N]
    marks real tokens (None: all are), what comes out elsewhere is 0."""

    def __init__(self, hidden: int, depth: int, heads: int, experts: int = 0, active: int = 1) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(hidden, heads, experts, active) for _ in range(depth))
        self.norm = nn.LayerNorm(hidden)
        self.rotary = Rotary(hidden // heads)
        self.gradient_checkpointing = False  # the name by which transformers switches it on

    def forward(self, x: Tensor, position: Tensor, keep: Tensor | None = None) -> Tensor:
        packing = pack(keep, *x.shape[:2])
        rows = packing.pack(x)
        turn = self.rotary(packing.pack(position)[:, None], x.dtype)  # [T, 1, 1, 2 * pairs]
        for block in self.blocks:
            if self.gradient_checkpointing and self.training:
                rows = checkpoint(block, rows, turn, packing, use_reentrant=False)
            else:
                rows = block(rows, turn, packing)
        return packing.unpack(self.norm(rows))
