"""Pooling: the encoder's tokens -> one feature vector per sample."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from foundation.models.closed_pooling import CLOSED_POOLINGS, PARTS, closed_pool
from foundation.models.facts_head import FactsHead
from foundation.models.output import EncoderOutput
from foundation.models.structure import CONTEXT_TOKENS, summary_tokens
from foundation.nn.groups import group_mean, members
from foundation.nn.precision import at_least_single

LEARNED_POOLINGS = ("moments", "context", "columns", "timeline", "facts")
EPSILON = 1e-8  # the slope of a square root is infinite at 0


def pool(
    encoder: nn.Module, output: EncoderOutput, batch: dict[str, Tensor], pooling: str
) -> Float[Tensor, "batch features"]:
    """Pool the output of the encoder (a `WfmModel`, or one wrapped by PEFT) into one vector per sample.

    With C columns of W slots, width H and patches of T times, `pooling` is one of

    - `moments`, 6 H: mean and standard deviation of the summary tokens over links and responses, the same of the
      dynamics tokens over these and time, and the context tokens; comparable between any two signals. The deviation is
      about what moves, and not about the room (6 points of accuracy in unseen rooms, chosen by leaving out one training
      room at a time).
    - `columns`, C H + 2 H: the summary token of every (link, response patch), and the context tokens. Keeps the
      position on the response axis; samples must share links and responses.
    - `context`, 2 H: the context tokens (radio parameters and levels), where a few levels hold all that transfers to
      another location, as for impulse responses.
    - `facts`, 2 H: what the facts head reads the facts of the whole window from, where the encoder has one.
    - `timeline`, 8 H: mean of the dynamics tokens over links and responses in each eighth of the window.

    or, in closed form (`foundation.models.closed_pooling`), from what the encoder reads,

    - `invariant`, 4 C W: of the statistics of every column those that do not depend on gain, device or furniture:
      deviation, change and trend of its slots, and the slope of the mean over responses, in nepers where entries are
      logarithms. Shapes as for `columns`.
    - `response`, C W: the mean with the gain of the link, of a transmitter that was not heard the weakest of the scan:
      the fewest numbers that describe a location, and the best where labels are few.
    - `statistics`, 15: mean and standard deviation of every statistic over columns and slots, and the levels.
    - `doppler`, T + 2: log power of the dynamics by Doppler frequency, mean and deviation over links and responses.
    - `envelope`, 48: log level of the dynamics, and of them in five octaves of Doppler, in each eighth of the window.

    - `a+b`: the concatenation of `a` and `b`.

    Raises:
        ValueError: `pooling` is none of these.
    """
    if "+" in pooling:
        return torch.cat([pool(encoder, output, batch, each) for each in pooling.split("+")], dim=1)
    if pooling in CLOSED_POOLINGS:
        config: Any = encoder.config
        return closed_pool(config.patch_shapes, output, batch, pooling)
    if pooling not in LEARNED_POOLINGS:
        raise ValueError(f"pooling {pooling!r}: expected one of {', '.join((*LEARNED_POOLINGS, *CLOSED_POOLINGS))}")
    hidden, keep, index = output.last_hidden_state, output.keep, output.index
    assert hidden is not None and keep is not None and index is not None
    hidden = at_least_single(hidden)  # a mean over many tokens and its square are beyond half precision
    context, tokens = hidden[:, :CONTEXT_TOKENS].flatten(1), hidden[:, CONTEXT_TOKENS:]
    if pooling == "context":
        return context
    if pooling == "facts":
        return cast(FactsHead, encoder.facts_head).summary(output, batch)
    real = keep[:, CONTEXT_TOKENS:]
    summary, dynamic = (chosen.gather(1, index) & real for chosen in (summary_tokens(batch), ~batch["static"]))
    if pooling == "moments":
        return torch.cat(
            [*(moment for each in (summary, dynamic) for moment in _moments(tokens, each)), context], dim=1
        )
    if pooling == "timeline":
        time = batch["grid"][..., 0].gather(1, index)
        part = time * PARTS // (time.amax(1, keepdim=True) + 1)
        return group_mean(tokens, members(dynamic, part, PARTS, tokens.dtype)).flatten(1)
    assert output.structure is not None
    member = members(summary, batch["column"].gather(1, index), output.structure.columns, tokens.dtype)
    return torch.cat([group_mean(tokens, member).flatten(1), context], dim=1)


def _moments(
    tokens: Float[Tensor, "batch visible width"], chosen: Bool[Tensor, "batch visible"]
) -> tuple[Float[Tensor, "batch width"], Float[Tensor, "batch width"]]:
    """Mean and standard deviation over the chosen tokens."""
    member = chosen[..., None].to(tokens.dtype)
    mean = group_mean(tokens, member)
    deviation = (group_mean((tokens - mean).square(), member) + EPSILON).sqrt() - EPSILON**0.5
    return mean.squeeze(1), deviation.squeeze(1)
