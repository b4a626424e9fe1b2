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


@dataclass
class MaskedOutput(ModelOutput):
    """Output of `WfmForMaskedModeling`.

    Attributes:
        loss: where the call drew what is hidden; None where it was told what is visible.
        condition: of every token, visible or hidden, from the decoder; what both heads read.
        mask: True for the tokens that the call hid; None where it was told what is visible.
        hidden_states: of the encoder, if asked for.
        components: the normalised input.
        encoded: output of the encoder.
    """

    loss: Float[Tensor, ""] | None = None
    condition: Float[Tensor, "batch tokens width"] | None = None
    mask: Bool[Tensor, "batch tokens"] | None = None
    hidden_states: tuple[Float[Tensor, "batch sequence latent"], ...] | None = None
    components: Components | None = None
    encoded: EncoderOutput | None = None


def asked_for(given: bool | None, configured: bool | None) -> bool:
    """An option of a call, or of the configuration where the call leaves it open."""
    return bool(configured if given is None else given)


def gather_tokens(
    index: Int[Tensor, "batch visible"], *tensors: Shaped[Tensor, "batch tokens ..."]
) -> tuple[Shaped[Tensor, "batch visible ..."], ...]:
    """Select the tokens `index` of each sample from every tensor."""
    rows = torch.arange(len(index), device=index.device)[:, None]
    return tuple(t[rows, index] for t in tensors)
