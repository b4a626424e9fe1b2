"""Means over the tokens of a group, such as a column or a part of the window."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def members(
    chosen: Bool[Tensor, "batch tokens"], group: Int[Tensor, "batch tokens"], count: int, dtype: torch.dtype
) -> Float[Tensor, "batch tokens groups"]:
    """Membership matrix: 1 where a chosen token belongs to a group."""
    return torch.nn.functional.one_hot(group, count).to(dtype) * chosen[..., None]


def group_mean(
    values: Float[Tensor, "batch tokens width"], member: Float[Tensor, "batch tokens groups"]
) -> Float[Tensor, "batch groups width"]:
    """Mean of the members of every group; 0 for an empty group."""
    return torch.einsum("bkg,bkh->bgh", member / member.sum(1, keepdim=True).clamp(min=1), values)
