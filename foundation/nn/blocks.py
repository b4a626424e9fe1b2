"""Pre-norm transformer blocks (Vaswani et al. 2017; pre-norm: Xiong et al. 2020) on packed tokens, see `packing`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from foundation.nn.attention import Attention
from foundation.nn.experts import Experts
from foundation.nn.packing import Packing
from foundation.nn.positions import Rotary, Rotation


class Block(nn.Module):
    """A pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)).

    With `experts` > 0 the MLP is a mixture of so many experts, of which each token uses `active`.
    """

    def __init__(self, hidden: int, heads: int, experts: int = 0, active: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.norm2 = nn.LayerNorm(hidden)
        self.experts = Experts(hidden, experts, active) if experts else None
        if self.experts is None:
            self.up = nn.Linear(hidden, 4 * hidden)
            self.down = nn.Linear(4 * hidden, hidden)

    def forward(
        self, x: Float[Tensor, "packed width"], rotation: Rotation, packing: Packing
    ) -> Float[Tensor, "packed width"]:
        if packing.ends is not None and self.attention.takes_any_length(x):
            return self.whole(x, *rotation, packing.ends, packing.longest)
        queries_keys, values = self.attention.project(self.norm1(x), rotation)
        return self.after_attention(x, self.attention.mix(queries_keys, values, packing))

    def whole(
        self,
        x: Float[Tensor, "packed width"],
        cosine: Float[Tensor, "packed 1 1 pairs"],
        sine: Float[Tensor, "packed 1 1 pairs"],
        ends: Int[Tensor, " ends"],
        longest: int,
    ) -> Float[Tensor, "packed width"]:
        """`forward` where attention is one kernel, whatever the lengths."""
        queries_keys, values = self.attention.project(self.norm1(x), (cosine, sine))
        mixed = self.attention.mix_any_length(queries_keys, values, ends, longest)
        return Block.after_attention(self, x, mixed)  # not what `compile_blocks` has put in its place

    def after_attention(
        self, x: Float[Tensor, "packed width"], mixed: Float[Tensor, "packed width"]
    ) -> Float[Tensor, "packed width"]:
        """Everything after the attention-weighted mean, token by token: output layer, residuals, norm and MLP."""
        x = x + self.attention.proj(mixed)
        normed = self.norm2(x)
        return x + (self.down(F.gelu(self.up(normed))) if self.experts is None else self.experts(normed))


def compile_blocks(model: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile the blocks of a model, in place, for any number of tokens and samples.

    Whole blocks where attention is one kernel, elsewhere what follows it: there attention stays eager, as its groups
    differ from batch to batch, and each new grouping would be recompiled.
    """
    whole = torch.compile(Block.whole, backend=backend, dynamic=True)
    compiled = torch.compile(Block.after_attention, backend=backend)

    def any_length(block: Block, x: Tensor, mixed: Tensor) -> Tensor:
        for rows in (x, mixed):
            torch._dynamo.maybe_mark_dynamic(rows, 0)
        return compiled(block, x, mixed)

    for block in model.modules():
        if isinstance(block, Block):
            block.whole = partial(whole, block)  # type: ignore[method-assign]
            block.after_attention = partial(any_length, block)  # type: ignore[method-assign]


class Transformer(nn.Module):
    """`depth` transformer blocks with rotary positions, and a final norm."""

    def __init__(self, hidden: int, depth: int, heads: int, experts: int = 0, active: int = 1) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(hidden, heads, experts, active) for _ in range(depth))
        self.norm = nn.LayerNorm(hidden)
        self.rotary = Rotary(hidden // heads)
        self.gradient_checkpointing = False  # the name by which transformers switches it on

    def forward(
        self,
        x: Float[Tensor, "batch sequence width"],
        position: Float[Tensor, "batch sequence position"],
        packing: Packing,
        entered: list[Tensor] | None = None,
    ) -> Float[Tensor, "batch sequence width"]:
        """Encode a padded batch; the output at padding is 0.

        Args:
            packing: which tokens are real.
            entered: to this list, what enters each block is appended, padded like the output.
        """
        rows = packing.pack(x)
        rotation = self.rotary(packing.pack(position)[:, None], x.dtype)
        for block in self.blocks:
            if entered is not None:
                entered.append(packing.unpack(rows))
            if self.gradient_checkpointing and self.training:
                rows = checkpoint(block, rows, rotation, packing, use_reentrant=False)
            else:
                rows = block(rows, rotation, packing)
        return packing.unpack(self.norm(rows))
