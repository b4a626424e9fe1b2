"""Multi-head self-attention on packed tokens."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.varlen import varlen_attn

from foundation.nn.packing import Packing
from foundation.nn.positions import Rotation, rotate

#: Longest sequence for which two matrix products and a softmax beat PyTorch's fused kernel for bf16 on CPU: 4 times as
#: fast at 40 tokens, 1.5 times at 512, no faster at 1024.
MAX_EXPLICIT = 512


class Attention(nn.Module):
    """Multi-head self-attention; each token attends to the tokens of its own sample.

    Called in three steps: `project`, `mix` or `mix_any_length`, then the output layer `proj`.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)

    def project(
        self, x: Float[Tensor, "packed width"], rotation: Rotation
    ) -> tuple[Float[Tensor, "packed 2 heads head_width"], Float[Tensor, "packed heads head_width"]]:
        """Queries and keys, rotated by their position (see `foundation.nn.positions.Rotary`); values."""
        queries_keys, values = self.qkv(x).unflatten(-1, (3, self.heads, -1)).split([2, 1], dim=1)
        return rotate(queries_keys, *(part.to(queries_keys.dtype) for part in rotation)), values.squeeze(1)

    def mix(
        self,
        queries_keys: Float[Tensor, "packed 2 heads head_width"],
        values: Float[Tensor, "packed heads head_width"],
        packing: Packing,
    ) -> Float[Tensor, "packed width"]:
        """Values averaged by the attention weights within each sample, heads concatenated; group by group."""
        mixed = []
        for group in packing.groups:
            q, k = group.padded(queries_keys).permute(2, 0, 3, 1, 4)
            out = attend(q, k, group.padded(values).transpose(1, 2), group.keep)
            mixed.append(group.packed(out.transpose(1, 2).flatten(2)))
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed)

    def mix_any_length(
        self,
        queries_keys: Float[Tensor, "packed 2 heads head_width"],
        values: Float[Tensor, "packed heads head_width"],
        ends: Int[Tensor, " ends"],
        longest: int,
    ) -> Float[Tensor, "packed width"]:
        """As `mix`, in one kernel for samples of all lengths; see `takes_any_length`."""
        q, k = queries_keys.unbind(1)
        out = varlen_attn(q, k, values, ends, ends, longest, longest)
        assert isinstance(out, Tensor)
        return out.flatten(1)

    def takes_any_length(self, x: Float[Tensor, "packed width"]) -> bool:
        """Whether `mix_any_length` can be used: FlashAttention (Dao 2023, arXiv 2307.08691), on CUDA in half precision.
        `meta` stands in for CUDA."""
        device, dtype = x.device.type, x.dtype
        if device == "cuda" and torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        half = dtype in (torch.float16, torch.bfloat16)
        return half and device in ("cuda", "meta") and x.shape[-1] // self.heads % 8 == 0


def attend(
    q: Float[Tensor, "samples heads length head_width"],
    k: Float[Tensor, "samples heads length head_width"],
    v: Float[Tensor, "samples heads length head_width"],
    keep: Bool[Tensor, "samples 1 1 length"] | None,
) -> Float[Tensor, "samples heads length head_width"]:
    """Scaled dot-product attention: softmax(q k / sqrt(head width)) v, over the keys that `keep` marks as real."""
    if q.is_cuda or q.dtype != torch.bfloat16 or q.shape[-2] > MAX_EXPLICIT:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if keep is not None:
        scores = scores.masked_fill(~keep, -torch.inf)
    return scores.softmax(-1) @ v
