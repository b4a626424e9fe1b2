"""A task on top of an encoder: pool its tokens into one vector, map the vector to classes or numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from foundation.models.encoder import CONTEXT_TOKENS, EncoderOutput


def pool(output: EncoderOutput, batch: dict[str, Tensor], pooling: str) -> Tensor:
    """One vector per sample; dynamics, static response and context stay in places of their own.

    `mean`: [dynamics, static, context] averaged over links and responses, [B, 4 H]: comparable between any two signals.
    `columns`: dynamics averaged over time and static response of every (link, response patch), then context,
    [B, 2 C H + 2 H]: keeps where on the response axis something happened; samples must share their links and responses.
    """
    hidden, keep, index = output.last_hidden_state, output.keep, output.index
    assert hidden is not None and keep is not None and index is not None
    context, tokens = hidden[:, :CONTEXT_TOKENS].flatten(1), hidden[:, CONTEXT_TOKENS:]
    real = keep[:, CONTEXT_TOKENS:]
    static = batch["static"].gather(1, index)
    column = batch["column"].gather(1, index) if pooling == "columns" else torch.zeros_like(index)
    count = int(batch["column"].max()) + 1 if pooling == "columns" else 1
    parts = [_mean_by(tokens, real & chosen, column, count).flatten(1) for chosen in (~static, static)]
    return torch.cat([*parts, context], dim=1)


def _mean_by(tokens: Tensor, chosen: Tensor, group: Tensor, count: int) -> Tensor:
    """Mean of chosen tokens per group: [B, K, H] -> [B, count, H]; 0 for an empty group."""
    share = torch.nn.functional.one_hot(group, count).to(tokens.dtype) * chosen[..., None]
    share = share / share.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("bkg,bkh->bgh", share, tokens)


class TaskHead(nn.Module):
    """Norm, dropout, linear map: [B, F] -> [B, outputs]. Regression outputs are scaled by the training targets."""

    target_mean: Tensor
    target_std: Tensor

    def __init__(self, features: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, outputs)
        nn.init.zeros_(self.linear.bias)
        nn.init.normal_(self.linear.weight, std=0.01)
        self.register_buffer("target_mean", torch.zeros(outputs))
        self.register_buffer("target_std", torch.ones(outputs))

    def forward(self, pooled: Tensor) -> Tensor:
        return self.linear(self.dropout(self.norm(pooled))) * self.target_std + self.target_mean


class TaskModel(nn.Module):
    """Encoder, pooling and head: a token batch in, class logits or numbers out [B, outputs]."""

    def __init__(self, encoder: nn.Module, head: TaskHead, pooling: str) -> None:
        super().__init__()
        self.encoder, self.head, self.pooling = encoder, head, pooling

    def forward(self, **batch: Any) -> Tensor:
        return self.head(pool(self.encoder(**batch), batch, self.pooling))
