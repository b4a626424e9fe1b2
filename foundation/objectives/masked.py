"""Masked signal modelling: hide tokens, then predict their mean and sample from their distribution."""

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
from foundation.models.masked_loss import Hidden, hidden_tokens, weighted_mean_square
from foundation.models.structure import Structure, Visible, rows_of, to_device
from foundation.nn.decomposition import Components
from foundation.nn.experts import BALANCE_WEIGHT, watch_balance
from foundation.nn.interpolation import FIELD_KEYS, TokenField, fields_of, interpolate_tokens
from foundation.nn.masks import BLOCK, draw_mask, draw_unmasked, has_visible_patch

#: Share of the hidden dynamics tokens on which the diffusion loss is computed: it is the most expensive loss, and a
#: random subset of the tokens has the same expected gradient.
FLOW_SHARE = 0.25


@dataclass(frozen=True)
class Task:
    """What is asked of the network for a batch: drawn and indexed where the batch is made, sent along with it.

    Attributes:
        visible: what the encoder sees.
        hidden: rows of the hidden tokens in the flattened batch, sample by sample.
        practises: the batch is a state of iterative generation, which knows the levels of the whole.
        gated: those of `hidden` that the gate with interpolation is trained on, in the first samples.
        fields: of these samples.
        flow: those of `hidden` that the diffusion loss is computed on.
        times: noise levels of these, `flow_levels` for each; empty where there is no diffusion loss.
        tokens: measured tokens of the batch.
        random: state of the generator after these draws, which the noise is drawn from.
    """

    visible: Visible
    hidden: Int[Tensor, " hidden"]
    practises: bool
    gated: Int[Tensor, " gated"]
    fields: tuple[TokenField, ...]
    flow: Int[Tensor, " chosen"]
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
        practises = float(torch.rand((), generator=generator)) < self.generation_share
        if practises:
            visible = draw_unmasked(candidates, static, generator)
        else:
            masks = cast(Mapping[str, float], self.masks)
            visible = draw_mask(batch["grid"], candidates, static, self.ratio, masks, generator)
        is_hidden = candidates & ~visible
        hidden, part = rows_of(is_hidden), max(1, round(self.gate_share * len(visible)))
        # Reconstruction never predicts the static response of a column with a visible patch: it is visible.
        excluded = static & has_visible_patch(batch["grid"], static, visible)
        first = int(is_hidden[:part].sum())
        gated = (~excluded.flatten()[hidden[:first]]).nonzero().squeeze(1)
        chosen, times = self._draw_flow(static.flatten()[hidden], generator)
        return Task(
            visible=Visible.of(visible, batch, len(spec.patch_shapes)),
            hidden=hidden,
            practises=practises,
            gated=gated,
            fields=fields_of({name: batch[name][:part] for name in FIELD_KEYS}, spec.patch_shapes),
            flow=chosen,
            times=times,
            tokens=int(candidates.sum()),
            random=generator.get_state().numpy().tobytes(),
        )

    def _draw_flow(
        self, static: Bool[Tensor, " hidden"], generator: torch.Generator
    ) -> tuple[Int[Tensor, " chosen"], Float[Tensor, " noisy"]]:
        """A random subset of the hidden tokens, and noise levels."""
        if not self.flow_weight:
            return torch.empty(0, dtype=torch.int64), torch.empty(0)
        # All static tokens: they are few, and generation of the patches depends on them.
        chosen = (torch.rand(len(static), generator=generator) < FLOW_SHARE) | static
        chosen[:1] = True  # at least one, so that every parameter takes part in every step
        rows = chosen.nonzero().squeeze(1)
        # Logit-normal times (Esser et al. 2024): most of the work where neither signal nor noise dominates.
        return rows, torch.sigmoid(torch.randn(len(rows) * self.flow_levels, generator=generator))

    def loss(
        self, model: WfmForMaskedModeling, batch: dict[str, Any], task: Task
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Loss and metrics of one batch (see `foundation.data.tokens` for its tensors, which are where the network is).

        Returns:
            (loss, metrics): `mse` of hidden entries in units of the visible entries' level; `gated`, the same after the
            gate with interpolation; `statistics`, the loss of the statistics head; `flow`, the diffusion loss; with
            experts `balance`.
        """
        if task.practises:  # a state of generation knows the levels of the whole
            full = own = model.encoder.components(batch, batch["measured"])
        else:
            full, own = model.encoder.components_of_both(batch, batch["measured"], task.visible.mask)
        with watch_balance() as balances:
            output = model(task.visible, components=own, return_dict=True, **batch)
        components = output.components
        hidden = hidden_tokens(model.mean, batch, task.hidden, output.condition, components)
        mse = weighted_mean_square(hidden.predicted - hidden.target, hidden.weight)
        gated = self._gated(model, batch, task, components, hidden)
        statistics = model.statistics_loss(output.encoded, full, batch)
        loss = self.masked_weight * (mse + gated) + self.statistics_weight * statistics
        metrics = {"mse": mse.detach(), "gated": gated.detach(), "statistics": statistics.detach()}
        if self.facts_weight and model.encoder.facts_head is not None:
            facts, each = model.encoder.facts_head.loss(output.encoded, batch)
            loss, metrics = loss + self.facts_weight * facts, metrics | {"facts": facts.detach()} | each
        if self.flow_weight:
            flow = self._flow(model, task, hidden)
            loss, metrics["flow"] = loss + self.flow_weight * flow, flow.detach()
        if balances:
            balance = torch.stack(balances).mean()
            loss, metrics["balance"] = loss + BALANCE_WEIGHT * balance, balance.detach()
        return loss, metrics

    def _flow(self, model: WfmForMaskedModeling, task: Task, hidden: Hidden) -> Float[Tensor, ""]:
        """Diffusion loss of the chosen hidden tokens, each at several noise levels."""
        condition = hidden.condition[task.flow]
        parts = (hidden.target[task.flow].to(condition.dtype), hidden.weight[task.flow], condition)
        target, weight, condition = (each.repeat(self.flow_levels, 1) for each in parts)
        return model.flow.loss(target, weight, condition, task.times.to(target.dtype), noise_like(target, task.random))

    def _gated(
        self, model: WfmForMaskedModeling, batch: dict[str, Any], task: Task, components: Components, hidden: Hidden
    ) -> Float[Tensor, ""]:
        """Error after the gate with interpolation, on the first `gate_share` of the samples."""
        part = max(1, round(self.gate_share * len(batch["kind"])))
        known = batch["observed"][:part] & task.visible.mask[:part, :, None]
        interpolated = interpolate_tokens(components.values[:part], known, task.fields)
        rows = task.hidden[task.gated]
        condition, predicted, target, weight = (each[task.gated] for each in hidden)
        gated = model.gate(condition, predicted, *(each.flatten(0, 1)[rows] for each in interpolated))
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
