"""A task on top of an encoder: pool its tokens into one vector, map the vector to classes or numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from foundation.models.kernel_head import StackedHead
from foundation.models.pooling import pool


class TaskModel(nn.Module):
    """Encoder, pooling and head: a token batch in, class logits or numbers out [B, outputs]."""

    def __init__(self, encoder: nn.Module, head: StackedHead, pooling: str) -> None:
        super().__init__()
        self.encoder, self.head, self.pooling = encoder, head, pooling

    def forward(self, **batch: Any) -> Tensor:
        return self.head(pool(self.encoder, self.encoder(**batch), batch, self.pooling))
