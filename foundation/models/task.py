"""A task on top of an encoder: pool its tokens into one vector, map the vector to classes or numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from foundation.models.encoder import CONTEXT_TOKENS, EncoderOutput

EPSILON = 1e-8  # the slope of a root is infinite at 0


def pool(output: EncoderOutput, batch: dict[str, Tensor], pooling: str) -> Tensor:
    """One vector per sample; dynamics, static response and context stay in places of their own.

    Of the dynamics both mean and standard deviation are taken: how much a token's features change says what moves, and
    nothing of the room (6 points of accuracy in rooms never seen, chosen by leaving out one training room at a time).

    `moments`: [mean and deviation of the dynamics, static, context] over links and responses, [B, 5 H]: comparable
    between any two signals.
    `columns`: mean and deviation over time, and static response, of every (link, response patch), then context,
    [B, 3 C H + 2 H]: keeps where on the response axis something happened; samples must share links and responses.
    """
    hidden, keep, index = output.last_hidden_state, output.keep, output.index
    assert hidden is not None and keep is not None and index is not None
    context, tokens = hidden[:, :CONTEXT_TOKENS].flatten(1), hidden[:, CONTEXT_TOKENS:]
    real = keep[:, CONTEXT_TOKENS:]
    static = batch["static"].gather(1, index)
    column = batch["column"].gather(1, index) if pooling == "columns" else torch.zeros_like(index)
    count = int(batch["column"].max()) + 1 if pooling == "columns" else 1
    moving, still = (_members(real & chosen, column, count, tokens.dtype) for chosen in (~static, static))
    mean = _mean(tokens, moving)
    apart = tokens - torch.einsum("bkg,bgh->bkh", moving, mean)
    deviation = (_mean(apart.square(), moving) + EPSILON).sqrt() - EPSILON**0.5
    return torch.cat([x.flatten(1) for x in (mean, deviation, _mean(tokens, still), context)], dim=1)


def _members(chosen: Tensor, group: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """1 where a chosen token [B, K] belongs to a group: [B, K, count]."""
    return torch.nn.functional.one_hot(group, count).to(dtype) * chosen[..., None]


def _mean(values: Tensor, member: Tensor) -> Tensor:
    """Mean of the members of every group: [B, K, H] -> [B, count, H]; 0 for an empty group."""
    return torch.einsum("bkg,bkh->bgh", member / member.sum(1, keepdim=True).clamp(min=1), values)


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
