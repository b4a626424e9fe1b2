"""Latents -> one vector a sample."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from foundation.models.encoder import CONTEXT_TOKENS, EncoderOutput, summaries, take
from foundation.models.statistics_head import ROWS, StatisticsHead

EPSILON = 1e-8  # the slope of a root is infinite at 0


def pool(encoder: nn.Module, output: EncoderOutput, batch: dict[str, Tensor], pooling: str) -> Tensor:
    """One vector per sample, from what the encoder (a `WfmModel`, or one wrapped by PEFT) made of it.

    `columns`: the summary token of every (link, response patch), then context, [B, C H + 2 H]: keeps where on the
    response axis something happened; samples must share links and responses.
    `moments`: mean and deviation of the summaries over links and responses, the same of the dynamics over these and
    time, context, [B, 6 H]: comparable between any two signals. The deviation says what moves, and nothing of the room
    (6 points of accuracy in rooms never seen, chosen by leaving out one training room at a time).
    `context`: what was measured with and how strong it was, [B, 2 H]: where a few levels tell all that carries over to
    another place, as of impulse responses.
    `invariant`: of what the encoder says, in plain numbers, of every column (`foundation.models.statistics_head`), that which a
    change of gain, device or furniture leaves alone: how strongly its slots move, how fast and where to, and the slope
    of the mean over responses, in nepers where entries are logarithms, [B, 4 C W]; shapes as for `columns`.
    `response`: of what it says the mean, with the gain of the link, [B, C W]: the fewest numbers in which a place is
    told, and the best where labels are few.
    `a+b`: one after the other.
    """
    if "+" in pooling:
        return torch.cat([pool(encoder, output, batch, each) for each in pooling.split("+")], dim=1)
    hidden, keep, index = output.last_hidden_state, output.keep, output.index
    assert hidden is not None and keep is not None and index is not None
    context, tokens = hidden[:, :CONTEXT_TOKENS].flatten(1), hidden[:, CONTEXT_TOKENS:]
    if pooling == "context":
        return context
    real = keep[:, CONTEXT_TOKENS:]
    summary = summaries(batch).gather(1, index) & real
    if pooling == "moments":
        groups = (summary, real & ~batch["static"].gather(1, index))
        return torch.cat([*(moment for chosen in groups for moment in _moments(tokens, chosen)), context], dim=1)
    column = batch["column"].gather(1, index)
    member = _members(summary, column, int(batch["column"].max()) + 1, tokens.dtype)
    if pooling == "columns":
        return torch.cat([_mean(tokens, member).flatten(1), context], dim=1)
    if pooling not in ("invariant", "response"):
        raise ValueError(f"pooling {pooling!r}: expected moments, columns, context, invariant or response")
    statistics_head = cast(StatisticsHead, encoder.statistics_head)
    told = tokens.new_zeros(*summary.shape, len(ROWS), max(statistics_head.widths))
    seen, shape = (tensor[summary] for tensor in take(index, batch["observed"], batch["shape"]))
    told[summary] = statistics_head(tokens[summary]) * statistics_head.known(seen, shape)
    told = _mean(told.flatten(2), member).unflatten(2, told.shape[2:])
    row = dict(zip(ROWS, told.unbind(2), strict=True))
    if pooling == "response":
        return torch.where(row["mean"] != 0, row["mean"] + row["gain"][..., :1], 0.0).flatten(1)
    assert output.components is not None
    # In units of the static level a slope would change with all that stands elsewhere in the room.
    unit = torch.where(batch["logarithmic"], output.components.static_level, 1.0)[:, None, None]
    return torch.stack([row["deviation"], row["change"], row["trend"], row["slope"] * unit], dim=2).flatten(1)


def _moments(tokens: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [B, H] over the chosen tokens [B, K]."""
    member = chosen[..., None].to(tokens.dtype)
    mean = _mean(tokens, member)
    deviation = (_mean((tokens - mean).square(), member) + EPSILON).sqrt() - EPSILON**0.5
    return mean.squeeze(1), deviation.squeeze(1)


def _members(chosen: Tensor, group: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """1 where a chosen token [B, K] belongs to a group: [B, K, count]."""
    return torch.nn.functional.one_hot(group, count).to(dtype) * chosen[..., None]


def _mean(values: Tensor, member: Tensor) -> Tensor:
    """Mean of the members of every group: [B, K, H] -> [B, count, H]; 0 for an empty group."""
    return torch.einsum("bkg,bkh->bgh", member / member.sum(1, keepdim=True).clamp(min=1), values)
