"""Generation from pure noise: new signals with the axes, radio parameters and levels of template signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from foundation.data.tokens import tokenize, untokenize
from foundation.data.views import made_linear, view_of
from foundation.models import WfmForMaskedModeling
from foundation.models.structure import Structure, to_device
from foundation.signal import Signal


@torch.no_grad()
def sample_like(
    model: WfmForMaskedModeling, templates: Sequence[Signal], generator: torch.Generator, steps: int = 8
) -> list[Signal]:
    """Generate one signal per template.

    A template determines the axes, links, carrier, bandwidth and kind, which entries were measured, and three numbers:
    offset, static level and dynamic level. Its values have no other influence: every token starts as noise.

    Args:
        steps: denoising steps, each a pass of the decoder.
    """
    batch: dict[str, Any] = dict(tokenize(templates, model.config))
    observed = batch["observed"].any(-1)
    batch["structure"] = Structure.of(batch)
    levels = model.encoder.components(*to_device((batch, observed), model.device))
    nothing = torch.zeros_like(observed)
    raw = model.generate(nothing, generator, steps=steps, levels=levels, **batch).cpu().numpy()
    return [_signal(model, template, row) for template, row in zip(templates, raw, strict=True)]


def _signal(model: WfmForMaskedModeling, template: Signal, raw: np.ndarray) -> Signal:
    view = view_of(template, model.config.views)
    amplitude_only = view == "log-amplitude"
    return template.with_(
        values=made_linear(untokenize(raw, template, model.config), template, view),
        clean=None,
        is_real=template.is_real or amplitude_only,
        kind="csi-amplitude" if amplitude_only and template.kind == "csi" else template.kind,
        source="generated",
        labels={},
    )
