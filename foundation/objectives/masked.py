"""Masked signal modelling: hide tokens, predict their mean and their distribution. One pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from foundation.models.masked import WfmForMaskedModeling
from foundation.nn.decomposition import CLIP, Components
from foundation.nn.experts import watch_balance
from foundation.nn.masks import BLOCK, draw_mask, draw_revealed, has_visible_patch

BALANCE_WEIGHT = 0.01  # of the encoder's experts, as in Switch Transformer
MASKS = {"random": 0.5, "time": 0.2, "response": 0.2, "link": 0.1}


@dataclass(frozen=True)
class MaskedObjective:
    """Numbers of the objective.

    Attributes:
        ratio: share of tokens hidden by the random mask.
        masks: mask kind -> weight in the mixture.
        generation_share: share of the batches that practise generation: levels are those of the whole signal, and any
            part of it, from nothing on, is revealed. All others fill in gaps, where nothing hidden may be told.
        flow_weight: weight of the diffusion loss; 0 leaves the flow head untrained and saves its time.
        flow_share: share of the hidden dynamics tokens that the diffusion loss is taken on: it costs most, and a sample
            of tokens gives the same gradient on average.
        flow_levels: noise levels per token.
        sketch_weight: weight of the encoder's own account of the statistics, see `foundation.models.statistics_head`.
        static_weight: weight of a static token's error; a dynamics token's is 1.
        blend_share: share of the samples that the trust in interpolation learns from: it is one small layer.
        masked_weight: weight of what the mean head says of hidden tokens, and of its blend with interpolation.
    """

    ratio: tuple[float, float] = (0.6, 0.85)
    masks: Mapping[str, float] = field(default_factory=lambda: MASKS)
    generation_share: float = 0.25
    flow_weight: float = 1.0
    flow_share: float = 0.25
    flow_levels: int = 2
    sketch_weight: float = 1.0
    static_weight: float = 0.5
    blend_share: float = 0.25
    masked_weight: float = 1.0

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
            (scalar loss, metrics): `mse` of hidden entries in units of the visible entries' level, the same `blended`
            with interpolation, `sketch` of the statistics, `flow` loss, and `tokens`, how many real tokens the batch
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
        share = torch.where(batch["static"][hidden], self.static_weight, 1.0)[:, None]
        weight = observed / observed.sum(-1, keepdim=True) * share
        wanted = condition[hidden]
        guess = model.mean(wanted).float()
        mse = _mean_square(guess - target, weight)
        blended = self._blended(model, batch, visible, hidden, components, wanted, guess, target, weight)
        sketch = model.sketch_error(encoded, whole, batch)
        loss = self.masked_weight * (mse + blended) + self.sketch_weight * sketch
        metrics = {
            "mse": mse.detach(),
            "blended": blended.detach(),
            "sketch": sketch.detach(),
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
        return draw_mask(batch["grid"], candidates, batch["static"], self.ratio, self.masks, generator), None

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
        chosen = torch.rand(len(target), generator=generator).to(target.device) < self.flow_share
        chosen |= static
        chosen[:1] = True  # at least one, so that every parameter takes part in every step
        given = target[chosen].to(wanted.dtype), weight[chosen], wanted[chosen]
        return model.flow.loss(*given, self.flow_levels, generator)

    def _blended(
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
        few = slice(max(1, round(self.blend_share * len(hidden))))
        part, seen, first = {name: x[few] for name, x in batch.items()}, visible[few], hidden[few]
        lines = model.interpolated(seen, components.values[few], part)
        wanted, guess, target, weight = (x[: int(first.sum())] for x in of_hidden)
        blend = model.blend(wanted, guess, *(x[first] for x in lines))
        # Reconstruction is never asked for the static response of a column that it has seen part of.
        told = part["static"] & has_visible_patch(part["grid"], part["static"], seen)
        return _mean_square(blend - target, weight * ~told[first][:, None])


def _mean_square(error: Tensor, weight: Tensor) -> Tensor:
    return (error.square() * weight).sum() / weight.sum().clamp(min=1e-6)
