"""The pretraining model: encoder, a light decoder that fills in hidden tokens, and two heads on its output.

The deterministic head predicts the mean of a hidden token (for reconstruction and NMSE); the flow head samples from its
distribution (for generation). Both see the same condition, so one decoder pass serves both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from foundation.models.config import WfmConfig
from foundation.models.encoder import (
    CONTEXT_TOKENS,
    EncoderOutput,
    Placement,
    WfmModel,
    WfmPreTrainedModel,
    summaries,
    take,
    with_context,
)
from foundation.nn.blocks import Transformer
from foundation.nn.decomposition import LEVELS, Components, restore
from foundation.nn.flow import FlowHead, cosine_counts
from foundation.nn.interpolation import LINES, interpolate_tokens
from foundation.nn.masks import has_visible_patch

LEVEL_WEIGHT = 0.1  # levels are logarithms (RSSI: dBm) that differ by many units between devices


class Decoder(nn.Module):
    """Latents of visible tokens -> one condition vector for every token [B, N, D]."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(config.hidden_size, config.decoder_size)
        self.hidden = nn.Parameter(torch.zeros(config.decoder_size))
        self.place = Placement(config, config.decoder_size)
        self.transformer = Transformer(config.decoder_size, config.decoder_depth, config.decoder_heads)

    def forward(self, output: EncoderOutput, exists: Tensor, batch: dict[str, Tensor]) -> Tensor:
        latents = self.embed(output.last_hidden_state)
        context, seen = latents[:, :CONTEXT_TOKENS], latents[:, CONTEXT_TOKENS:]
        assert output.keep is not None and output.index is not None
        batch_size, count = exists.shape
        rows = torch.arange(batch_size, device=exists.device)[:, None]
        # Padding among the gathered tokens points at hidden places: it must not overwrite them.
        real = output.keep[:, CONTEXT_TOKENS:, None]
        tokens = self.hidden.expand(batch_size, count, -1).to(seen.dtype)
        tokens = tokens.index_put((rows, output.index), torch.where(real, seen, self.hidden.to(seen.dtype)))
        keep = torch.cat([exists.new_ones(batch_size, CONTEXT_TOKENS), exists], dim=1)
        x = torch.cat([context, tokens + self.place(batch)], dim=1)
        return self.transformer(x, with_context(batch["position"]), keep)[:, CONTEXT_TOKENS:]


class Prediction(NamedTuple):
    """condition [B, N, D] of every token for both heads, the normalised tokens, and what the encoder made of them."""

    condition: Tensor
    components: Components
    encoded: EncoderOutput


