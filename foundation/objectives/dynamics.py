"""Masked modelling of what moves alone: the static response is given wherever the encoder sees its column."""

from __future__ import annotations

from torch import Tensor

from foundation.nn.masks import has_visible_patch


def statics_given(visible: Tensor, candidates: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """bool [B, N]: the visible patches, and of static tokens all whose column has one, whatever the mask drew."""
    static = batch["static"]
    patches = visible & ~static
    return patches | (static & candidates & has_visible_patch(batch["grid"], static, patches))
