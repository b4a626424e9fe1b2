"""Masked signal modelling: hide tokens, predict their mean and their distribution. One pure function."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from foundation.models.masked import WfmForMaskedModeling
from foundation.nn.masks import draw_mask


@dataclass(frozen=True)
class MaskedObjective:
    """Numbers of the objective.

    Attributes:
        ratio: share of tokens hidden by the random mask.
        masks: mask kind -> weight in the mixture.
        flow_weight: weight of the diffusion loss; 0 leaves the flow head untrained and saves its time.
        flow_share: share of the hidden tokens that the diffusion loss is taken on: it costs most, and a sample of
            tokens gives the same gradient on average.
        flow_levels: noise levels per token.
        static_weight: weight of a static token's error; a dynamics token's is 1.
    """

    ratio: tuple[float, float] = (0.6, 0.85)
    masks: dict[str, float] = field(default_factory=lambda: {"random": 0.6, "time": 0.2, "response": 0.1, "link": 0.1})
    flow_weight: float = 1.0
    flow_share: float = 0.25
    flow_levels: int = 2
    static_weight: float = 0.5

    def __call__(
        self, model: WfmForMaskedModeling, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and metrics of one batch (see `foundation.data.tokens` for its tensors).

        Returns:
            (scalar loss, metrics): `mse` of hidden entries in units of the visible entries' level, `flow` loss,
            and `tokens`, how many real tokens the batch held.
        """
        candidates = batch["observed"].any(-1)
        visible = draw_mask(batch["grid"], candidates, batch["static"], self.ratio, self.masks, generator)
        condition, components = model(visible, **batch)
        hidden = candidates & ~visible
        target = components.values[hidden].clamp(-CLIP, CLIP)
        # A token counts as one, however many entries it has: by entries, static tokens would hardly be heard.
        observed = batch["observed"][hidden].to(target.dtype)
        share = torch.where(batch["static"][hidden], self.static_weight, 1.0)[:, None]
        weight = observed / observed.sum(-1, keepdim=True) * share
        mse = ((model.mean(condition[hidden]).float() - target).square() * weight).sum() / weight.sum().clamp(min=1e-6)
        metrics = {"mse": mse.detach(), "tokens": candidates.sum()}
        if self.flow_weight == 0:
            return mse, metrics
        chosen = torch.rand(len(target), generator=generator).to(target.device) < self.flow_share
        chosen[:1] = True  # at least one, so that every parameter takes part in every step
        flow = model.flow.loss(
            target[chosen].to(condition.dtype), weight[chosen], condition[hidden][chosen], self.flow_levels, generator
        )
        return mse + self.flow_weight * flow, metrics | {"flow": flow.detach()}


#: Hidden entries are measured in units of the visible ones; a burst behind the mask must not own the batch.
CLIP = 5.0
