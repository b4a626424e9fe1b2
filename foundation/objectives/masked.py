"""Masked signal modelling: hide tokens, predict their mean and their distribution. One pure function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from foundation.config import ObjectiveSection
from foundation.models.masked import WfmForMaskedModeling
from foundation.nn.decomposition import CLIP, Components
from foundation.nn.experts import watch_balance
from foundation.nn.masks import BLOCK, draw_mask, draw_revealed, has_visible_patch

BALANCE_WEIGHT = 0.01  # of the encoder's experts, as in Switch Transformer
STATIC_WEIGHT = 0.5  # of a static token's error; a dynamics token's is 1
#: Share of the hidden dynamics tokens that the diffusion loss is taken on: it costs most, and a sample of the tokens
#: gives the same gradient on average.
FLOW_SHARE = 0.25


class MaskedObjective(ObjectiveSection):
    """The objective of a recipe's section of that name, which holds its numbers and their defaults."""

    @property
    def hidden_share(self) -> float:
        """Share of the tokens that is hidden on average, about: blocks end at whole patches, samples differ."""
        total = sum(self.masks.values())
        random = self.masks.get("random", 0.0) / total
        masked = random * sum(self.ratio) / 2 + (1 - random) * sum(BLOCK) / 2
        # A third of the generation samples hides every patch, in the others any share of them.
        return self.generation_share * 2 / 3 + (1 - self.generation_share) * masked

    def __call__(
        self, model: WfmForMaskedModeling, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and metrics of one batch (see `foundation.data.tokens` for its tensors).

        Returns:
            (scalar loss, metrics): `mse` of hidden entries in units of the visible entries' level, `gated` the same
            after the gate with interpolation, `statistics` of the statistics head, `flow` loss, and `tokens`, how many real tokens the batch
            held.
        """
        candidates = batch["observed"].any(-1)
        whole = model.encoder.components(batch, candidates)
        visible, levels = self._draw(batch, candidates, whole, generator)
        with watch_balance() as balances:
            condition, components, encoded = model(visible, components=levels, **batch)
        hidden = candidates & ~visible
        target = components.values[hidden].clamp(-CLIP, CLIP)
        # A token counts as one, however many entries it has: by entries, static tokens would hardly be heard.
        observed = batch["observed"][hidden].to(target.dtype)
        share = torch.where(batch["static"][hidden], STATIC_WEIGHT, 1.0)[:, None]
        weight = observed / observed.sum(-1, keepdim=True) * share
        wanted = condition[hidden]
        guess = model.mean(wanted).float()
        mse = _mean_square(guess - target, weight)
        gated = self._gated(model, batch, visible, hidden, components, wanted, guess, target, weight)
        statistics = model.statistics_loss(encoded, whole, batch)
        loss = self.masked_weight * (mse + gated) + self.statistics_weight * statistics
        metrics = {
            "mse": mse.detach(),
            "gated": gated.detach(),
            "statistics": statistics.detach(),
            "tokens": candidates.sum(),
        }
        if self.flow_weight:
            flow = self._flow(model, batch["static"][hidden], target, weight, wanted, generator)
            loss, metrics["flow"] = loss + self.flow_weight * flow, flow.detach()
        if balances:
            balance = torch.stack(balances).mean()
            loss, metrics["balance"] = loss + BALANCE_WEIGHT * balance, balance.detach()
        return loss, metrics

    def _draw(
        self, batch: dict[str, Tensor], candidates: Tensor, whole: Components, generator: torch.Generator
    ) -> tuple[Tensor, Components | None]:
        """Which tokens the encoder sees, bool [B, N], and the components it sees them by where it practises generation;
        None where it fills in gaps."""
        generates = float(torch.rand((), generator=generator)) < self.generation_share
        if generates:
            return draw_revealed(candidates, batch["static"], generator), whole
        return draw_mask(
            batch["grid"], candidates, batch["static"], self.ratio, cast(Mapping[str, float], self.masks), generator
        ), None

    def _flow(
        self,
        model: WfmForMaskedModeling,
        static: Tensor,
        target: Tensor,
        weight: Tensor,
        wanted: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Diffusion loss of a sample of the hidden tokens [M, ...]."""
        # Few tokens are static and all hang on them: those are never left out.
        chosen = torch.rand(len(target), generator=generator).to(target.device) < FLOW_SHARE
        chosen |= static
        chosen[:1] = True  # at least one, so that every parameter takes part in every step
        given = target[chosen].to(wanted.dtype), weight[chosen], wanted[chosen]
        return model.flow.loss(*given, self.flow_levels, generator)

    def _gated(
        self,
        model: WfmForMaskedModeling,
        batch: dict[str, Tensor],
        visible: Tensor,
        hidden: Tensor,
        components: Components,
        *of_hidden: Tensor,
    ) -> Tensor:
        """Error of the guess, drawn to interpolated lines; `of_hidden`: condition, guess, target and weight of the
        hidden tokens [M, ...]."""
        few = slice(max(1, round(self.gate_share * len(hidden))))
        part, seen, first = {name: x[few] for name, x in batch.items()}, visible[few], hidden[few]
        lines = model.interpolated(seen, components.values[few], part)
        wanted, guess, target, weight = (x[: int(first.sum())] for x in of_hidden)
        gate = model.gate(wanted, guess, *(x[first] for x in lines))
        # Reconstruction is never asked for the static response of a column that it has seen part of.
        told = part["static"] & has_visible_patch(part["grid"], part["static"], seen)
        return _mean_square(gate - target, weight * ~told[first][:, None])


def _mean_square(error: Tensor, weight: Tensor) -> Tensor:
    return (error.square() * weight).sum() / weight.sum().clamp(min=1e-6)
