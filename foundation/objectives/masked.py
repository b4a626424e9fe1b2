"""Masked signal modelling: hide tokens, then predict their mean or denoise them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from foundation.config import ObjectiveSection
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.models.masked_loss import Hidden, hidden_tokens, targets_of, weighted_mean_square
from foundation.models.structure import Structure, Visible, rows_of, to_device
from foundation.nn.decomposition import Components
from foundation.nn.denoise import Noisy, draw_times
from foundation.nn.experts import BALANCE_WEIGHT, watch_balance
from foundation.nn.interpolation import FIELD_KEYS, TokenField, fields_of, interpolate_tokens
from foundation.nn.masks import BLOCK, draw_given, draw_mask, has_visible_patch


@dataclass(frozen=True)
class Task:
    """What is asked of the network for a batch: drawn and indexed where the batch is made, sent along with it.

    Attributes:
        visible: what the encoder sees.
        known: tokens whose levels are given; None: those of all.
        hidden: rows of the hidden tokens in the flattened batch whose mean is predicted, sample by sample.
        patches: of every patch shape, those of `hidden` that are patches, not static tokens.
        samples: that the gate with interpolation is trained on, the first of `hidden`; `fields` of these.
        gated: those of `hidden` that it is trained on; `interpolated`: their rows in the flattened samples.
        noisy: rows of the hidden tokens that are denoised, in other samples than those of `hidden`.
        times: noise levels of these.
        tokens: measured tokens of the batch.
        random: state of the generator after these draws, which the noise is drawn from.
    """

    visible: Visible
    known: Bool[Tensor, "batch tokens"] | None
    hidden: Int[Tensor, " hidden"]
    patches: tuple[Int[Tensor, " _"], ...]
    samples: Int[Tensor, " samples"]
    fields: tuple[TokenField, ...]
    gated: Int[Tensor, " gated"]
    interpolated: Int[Tensor, " gated"]
    noisy: Int[Tensor, " noisy"]
    times: Float[Tensor, " noisy"]
    tokens: int
    random: bytes


torch.export.register_dataclass(Task)


class MaskedObjective(ObjectiveSection):
    """The pretraining objective; its parameters and their defaults are those of the recipe's objective section."""

    @property
    def hidden_share(self) -> float:
        """Expected share of hidden tokens, approximately: blocks end at whole patches, samples differ in length."""
        total = sum(self.masks.values())
        random = self.masks.get("random", 0.0) / total
        masked = random * sum(self.ratio) / 2 + (1 - random) * sum(BLOCK) / 2
        # A third of the generation samples hides every patch, in the others any share of them.
        return self.generation_share * 2 / 3 + (1 - self.generation_share) * masked

    @property
    def noisy_share(self) -> float:
        """Expected share of the hidden tokens that are denoised."""
        return (1 - self.mean_share * (1 - self.condition_dropout)) * bool(self.denoising_weight)

    def __call__(
        self, model: WfmForMaskedModeling, batch: dict[str, Any], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Draw the task of a batch, then its loss, where the network is; `tokens` is the number of measured ones."""
        batch = {**batch, "structure": Structure.of(batch)}
        batch, task = to_device((batch, self.draw(batch, model.config, generator)), model.device)
        loss, metrics = self.loss(model, batch, task)
        return loss, metrics | {"tokens": torch.tensor(task.tokens)}

    def draw(self, batch: dict[str, Any], spec: WfmConfig, generator: torch.Generator) -> Task:
        """Draw what is hidden, and which of it each loss is computed on. Nothing here depends on the network."""
        candidates, static = batch["measured"], batch["static"]
        generates = float(torch.rand((), generator=generator)) < self.generation_share
        if generates:
            visible = draw_given(batch["grid"], candidates, static, generator)
        else:
            masks = cast(Mapping[str, float], self.masks)
            visible = draw_mask(batch["grid"], candidates, static, self.ratio, masks, generator)
        times, dropped = self._draw_denoising(len(visible), generator)
        denoised = (times < 1) | dropped
        hidden, noisy = (candidates & ~visible & chosen[:, None] for chosen in (~denoised, denoised))
        samples = (~denoised).nonzero().squeeze(1)[: max(1, round(self.gate_share * len(visible)))]
        # Reconstruction never predicts the static response of a column with a visible patch: it is visible.
        asked = ~(static & has_visible_patch(batch["grid"], static, visible))[samples]
        return Task(
            visible=Visible.of(visible & ~dropped[:, None], batch, len(spec.patch_shapes)),
            known=None if generates else visible,
            hidden=rows_of(hidden),
            patches=tuple(
                (~static & (batch["shape"] == each))[hidden].nonzero().squeeze(1)
                for each in range(len(spec.patch_shapes))
            ),
            samples=samples,
            fields=fields_of({name: batch[name][samples] for name in FIELD_KEYS}, spec.patch_shapes),
            gated=asked[hidden[samples]].nonzero().squeeze(1),
            interpolated=rows_of(hidden[samples] & asked),
            noisy=rows_of(noisy),
            times=times[:, None].expand_as(noisy)[noisy],
            tokens=int(candidates.sum()),
            random=generator.get_state().numpy().tobytes(),
        )

    def _draw_denoising(
        self, count: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, " count"], Bool[Tensor, " count"]]:
        """Noise level of each sample, and whether nothing but levels is known of it, for guidance."""
        if not self.denoising_weight:
            return torch.ones(count), torch.zeros(count, dtype=torch.bool)
        dropped = torch.rand(count, generator=generator) < self.condition_dropout
        return draw_times(count, self.mean_share, generator), dropped

    def loss(
        self, model: WfmForMaskedModeling, batch: dict[str, Any], task: Task
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Loss and metrics of one batch (see `foundation.data.tokens` for its tensors, which are where the network is).

        Returns:
            (loss, metrics): `mse` of hidden entries in units of the visible entries' level; `gated`, the same after the
            gate with interpolation; `statistics`, `facts` and `spectrum`, the losses of these heads, and each
            fact by its name; `denoising`, the error of the velocity of noisy entries; with experts `balance`.
        """
        if task.known is None:
            full = own = model.encoder.components(batch, batch["measured"])
        elif self.statistics_weight:
            full, own = model.encoder.components_of_both(batch, batch["measured"], task.known)
        else:
            full = own = model.encoder.components(batch, task.known)
        noisy = self._noisy(batch, task, own) if self.denoising_weight else None
        with watch_balance() as balances:
            output = model(task.visible, components=own, noisy=noisy, return_dict=True, **batch)
        hidden = hidden_tokens(model.decoder.predict, batch, task.hidden, output.condition, own)
        mse = weighted_mean_square(hidden.predicted - hidden.target, hidden.weight)
        gated = self._gated(model, batch, task, own, hidden)
        loss, metrics = self.masked_weight * (mse + gated), {"mse": mse.detach(), "gated": gated.detach()}
        if self.statistics_weight:
            statistics = model.statistics_loss(output.encoded, full, batch)
            loss, metrics["statistics"] = loss + self.statistics_weight * statistics, statistics.detach()
        if self.facts_weight and model.encoder.facts_head is not None:
            facts, each = model.encoder.facts_head.loss(output.encoded, batch)
            loss, metrics = loss + self.facts_weight * facts, metrics | {"facts": facts.detach()} | each
        if self.spectrum_weight and model.spectrum_head is not None:
            spectrum = model.spectrum_head.loss(hidden, task.patches)
            loss, metrics["spectrum"] = loss + self.spectrum_weight * spectrum, spectrum.detach()
        if noisy is not None:
            denoising = self._denoising(model, batch, noisy, output.condition, own)
            loss, metrics["denoising"] = loss + self.denoising_weight * denoising, denoising.detach()
        if balances:
            balance = torch.stack(balances).mean()
            loss, metrics["balance"] = loss + BALANCE_WEIGHT * balance, balance.detach()
        return loss, metrics

    @staticmethod
    def _noisy(batch: dict[str, Any], task: Task, components: Components) -> Noisy:
        target, observed = targets_of(components, task.noisy), batch["observed"].flatten(0, 1)[task.noisy]
        values = torch.lerp(target, noise_like(target, task.random), task.times[:, None])
        return Noisy(task.noisy, values, observed, task.times)

    @staticmethod
    def _denoising(
        model: WfmForMaskedModeling,
        batch: dict[str, Any],
        noisy: Noisy,
        condition: Float[Tensor, "batch tokens width"],
        components: Components,
    ) -> Float[Tensor, ""]:
        """Error of the velocity of the noisy tokens: that of the prediction of x, over t."""
        hidden = hidden_tokens(model.decoder.predict, batch, noisy.rows, condition, components)
        error = (noisy.clean(hidden.predicted) - hidden.target) / noisy.t[:, None]
        return weighted_mean_square(error, hidden.weight)

    def _gated(
        self, model: WfmForMaskedModeling, batch: dict[str, Any], task: Task, components: Components, hidden: Hidden
    ) -> Float[Tensor, ""]:
        """Error after the gate with interpolation, on `gate_share` of the samples."""
        known = batch["observed"][task.samples] & task.visible.mask[task.samples, :, None]
        interpolated = interpolate_tokens(components.values[task.samples], known, task.fields)
        condition, predicted, target, weight = (each[task.gated] for each in hidden)
        gated = model.gate(condition, predicted, *(each.flatten(0, 1)[task.interpolated] for each in interpolated))
        return weighted_mean_square(gated - target, weight)


def noise_like(values: Tensor, state: bytes) -> Tensor:
    """Standard normal noise of the shape, type and device of `values`, from a generator's state on the CPU.

    On the CPU from that generator itself; elsewhere from one of that device, which the state seeds, so that nothing is
    drawn on the host and sent.
    """
    if values.device.type == "cpu":
        generator = torch.Generator()
        generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))
        return torch.randn(values.shape, generator=generator).to(values.dtype)
    if values.is_meta:
        return torch.randn_like(values)
    seed = int.from_bytes(blake2b(state, digest_size=7).digest(), "little")
    generator = torch.Generator(values.device).manual_seed(seed)
    return torch.randn(values.shape, generator=generator, device=values.device, dtype=values.dtype)
