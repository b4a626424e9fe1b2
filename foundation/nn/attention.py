"""Attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.nn.packing import Packing
from foundation.nn.positions import rotate

#: Tokens up to which two products and a softmax beat PyTorch's fused kernel for bf16 on CPU: 4 times as fast at 40,
#: 1.5 times at 512, no faster at 1024.
PRODUCTS = 512


class Attention(nn.Module):
    """Multi-head self-attention of packed tokens [T, hidden], each among those of its own sample: `project`, `mix`, and
    `proj`. `turn` rotates queries and keys by their physical position, see `foundation.nn.positions.Rotary`."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)

    def project(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Turned queries and keys [T, 2, heads, D], values [T, heads, D]."""
        qk, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).split([2, 1], dim=1)
        return rotate(qk, *(angle.to(qk.dtype) for angle in turn)), v.squeeze(1)

    def mix(self, turned: Tensor, values: Tensor, packing: Packing) -> Tensor:
        """Values, mixed within each sample: [T, hidden]."""
        mixed = []
        for group in packing.groups:
            q, k = group.padded(turned).permute(2, 0, 3, 1, 4)
            out = attend(q, k, group.padded(values).transpose(1, 2), group.keep)
            mixed.append(group.packed(out.transpose(1, 2).flatten(2)))
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def attend(q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None) -> Tensor:
    """softmax(q k / sqrt(D)) v of [B, heads, N, D]; `keep` bool, broadcast to [B, heads, N, N]: keys that count."""
    if q.is_cuda or q.dtype != torch.bfloat16 or q.shape[-2] > PRODUCTS:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if keep is not None:
        scores = scores.masked_fill(~keep, -torch.inf)
    return scores.softmax(-1) @ v
