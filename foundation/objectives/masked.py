"""Masked signal modelling: hide tokens, then predict their mean and sample from their distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foundation.config import ObjectiveSection
from foundation.models.masked import WfmForMaskedModeling
from foundation.nn.decomposition import CLIP, Components
from foundation.nn.experts import watch_balance
from foundation.nn.masks import BLOCK, draw_mask, draw_unmasked, has_visible_patch

BALANCE_WEIGHT = 0.01  # of the experts' load-balancing loss, as in Switch Transformer
STATIC_WEIGHT = 0.5  # of the error of a static token; that of a dynamics token is 1
#: Share of the hidden dynamics tokens on which the diffusion loss is computed: it is the most expensive loss, and a
#: random subset of the tokens has the same expected gradient.
FLOW_SHARE = 0.25


class Hidden(NamedTuple):
    """The hidden tokens of a batch, on which the losses are computed.

    Attributes:
        condition: from the decoder.
        predicted: by the mean head.
        target: normalised entries.
        weight: of each entry's error; 0 where it was not measured.
        static: static tokens.
    """

    condition: Float[Tensor, "masked width"]
    predicted: Float[Tensor, "masked entries"]
    target: Float[Tensor, "masked entries"]
    weight: Float[Tensor, "masked entries"]
    static: Bool[Tensor, " masked"]


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
        self, model: WfmForMaskedModeling, batch: dict[str, Tensor], generator: torch.Generator
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Loss and metrics of one batch (see `foundation.data.tokens` for its tensors).

        Returns:
            (loss, metrics): `mse` of hidden entries in units of the visible entries' level; `gated`, the same after the
            gate with interpolation; `statistics`, the loss of the statistics head; `flow`, the diffusion loss; with
            experts `balance`; and `tokens`, the number of real tokens in the batch.
        """
        candidates = batch["observed"].any(-1)
        full = model.encoder.components(batch, candidates)
        visible, levels = self._draw(batch, candidates, full, generator)
        with watch_balance() as balances:
            condition, components, encoded = model(visible, components=levels, **batch)
        is_hidden = candidates & ~visible
        hidden = _hidden(model, batch, is_hidden, condition, components)
        mse = _weighted_mean_square(hidden.predicted - hidden.target, hidden.weight)
        gated = self._gated(model, batch, visible, is_hidden, components, hidden)
        statistics = model.statistics_loss(encoded, full, batch)
        loss = self.masked_weight * (mse + gated) + self.statistics_weight * statistics
        metrics = {
            "mse": mse.detach(),
            "gated": gated.detach(),
            "statistics": statistics.detach(),
            "tokens": candidates.sum(),
        }
        if self.flow_weight:
            flow = self._flow(model, hidden, generator)
            loss, metrics["flow"] = loss + self.flow_weight * flow, flow.detach()
        if balances:
            balance = torch.stack(balances).mean()
            loss, metrics["balance"] = loss + BALANCE_WEIGHT * balance, balance.detach()
        return loss, metrics

    def _draw(
        self,
        batch: dict[str, Tensor],
        candidates: Bool[Tensor, "batch tokens"],
        full: Components,
        generator: torch.Generator,
    ) -> tuple[Bool[Tensor, "batch tokens"], Components | None]:
        """Visible tokens, and the components to encode them by: `full` for generation, None for imputation."""
        generates = float(torch.rand((), generator=generator)) < self.generation_share
        if generates:
            return draw_unmasked(candidates, batch["static"], generator), full
        return draw_mask(
            batch["grid"], candidates, batch["static"], self.ratio, cast(Mapping[str, float], self.masks), generator
        ), None

    def _flow(self, model: WfmForMaskedModeling, hidden: Hidden, generator: torch.Generator) -> Float[Tensor, ""]:
        """Diffusion loss of a random subset of the hidden tokens."""
        # All static tokens: they are few, and generation of the patches depends on them.
        chosen = torch.rand(len(hidden.target), generator=generator).to(hidden.target.device) < FLOW_SHARE
        chosen |= hidden.static
        chosen[:1] = True  # at least one, so that every parameter takes part in every step
        condition = hidden.condition[chosen]
        target = hidden.target[chosen].to(condition.dtype)
        return model.flow.loss(target, hidden.weight[chosen], condition, self.flow_levels, generator)

    def _gated(
        self,
        model: WfmForMaskedModeling,
        batch: dict[str, Tensor],
        visible: Bool[Tensor, "batch tokens"],
        is_hidden: Bool[Tensor, "batch tokens"],
        components: Components,
        hidden: Hidden,
    ) -> Float[Tensor, ""]:
        """Error after the gate with interpolation, on the first `gate_share` of the samples."""
        part = slice(max(1, round(self.gate_share * len(visible))))
        batch, visible, is_hidden = {name: x[part] for name, x in batch.items()}, visible[part], is_hidden[part]
        interpolated = model.interpolated(visible, components.values[part], batch)
        condition, predicted, target, weight, _ = (x[: int(is_hidden.sum())] for x in hidden)
        gated = model.gate(condition, predicted, *(x[is_hidden] for x in interpolated))
        # Reconstruction never predicts the static response of a column with a visible patch: it is visible.
        excluded = batch["static"] & has_visible_patch(batch["grid"], batch["static"], visible)
        return _weighted_mean_square(gated - target, weight * ~excluded[is_hidden][:, None])


def _hidden(
    model: WfmForMaskedModeling,
    batch: dict[str, Tensor],
    is_hidden: Bool[Tensor, "batch tokens"],
    condition: Float[Tensor, "batch tokens width"],
    components: Components,
) -> Hidden:
    """Gather the hidden tokens with their predictions, targets and weights."""
    target = components.values[is_hidden].clamp(-CLIP, CLIP)
    static = batch["static"][is_hidden]
    # Every token has the same weight, however many entries it has: static tokens have few.
    observed = batch["observed"][is_hidden].to(target.dtype)
    weight = observed / observed.sum(-1, keepdim=True) * torch.where(static, STATIC_WEIGHT, 1.0)[:, None]
    chosen = condition[is_hidden]
    return Hidden(chosen, model.mean(chosen).float(), target, weight, static)


def _weighted_mean_square(
    error: Float[Tensor, "masked entries"], weight: Float[Tensor, "masked entries"]
) -> Float[Tensor, ""]:
    return (error.square() * weight).sum() / weight.sum().clamp(min=1e-6)
