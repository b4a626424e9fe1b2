"""Imputation: hide tokens of measured signals and let the model fill them in, beside linear interpolation.

One operation serves prediction in time, interpolation over frequency and missing links; the mask says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from foundation.data.tokens import tokenize, untokenize
from foundation.data.views import VIEWS, from_view, made_linear, view_of
from foundation.generate.baselines.interpolate import interpolate
from foundation.models import WfmForMaskedModeling
from foundation.nn.masks import draw_mask
from foundation.signal import Signal


@dataclass(frozen=True)
class Imputed:
    """One signal whose hidden entries were imputed in. Arrays are [T, L, R] in linear units of the model's view:
    complex for `field` and `sanitized`, amplitude for `log-amplitude`.

    Attributes:
        hidden: entries that the model did not see and whose truth is known.
        truth: noise-free where the signal carries its clean truth, else as measured.
        prediction: the deterministic head's, in hidden entries; as measured elsewhere.
        interpolated: linear interpolation from the same visible entries.
    """

    signal: Signal
    hidden: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    interpolated: np.ndarray

    @property
    def visible(self) -> np.ndarray:
        """Entries that the model saw; there `prediction` holds what was measured, all that a baseline may read."""
        return np.asarray(self.signal.mask & ~self.hidden)


@torch.no_grad()
def impute(
    model: WfmForMaskedModeling,
    signals: Sequence[Signal],
    kind: str,
    generator: torch.Generator,
    ratio: tuple[float, float] = (0.75, 0.75),
) -> list[Imputed]:
    """Hide part of every signal by one mask kind of `foundation.nn.masks.MASK_KINDS` and fill it in again."""
    batch = tokenize(signals, model.config)
    candidates = batch["observed"].any(-1)
    visible = draw_mask(batch["grid"], candidates, batch["static"], ratio, {kind: 1.0}, generator)
    placed = {name: value.to(model.device) for name, value in batch.items()}
    raw = model.reconstruct(visible.to(model.device), **placed).float().cpu().numpy()
    seen = np.broadcast_to(visible.numpy()[..., None], raw.shape).astype(np.float32)
    return [_one(model, *each) for each in zip(signals, raw, seen, strict=True)]


def _one(model: WfmForMaskedModeling, signal: Signal, raw: np.ndarray, seen: np.ndarray) -> Imputed:
    view = view_of(signal, model.config.views)
    visible = (untokenize(seen, signal, model.config).real > 0) & signal.mask
    measured = from_view(VIEWS[view](signal, signal.values), view)
    clean = measured if signal.clean is None else from_view(VIEWS[view](signal, signal.clean), view)
    prediction = made_linear(untokenize(raw, signal, model.config), signal, view)
    return Imputed(
        signal=signal,
        hidden=~visible & (signal.mask if signal.clean is None else True),
        truth=clean,
        prediction=np.where(visible, measured, prediction),
        interpolated=interpolate(measured, visible),
    )
