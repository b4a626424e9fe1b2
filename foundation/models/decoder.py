"""The decoder of pretraining: latents of visible tokens, and noisy hidden tokens -> what all hidden tokens are.

One transformer predicts and denoises (DiffMAE, Wei et al. 2023, arXiv 2304.03283): hidden tokens attend to each other
and to the visible ones. Of a hidden token without a noisy value it predicts the mean.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from foundation.errors import SignalError
from foundation.models.config import WfmConfig
from foundation.models.embedding import Placement
from foundation.models.output import EncoderOutput
from foundation.models.structure import CONTEXT_TOKENS
from foundation.nn.blocks import Transformer
from foundation.nn.denoise import Noisy, NoisyEmbedding


class Decoder(nn.Module):
    """A light transformer over the encoder's latents, with a learned vector in place of each token that is not visible,
    to which the noisy value is added where there is one."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(config.hidden_size, config.decoder_size)
        self.hidden = nn.Parameter(torch.zeros(config.decoder_size))
        self.noisy = NoisyEmbedding(config.entries, config.decoder_size)
        self.place = Placement(config, config.decoder_size)
        self.transformer = Transformer(config.decoder_size, config.decoder_depth, config.decoder_heads)
        self.predict = nn.Linear(config.decoder_size, config.entries)

    def forward(
        self,
        output: EncoderOutput,
        exists: Bool[Tensor, "batch tokens"],
        batch: dict[str, Tensor],
        noisy: Noisy | None = None,
        extra: Float[Tensor, "batch extra width"] | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Condition vectors of all tokens, from which `predict` makes entries.

        Args:
            exists: False for padding.
            noisy: values of hidden tokens, partly noise.
            extra: tokens of whatever else is known, to which all others attend; the batch's structure was made with
                as many.

        Raises:
            SignalError: it was made with another number.
        """
        latents = self.embed(output.last_hidden_state)
        context, seen = latents[:, :CONTEXT_TOKENS], latents[:, CONTEXT_TOKENS:]
        assert output.keep is not None and output.index is not None and output.structure is not None
        batch_size, count = exists.shape
        rows = torch.arange(batch_size, device=exists.device)[:, None]
        # Padding among the visible tokens has the index of a hidden token, which it must not overwrite.
        real = output.keep[:, CONTEXT_TOKENS:, None]
        tokens = self.hidden.expand(batch_size, count, -1).to(seen.dtype)
        tokens = tokens.index_put((rows, output.index), torch.where(real, seen, self.hidden.to(seen.dtype)))
        tokens = tokens + self.place(batch)
        if noisy is not None:
            added = self.noisy(noisy).to(tokens.dtype)
            tokens = tokens.flatten(0, 1).index_add(0, noisy.rows, added).view_as(tokens)
        given = [context] if extra is None else [context, extra.to(context.dtype)]
        before = CONTEXT_TOKENS + (0 if extra is None else extra.shape[1])
        position = batch["position"]
        positions = torch.cat([position.new_zeros(batch_size, before, position.shape[-1]), position], dim=1)
        if (told := output.structure.extra) != before - CONTEXT_TOKENS:
            raise SignalError(
                f"extra: {before - CONTEXT_TOKENS} tokens, and the batch's structure was made with {told}; "
                "make it with Structure.of(batch, extra), or leave it out."
            )
        sequence = torch.cat([*given, tokens], dim=1)
        return self.transformer(sequence, positions, output.structure.packing)[:, before:]