class WfmForMaskedModeling(WfmPreTrainedModel):
    """Masked signal modelling with a deterministic and a diffusion head."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__(config)
        self.encoder = WfmModel(config)
        self.decoder = Decoder(config)
        self.mean = nn.Linear(config.decoder_size, config.entries)
        self.gate_logits = nn.Linear(config.decoder_size, config.entries * LINES)
        self.levels = nn.Linear(config.hidden_size, LEVELS)
        self.flow = FlowHead(config.entries, config.decoder_size, config.flow_width, config.flow_depth)
        self.post_init()

    def forward(self, visible: Tensor, components: Components | None = None, **batch: Any) -> Prediction:
        """What is predicted of every token given the visible ones.

        Args as `WfmModel.forward`, and batch["exists"] bool [B, N]: False for padding.
        """
        output = self.encoder(visible=visible, components=components, **batch)
        return Prediction(self.decoder(output, batch["exists"], batch), output.components, output)

    def interpolated(self, visible: Tensor, values: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What straight lines through the visible ones of the normalised `values` [B, N, E] say of every token, and
        where they say anything; both [B, N, E, LINES]."""
        known = batch["observed"] & visible[..., None]
        return interpolate_tokens(
            values, known, batch["static"], batch["grid"], batch["shape"], self.config.patch_shapes
        )

    def gate(self, condition: Tensor, guess: Tensor, lines: Tensor, reached: Tensor) -> Tensor:
        """The guess of the mean head, drawn to the interpolated lines as far as they deserve trust, entry by entry.

        Only the trust learns here: an encoder that could lean on the lines would learn less of the signal (measured:
        10 points of probe accuracy).
        """
        # Ways lead: a softmax over a last axis of three takes five times as long.
        trust = self.gate_logits(condition.detach()).float().unflatten(-1, (-1, LINES)).movedim(-1, 0)
        trust = torch.cat([torch.zeros_like(trust[:1]), trust.masked_fill(~reached.movedim(-1, 0), -torch.inf)])
        choices = torch.cat([guess.detach()[None], lines.movedim(-1, 0).to(guess.dtype)])
        return (trust.softmax(0).to(guess.dtype) * choices).sum(0)

    def statistics_loss(self, encoded: EncoderOutput, whole: Components, batch: dict[str, Tensor]) -> Tensor:
        """How far the encoder's summary tokens are from telling, linearly, what `StatisticsHead` asks of their whole column, of
        which they saw a part; and its context from telling the levels (Huber's). A scalar.

        Without it the summaries of a pretrained encoder told less of a place or an activity than those of an untrained
        one.
        """
        hidden, keep, index = encoded.last_hidden_state, encoded.keep, encoded.index
        assert hidden is not None and keep is not None and index is not None
        taken = take(index, summaries(batch), whole.values, whole.gain, batch["observed"], batch["shape"])
        chosen = taken[0] & keep[:, CONTEXT_TOKENS:]
        told = self.encoder.statistics_head.error(
            hidden[:, CONTEXT_TOKENS:][chosen], *(tensor[chosen] for tensor in taken[1:])
        )
        level = nn.functional.huber_loss(self.levels(hidden[:, CONTEXT_TOKENS - 1]).float(), whole.levels())
        return told + LEVEL_WEIGHT * level

    def _restore(self, values: Tensor, batch: dict[str, Tensor], components: Components) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):  # as in `WfmModel.components`
            return restore(values, batch["static"], self.encoder.columns(batch), components)

    @staticmethod
    def _with_static(visible: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Visible patches tell the static response of their column and nothing tells that of another."""
        static = batch["static"]
        return torch.where(static, has_visible_patch(batch["grid"], static, visible) & batch["exists"], visible)

    @torch.no_grad()
    def reconstruct(self, visible: Tensor, **batch: Any) -> Tensor:
        """Raw entries [B, N, E] in view units: what was visible as it was, what was hidden as the mean head predicts.

        Which static tokens the encoder sees follows from the visible patches.
        """
        visible = self._with_static(visible, batch)
        condition, components, _ = self(visible, **batch)
        lines = self.interpolated(visible, components.values, batch)
        guess = self.gate(condition, self.mean(condition).float(), *lines)
        imputed = torch.where(visible[..., None], components.values, guess)
        return self._restore(imputed, batch, components)

    @torch.no_grad()
    def generate(
        self,
        visible: Tensor,
        generator: torch.Generator,
        steps: int = 8,
        flow_steps: int = 12,
        levels: Components | None = None,
        **batch: Any,
    ) -> Tensor:
        """Sample every hidden token from pure noise by iterative unmasking; raw entries [B, N, E] in view units.

        Args:
            visible: bool [B, N] tokens to condition on (static tokens follow from the patches); all False generates
                whole signals.
            steps: unmasking steps for the static tokens and again for the patches; in each, tokens in random order
                are revealed (MaskGIT's cosine schedule).
            flow_steps: Heun steps from noise to token.
            levels: components whose levels the generated signal takes; default those of the visible tokens, which
                must then be some.
        """
        visible = self._with_static(visible, batch)
        components = levels if levels is not None else self.encoder.components(batch, visible)
        values = torch.where(visible[..., None], components.values, 0.0)
        noise = torch.rand(visible.shape, generator=generator).to(visible.device)
        known = visible
        # From coarse to fine, in the order that training practises.
        for group in (batch["static"], batch["exists"] & ~batch["static"]):
            order = noise.masked_fill(known | ~group, torch.inf).argsort(1).argsort(1)
            total, done = int((group & ~visible).sum(1).max()), 0
            for count in cosine_counts(total, steps):
                reveal = (order < done + count) & group & ~known
                if not bool(reveal.any()):
                    continue
                condition, *_ = self(known, components=replace(components, values=values), **batch)
                # Entries beyond a patch's area, or never measured, stay 0: so the encoder saw them in training.
                seen = batch["observed"][reveal]
                sampled = self.flow.sample(condition[reveal], seen, flow_steps, generator).float()
                values = values.masked_scatter(reveal[..., None], sampled)
                known, done = known | reveal, done + count
        raw = self._restore(values, batch, components)
        if levels is None or bool(visible.any()):
            return raw
        # A signal made from nothing keeps the levels that were asked for to the letter.
        own = self.encoder.components({**batch, "values": raw}, batch["observed"].any(-1))
        shape = (levels.shape_share() / own.shape_share())[:, None, None]
        return self._restore(torch.where(batch["static"][..., None], own.values * shape, own.values), batch, levels)
