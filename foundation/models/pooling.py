"""Pooling: the encoder's tokens -> one feature vector per sample."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from foundation.models.output import EncoderOutput
from foundation.models.statistics_head import ROWS, StatisticsHead
from foundation.models.structure import CONTEXT_TOKENS, batch_rows, summary_tokens
from foundation.nn.precision import at_least_single

EPSILON = 1e-8  # the slope of a square root is infinite at 0


def pool(
    encoder: nn.Module, output: EncoderOutput, batch: dict[str, Tensor], pooling: str
) -> Float[Tensor, "batch features"]:
    """Pool the output of the encoder (a `WfmModel`, or one wrapped by PEFT) into one vector per sample.

    With C columns of W slots and width H, `pooling` is one of

    - `moments`, 6 H: mean and standard deviation of the summary tokens over links and responses, the same of the
      dynamics tokens over these and time, and the context tokens; comparable between any two signals. The deviation is
      about what moves, and not about the room (6 points of accuracy in unseen rooms, chosen by leaving out one training
      room at a time).
    - `columns`, C H + 2 H: the summary token of every (link, response patch), and the context tokens. Keeps the
      position on the response axis; samples must share links and responses.
    - `context`, 2 H: the context tokens (radio parameters and levels), where a few levels hold all that transfers to
      another location, as for impulse responses.
    - `invariant`, 4 C W: of the statistics that `foundation.models.statistics_head` predicts for every column, those
      that do not depend on gain, device or furniture: deviation, change and trend of its slots, and the slope of the
      mean over responses, in nepers where entries are logarithms. Shapes as for `columns`.
    - `response`, C W: the predicted mean with the gain of the link: the fewest numbers that describe a location, and
      the best where labels are few.
    - `a+b`: the concatenation of `a` and `b`.

    Raises:
        ValueError: `pooling` is none of these.
    """
    if "+" in pooling:
        return torch.cat([pool(encoder, output, batch, each) for each in pooling.split("+")], dim=1)
    hidden, keep, index = output.last_hidden_state, output.keep, output.index
    assert hidden is not None and keep is not None and index is not None
    hidden = at_least_single(hidden)  # a mean over many tokens and its square are beyond half precision
    context, tokens = hidden[:, :CONTEXT_TOKENS].flatten(1), hidden[:, CONTEXT_TOKENS:]
    if pooling == "context":
        return context
    real = keep[:, CONTEXT_TOKENS:]
    summary = summary_tokens(batch).gather(1, index) & real
    if pooling == "moments":
        groups = (summary, real & ~batch["static"].gather(1, index))
        return torch.cat([*(moment for chosen in groups for moment in _moments(tokens, chosen)), context], dim=1)
    column = batch["column"].gather(1, index)
    assert output.structure is not None
    member = _members(summary, column, output.structure.columns, tokens.dtype)
    if pooling == "columns":
        return torch.cat([_mean(tokens, member).flatten(1), context], dim=1)
    if pooling not in ("invariant", "response"):
        raise ValueError(f"pooling {pooling!r}: expected moments, columns, context, invariant or response")
    row = _statistics(cast(StatisticsHead, encoder.statistics_head), tokens, member, output, batch)
    if pooling == "response":
        return torch.where(row["measured"] > 0, row["mean"] + row["gain"][..., :1], 0.0).flatten(1)
    assert output.components is not None
    # In units of the static level the slope would depend on everything else in the room.
    unit = torch.where(batch["logarithmic"], output.components.static_level, 1.0)[:, None, None]
    return torch.stack([row["deviation"], row["change"], row["trend"], row["slope"] * unit], dim=2).flatten(1)


def _statistics(
    head: StatisticsHead,
    tokens: Float[Tensor, "batch visible width"],
    member: Float[Tensor, "batch visible columns"],
    output: EncoderOutput,
    batch: dict[str, Tensor],
) -> dict[str, Float[Tensor, "batch columns slots"]]:
    """Predicted statistics of every column by name, 0 where nothing was measured; and which slots were `measured`: a
    mean may be 0, as where a link has one response and its gain is removed."""
    assert output.visible is not None and output.visible.summary is not None
    flat = tokens.flatten(0, 1)
    predicted = flat.new_zeros(len(flat), len(ROWS) + 1, max(head.widths))
    observed = batch["observed"].flatten(0, 1)[batch_rows(output.visible.index, batch["static"].shape[1])]
    for shape, rows in output.visible.summary.items():
        known = head.known(observed[rows], shape)
        found = head(flat[rows]).to(predicted.dtype) * known
        predicted[rows] = torch.cat([found, known[:, :1].to(found.dtype)], dim=1)
    predicted = _mean(predicted.view(*tokens.shape[:2], -1), member).unflatten(2, predicted.shape[1:])
    return dict(zip((*ROWS, "measured"), predicted.unbind(2), strict=True))


def _moments(
    tokens: Float[Tensor, "batch visible width"], chosen: Bool[Tensor, "batch visible"]
) -> tuple[Float[Tensor, "batch width"], Float[Tensor, "batch width"]]:
    """Mean and standard deviation over the chosen tokens."""
    member = chosen[..., None].to(tokens.dtype)
    mean = _mean(tokens, member)
    deviation = (_mean((tokens - mean).square(), member) + EPSILON).sqrt() - EPSILON**0.5
    return mean.squeeze(1), deviation.squeeze(1)


def _members(
    chosen: Bool[Tensor, "batch visible"], group: Int[Tensor, "batch visible"], count: int, dtype: torch.dtype
) -> Float[Tensor, "batch visible groups"]:
    """Membership matrix: 1 where a chosen token belongs to a group."""
    return torch.nn.functional.one_hot(group, count).to(dtype) * chosen[..., None]


def _mean(
    values: Float[Tensor, "batch visible width"], member: Float[Tensor, "batch visible groups"]
) -> Float[Tensor, "batch groups width"]:
    """Mean of the members of every group; 0 for an empty group."""
    return torch.einsum("bkg,bkh->bgh", member / member.sum(1, keepdim=True).clamp(min=1), values)
