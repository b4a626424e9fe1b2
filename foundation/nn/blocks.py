"""Pre-norm transformer blocks on padded sequences (Vaswani et al. 2017; pre-norm: Xiong et al. 2020)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from foundation.nn.positions import Rotary, rotate


class Attention(nn.Module):
    """Multi-head self-attention. `keep` bool [B, N] marks real tokens (None: all are); `turn` rotates queries and keys
    by their physical position, see `foundation.nn.positions.Rotary`."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, keep: Tensor | None, turn: tuple[Tensor, Tensor]) -> Tensor:
        batch, count, hidden = x.shape
        q, k, v = self.qkv(x).view(batch, count, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, *turn), rotate(k, *turn)
        mask = None if keep is None else keep[:, None, None, :]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, hidden))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, hidden: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.norm2 = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, keep: Tensor | None, turn: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), keep, turn))
        return x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))


class Transformer(nn.Module):
    """`depth` blocks and a final norm: x [B, N, hidden] at position [B, N, 6] -> [B, N, hidden]."""

    def __init__(self, hidden: int, depth: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(hidden, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(hidden)
        self.rotary = Rotary(hidden // heads)
        self.gradient_checkpointing = False  # the name by which transformers switches it on

    def forward(self, x: Tensor, position: Tensor, keep: Tensor | None = None) -> Tensor:
        # Without padding there is nothing to mask, and the unmasked kernel is the faster one.
        mask = None if keep is None or bool(keep.all()) else keep
        turn = self.rotary(position, x.dtype)
        for block in self.blocks:
            if self.gradient_checkpointing and self.training:
                x = checkpoint(block, x, mask, turn, use_reentrant=False)
            else:
                x = block(x, mask, turn)
        return self.norm(x)
