"""What the encoder returns, and the selection of tokens that its readers share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from transformers.utils.generic import ModelOutput

from foundation.models.structure import Structure, Visible
from foundation.nn.decomposition import Components


@dataclass
class EncoderOutput(ModelOutput):
    """Output of `WfmModel`.

    Attributes:
        last_hidden_state: context tokens, then visible tokens; 0 at padding.
        pooler_output: pooling `moments` (see `foundation.models.pooling`); None in training mode.
        hidden_states: if asked for, what enters each block, and at last `last_hidden_state`.
        keep: True for real tokens of the sequence, False for padding.
        index: of each visible token among the input tokens.
        components: the normalised input.
        structure, visible: what the network was told of the batch, or found out; `structure` is None in a graph.
    """

    last_hidden_state: Float[Tensor, "batch sequence width"] | None = None
    pooler_output: Float[Tensor, "batch features"] | None = None
    hidden_states: tuple[Float[Tensor, "batch sequence width"], ...] | None = None
    keep: Bool[Tensor, "batch sequence"] | None = None
    index: Int[Tensor, "batch visible"] | None = None
    components: Components | None = None
    structure: Structure | None = None
    visible: Visible | None = None


def gather_tokens(
    index: Int[Tensor, "batch visible"], *tensors: Shaped[Tensor, "batch tokens ..."]
) -> tuple[Shaped[Tensor, "batch visible ..."], ...]:
    """Select the tokens `index` of each sample from every tensor."""
    rows = torch.arange(len(index), device=index.device)[:, None]
    return tuple(t[rows, index] for t in tensors)
