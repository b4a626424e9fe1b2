"""The decoder of pretraining: latents of visible tokens -> one condition vector for every token, visible or hidden."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from foundation.models.config import WfmConfig
from foundation.models.embedding import Placement, with_context
from foundation.models.output import EncoderOutput
from foundation.models.structure import CONTEXT_TOKENS
from foundation.nn.blocks import Transformer


class Decoder(nn.Module):
    """A light transformer over the encoder's latents, with a learned vector in place of each hidden token."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(config.hidden_size, config.decoder_size)
        self.hidden = nn.Parameter(torch.zeros(config.decoder_size))
        self.place = Placement(config, config.decoder_size)
        self.transformer = Transformer(config.decoder_size, config.decoder_depth, config.decoder_heads)

    def forward(
        self, output: EncoderOutput, exists: Bool[Tensor, "batch tokens"], batch: dict[str, Tensor]
    ) -> Float[Tensor, "batch tokens width"]:
        """Condition vectors; `exists` is False for padding."""
        latents = self.embed(output.last_hidden_state)
        context, seen = latents[:, :CONTEXT_TOKENS], latents[:, CONTEXT_TOKENS:]
        assert output.keep is not None and output.index is not None
        batch_size, count = exists.shape
        rows = torch.arange(batch_size, device=exists.device)[:, None]
        # Padding among the visible tokens has the index of a hidden token, which it must not overwrite.
        real = output.keep[:, CONTEXT_TOKENS:, None]
        tokens = self.hidden.expand(batch_size, count, -1).to(seen.dtype)
        tokens = tokens.index_put((rows, output.index), torch.where(real, seen, self.hidden.to(seen.dtype)))
        x = torch.cat([context, tokens + self.place(batch)], dim=1)
        assert output.structure is not None
        return self.transformer(x, with_context(batch["position"]), output.structure.packing)[:, CONTEXT_TOKENS:]
