"""Two views of one measurement, told from those of others (InfoNCE: van den Oord et al. 2018, arXiv 1807.03748; with a
projection that is thrown away: Chen et al. 2020, arXiv 2002.05709).

The first view is what the masked step has encoded; the second is half of the patches that were hidden from it, as
another device would have measured them. Both hold what stays: who moves how, and where.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.models import CONTEXT_TOKENS, EncoderOutput, WfmConfig, WfmForMaskedModeling
from foundation.models.encoder import summaries
from foundation.nn.masks import has_visible_patch

PROJECTED = 64  # numbers of a view that are compared
TEMPERATURE = 0.1
DEVICE = 0.3  # nepers: standard deviation of the second view's gain, drawn for every column


def projection(config: WfmConfig) -> nn.Module:
    """Mean of a view's summary tokens [B, H] -> what is compared [B, PROJECTED]."""
    size = config.hidden_size
    return nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, PROJECTED))


def contrastive_loss(
    project: nn.Module,
    model: WfmForMaskedModeling,
    batch: dict[str, Tensor],
    visible: Tensor,
    encoded: EncoderOutput,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """InfoNCE in both directions, and how often the right sample was the nearest.

    Samples of other kinds are no rivals: what was measured with tells them apart, whatever the encoder has understood.

    Args:
        visible: bool [B, N] tokens of the first view, encoded as `encoded`.
    """
    other = second_view(visible, batch, generator)
    output = model.encoder(visible=other, **(batch | {"values": as_another_device(batch, generator)}))
    views = [_summary(view, summaries(batch)) for view in (encoded, output)]
    # A sample of which one view shows no summary has nothing to compare.
    told = views[0][1] & views[1][1]
    left, right = (F.normalize(project(mean).float(), dim=-1) for mean, _ in views)
    own = torch.arange(len(told), device=told.device)
    compared = (batch["kind"][:, None] == batch["kind"]) & told & told[:, None] | torch.eye(len(told)).bool().to(
        own.device
    )
    likeness = (left @ right.T / TEMPERATURE).masked_fill(~compared, -torch.inf)
    each = (F.cross_entropy(likeness, own, reduction="none") + F.cross_entropy(likeness.T, own, reduction="none")) / 2
    count = told.sum().clamp(min=1)
    loss, hits = (each * told).sum() / count, ((likeness.argmax(1) == own) & told).sum() / count
    return loss, {"contrastive": loss.detach(), "contrastive_hits": hits}


def second_view(visible: Tensor, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    """bool [B, N]: about half of the patches that are not visible, and the static tokens of their columns."""
    static = batch["static"]
    half = torch.rand(visible.shape, generator=generator).to(visible.device) < 0.5
    candidates = batch["observed"].any(-1)
    patches = candidates & ~visible & ~static & half
    return patches | (static & candidates & has_visible_patch(batch["grid"], static, patches))


def as_another_device(batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    """The raw values [B, N, E] with a random gain for every column, a link's patch of responses."""
    column = batch["column"]
    drawn = torch.randn(len(column), int(column.max()) + 1, generator=generator).to(column.device)
    gain = DEVICE * drawn.gather(1, column)[..., None]
    values = batch["values"]
    return torch.where(batch["logarithmic"][:, None, None], values + gain * batch["observed"], values * gain.exp())


def _summary(output: EncoderOutput, sums_up: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of the summary tokens [B, H], and which samples have one [B]."""
    hidden, keep, index = output.last_hidden_state, output.keep, output.index
    assert hidden is not None and keep is not None and index is not None
    summary = sums_up.gather(1, index) & keep[:, CONTEXT_TOKENS:]
    weight = summary[..., None].to(hidden.dtype)
    return (hidden[:, CONTEXT_TOKENS:] * weight).sum(1) / weight.sum(1).clamp(min=1), summary.any(1)
