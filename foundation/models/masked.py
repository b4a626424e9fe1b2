"""The pretraining model: encoder, and a light decoder that predicts hidden tokens or denoises them together.

Of hidden tokens alone the decoder predicts the mean (for reconstruction and NMSE); given noisy values of them, it
samples from their distribution step by step (for generation), while the encoder runs once.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from foundation.errors import CheckpointError
from foundation.models.batch import STRUCTURE, checked_batch, host_part
from foundation.models.config import WfmConfig
from foundation.models.decoder import Decoder
from foundation.models.encoder import WfmModel, WfmPreTrainedModel
from foundation.models.masked_loss import draw_visible, hidden_tokens, weighted_mean_square
from foundation.models.output import EncoderOutput, MaskedOutput, asked_for
from foundation.models.spectrum_head import SpectrumHead
from foundation.models.statistics_head import Summaries
from foundation.models.structure import CONTEXT_TOKENS, Structure, Visible, batch_rows, rows_of, to_device
from foundation.nn.decomposition import LEVELS, Components, restore
from foundation.nn.denoise import Noisy, solve
from foundation.nn.experts import BALANCE_WEIGHT, watch_balance
from foundation.nn.interpolation import METHODS, TokenField, fields_of, interpolate_tokens
from foundation.nn.masks import has_visible_patch
from foundation.nn.precision import without_autocast

LEVEL_WEIGHT = 0.1  # levels are logarithms (RSSI: dBm) that differ by many units between devices


class WfmForMaskedModeling(WfmPreTrainedModel):
    """Masked signal modelling and joint denoising."""

    def __init__(self, config: WfmConfig) -> None:
        super().__init__(config)
        self.encoder = WfmModel(config)
        self.decoder = Decoder(config)
        self.gate_logits = nn.Linear(config.decoder_size, config.entries * METHODS)
        self.levels = nn.Linear(config.hidden_size, LEVELS)
        self.spectrum_head = SpectrumHead(config) if config.spectrum else None
        self.post_init()

    def forward(
        self,
        visible: Bool[Tensor, "batch tokens"] | Visible | None = None,
        components: Components | None = None,
        return_loss: bool = True,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        noisy: Noisy | None = None,
        extra: Float[Tensor, "batch extra width"] | None = None,
        **batch: Any,
    ) -> MaskedOutput | tuple[Any, ...]:
        """Condition vectors of all tokens given the visible ones.

        Without `visible` the call is a training step, as that of other models of transformers: torch's global generator
        draws which tokens are hidden, with the default masks of a recipe, and `loss` is the masked loss with those of
        the statistics head and the facts head (and of the balance of experts). Denoising and the gate are trained by
        `foundation.objectives.MaskedObjective` alone.

        Args:
            visible: a mask, or what was made of it where the batch was made; who gives it has a loss of his own.
            components, output_hidden_states, return_dict, batch: as for `WfmModel.forward`, and in the batch `exists`,
                bool [batch, tokens]: False for padding.
            return_loss: whether a call without `visible` computes the loss.
            noisy, extra: for the decoder, see there.
        """
        if extra is not None and STRUCTURE not in batch:
            batch[STRUCTURE] = Structure.of(batch, extra.shape[1])
        hidden = None
        if visible is None:
            batch[STRUCTURE], visible, hidden = self._draw(batch, 0 if extra is None else extra.shape[1])
        batch = checked_batch(batch)
        # Who gives `visible` watches himself.
        watched: AbstractContextManager[list[Tensor]] = nullcontext([]) if hidden is None else watch_balance()
        with watched as balances:
            encoded = self.encoder(
                visible, components, output_hidden_states=output_hidden_states, return_dict=True, **batch
            )
            condition = self.decoder(encoded, batch["exists"], batch, noisy, extra)
        loss = None
        if hidden is not None and return_loss:
            loss = self._loss(batch, hidden, condition, encoded)
            if balances:
                loss = loss + BALANCE_WEIGHT * torch.stack(balances).mean()
        output = MaskedOutput(
            loss=loss,
            condition=condition,
            mask=batch["measured"] & ~encoded.visible.mask if hidden is not None else None,
            hidden_states=encoded.hidden_states,
            components=encoded.components,
            encoded=encoded,
        )
        return output if asked_for(return_dict, self.config.return_dict) else output.to_tuple()

    def _draw(self, batch: dict[str, Any], extra: int) -> tuple[Structure, Visible, Int[Tensor, " hidden"]]:
        """What the host decides of a training step: structure, visible tokens, rows of the hidden ones; on its device.

        A batch that is on an accelerator is fetched for it: `wfm pretrain` draws where batches are made, and never
        waits.
        """
        host = host_part(batch)
        mask = draw_visible(host, torch.default_generator)
        drawn = Structure.of(host, extra), self._visible(mask, host), rows_of(host["measured"] & ~mask)
        return to_device(drawn, batch["grid"].device)

    def _loss(
        self,
        batch: dict[str, Any],
        rows: Int[Tensor, " hidden"],
        condition: Float[Tensor, "batch tokens width"],
        encoded: EncoderOutput,
    ) -> Float[Tensor, ""]:
        assert encoded.components is not None
        hidden = hidden_tokens(self.decoder.predict, batch, rows, condition, encoded.components)
        error = weighted_mean_square(hidden.predicted - hidden.target, hidden.weight)
        full = self.encoder.components(batch, batch["measured"])
        loss = error + self.statistics_loss(encoded, full, batch)
        if self.encoder.facts_head is not None and "facts" in batch:
            loss = loss + self.encoder.facts_head.loss(encoded, batch)[0]
        return loss

    def fields(self, batch: dict[str, Tensor]) -> tuple[TokenField, ...]:
        """What `interpolate_tokens` needs of a batch; made where the batch is."""
        return fields_of(batch, self.config.patch_shapes)

    def gate(
        self,
        condition: Float[Tensor, "*tokens width"],
        predicted: Float[Tensor, "*tokens entries"],
        interpolated: Float[Tensor, "*tokens entries methods"],
        available: Bool[Tensor, "*tokens entries methods"],
    ) -> Float[Tensor, "*tokens entries"]:
        """Mix the predicted mean with the interpolated values, with softmax weights for each entry.

        Only the weights have a gradient: an encoder that could rely on interpolation would learn less of the signal
        (measured: 10 points of probe accuracy).

        Args:
            condition: of each token, from the decoder.
            interpolated, available: see `interpolated`.
        """
        # Methods first: a softmax over a last axis of three takes five times as long.
        logits = self.gate_logits(condition.detach()).float().unflatten(-1, (-1, METHODS)).movedim(-1, 0)
        logits = torch.cat([torch.zeros_like(logits[:1]), logits.masked_fill(~available.movedim(-1, 0), -torch.inf)])
        choices = torch.cat([predicted.detach()[None], interpolated.movedim(-1, 0).to(predicted.dtype)])
        return (logits.softmax(0).to(predicted.dtype) * choices).sum(0)

    def statistics_loss(self, encoded: EncoderOutput, full: Components, batch: dict[str, Tensor]) -> Float[Tensor, ""]:
        """Error of the statistics head on the summary tokens, and of the levels predicted from the context token.

        The targets come from `full`, the components of the sample with nothing hidden, of which the encoder saw a
        part. The error of the levels is Huber's. Without this loss the summary tokens of a pretrained encoder were
        less informative of a location or an activity than those of an untrained one.
        """
        hidden, visible = encoded.last_hidden_state, encoded.visible
        assert hidden is not None and visible is not None and visible.summary is not None
        tokens, own = hidden[:, CONTEXT_TOKENS:].flatten(0, 1), batch_rows(visible.index, batch["static"].shape[1])
        targets = tuple(each.flatten(0, 1) for each in (full.values, full.gain, batch["observed"]))
        columns = (
            Summaries(shape, tokens[rows], *(each[own[rows]] for each in targets))
            for shape, rows in visible.summary.items()
        )
        statistics = self.encoder.statistics_head.error(columns)
        level = nn.functional.huber_loss(self.levels(hidden[:, CONTEXT_TOKENS - 1]).float(), full.levels())
        return statistics + LEVEL_WEIGHT * level

    def _restore(
        self, values: Float[Tensor, "batch tokens entries"], batch: dict[str, Tensor], components: Components
    ) -> Float[Tensor, "batch tokens entries"]:
        with without_autocast(values.device):  # as in `WfmModel.components`
            return restore(values, batch["static"], self.encoder.columns(batch), components)

    @staticmethod
    def _with_static(visible: Bool[Tensor, "batch tokens"], batch: dict[str, Tensor]) -> Bool[Tensor, "batch tokens"]:
        """Make exactly the static tokens visible whose column has a visible patch."""
        static = batch["static"]
        return torch.where(static, has_visible_patch(batch["grid"], static, visible) & batch["exists"], visible)

    def _visible(self, mask: Bool[Tensor, "batch tokens"], batch: dict[str, Any]) -> Visible:
        return Visible.of(mask, batch, len(self.config.patch_shapes))

    @torch.no_grad()
    def reconstruct(self, visible: Bool[Tensor, "batch tokens"], **batch: Any) -> Float[Tensor, "batch tokens entries"]:
        """Raw entries in view units: visible ones unchanged, hidden ones as the decoder and the gate predict them.

        Which static tokens the encoder sees follows from the visible patches. The batch may be on the CPU; the result
        is where the network is.
        """
        batch = checked_batch(batch)
        seen = self._visible(self._with_static(visible, batch), batch)
        batch, seen, fields = to_device((batch, seen, self.fields(batch)), self.device)
        output = self(seen, return_dict=True, **batch)
        condition, components = output.condition, output.components
        known = batch["observed"] & seen.mask[..., None]
        interpolated = interpolate_tokens(components.values, known, fields)
        predicted = self.gate(condition, self.decoder.predict(condition).float(), *interpolated)
        return self._restore(torch.where(seen.mask[..., None], components.values, predicted), batch, components)

    @torch.no_grad()
    def generate(
        self,
        visible: Bool[Tensor, "batch tokens"],
        generator: torch.Generator,
        steps: int = 8,
        levels: Components | None = None,
        guidance: float = 1.0,
        extra: Float[Tensor, "batch extra width"] | None = None,
        **batch: Any,
    ) -> Float[Tensor, "batch tokens entries"]:
        """Sample all hidden tokens together, from noise; raw entries in view units.

        The batch may be on the CPU; the result is where the network is. All draws are made on the generator's device,
        so that a seed gives the same draws wherever the network is.

        Args:
            visible: tokens to condition on (static tokens follow from the patches); all False generates whole signals.
            steps: from noise to data, each a pass of the decoder.
            levels: components whose levels the generated signal takes; default those of the visible tokens, of which
                there must then be some.
            guidance: weight of the prediction that knows the visible tokens against one that knows their levels alone
                (Ho & Salimans 2022, arXiv 2207.12598); 1: no guidance.
            extra: for the decoder, see there.

        Raises:
            CheckpointError: denoising was not trained.
        """
        if not self.decoder.noisy.is_trained:
            raise CheckpointError(
                f"{self.name_or_path or 'the network'}: its decoder was not trained to denoise, so it can impute but "
                "not generate; pretrain with objective.denoising_weight above 0."
            )
        if extra is not None and STRUCTURE not in batch:
            batch[STRUCTURE] = Structure.of(batch, extra.shape[1])
        batch = checked_batch(batch)
        mask = self._with_static(visible, batch)
        is_conditional, rows = levels is None or bool(mask.any()), rows_of(batch["observed"].any(-1) & ~mask)
        shown = [(1.0, mask)] if guidance == 1 else [(guidance, mask), (1 - guidance, torch.zeros_like(mask))]
        seen = [(weight, self._visible(each, batch)) for weight, each in shown]
        noise = torch.randn(len(rows), batch["observed"].shape[-1], generator=generator)
        batch, mask, rows, seen, noise = to_device((batch, mask, rows, seen, noise), self.device)
        components = self.encoder.components(batch, mask) if levels is None else to_device(levels, self.device)
        encoded = [(weight, self.encoder(each, components, return_dict=True, **batch)) for weight, each in seen]
        # Entries beyond a patch's area, or never measured, stay 0, as they were in training.
        observed = batch["observed"].flatten(0, 1)[rows]

        def predict(x: Tensor, t: float) -> Tensor:
            noisy = Noisy(rows, x, observed, x.new_full((len(x),), t))
            found = torch.zeros_like(x)
            for weight, output in encoded:
                condition = self.decoder(output, batch["exists"], batch, noisy, extra).flatten(0, 1)[rows]
                found = found + weight * noisy.clean(self.decoder.predict(condition).float())
            return torch.where(observed, found, 0.0)

        sampled = solve(predict, torch.where(observed, noise, 0.0), steps)
        values = torch.where(mask[..., None], components.values, 0.0)
        values = values.flatten(0, 1).index_copy(0, rows, sampled).view_as(values)
        raw = self._restore(values, batch, components)
        return raw if is_conditional else self._at_levels(raw, batch, components)

    def _at_levels(
        self, raw: Float[Tensor, "batch tokens entries"], batch: dict[str, Tensor], components: Components
    ) -> Float[Tensor, "batch tokens entries"]:
        """A signal generated from noise alone, rescaled to exactly the requested levels."""
        own = self.encoder.components({**batch, "values": raw}, batch["observed"].any(-1))
        shape = (components.shape_share() / own.shape_share())[:, None, None]
        return self._restore(torch.where(batch["static"][..., None], own.values * shape, own.values), batch, components)
