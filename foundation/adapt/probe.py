"""Features of an encoder that stays as it is: where every adaptation starts."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from foundation.data.labelled import TokenSet
from foundation.models import pool


@torch.no_grad()
def frozen_features(encoder: nn.Module, data: TokenSet, pooling: str, rows: np.ndarray | None = None) -> np.ndarray:
    """Pooled features float32 [n, F] of an encoder that stays as it is; of these rows of `data`, default all."""
    chosen = np.arange(len(data)) if rows is None else rows
    batches = (data.batch(chosen[start : start + 128]) for start in range(0, len(chosen), 128))
    return np.concatenate([pool(encoder(**batch), batch, pooling).float().numpy() for batch in batches])
