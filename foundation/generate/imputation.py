"""Imputation: hide tokens of measured signals and predict them, by the model and by linear interpolation.

Depending on the mask this is prediction in time, interpolation over frequency, or estimation of missing links.
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
    """One signal and its imputation. Arrays are [T, L, R] (times, links, responses) in linear units of the model's
    view: complex for `field` and `sanitized`, amplitude for `log-amplitude`.

    Attributes:
        hidden: entries that were hidden from the model and whose truth is known.
        truth: noise-free where the signal carries its clean truth, else as measured.
        prediction: of the deterministic head in hidden entries; as measured in visible ones.
        interpolated: linear interpolation from the same visible entries.
    """

    signal: Signal
    hidden: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    interpolated: np.ndarray

    @property
    def visible(self) -> np.ndarray:
        """Entries that the model saw, bool; a baseline may read `prediction` there, which is what was measured."""
        return np.asarray(self.signal.mask & ~self.hidden)

    @property
    def has_both(self) -> bool:
        """Whether some entries are hidden and some visible; without both there is nothing to evaluate."""
        return bool(self.hidden.any() and self.visible.any())


@torch.no_grad()
def impute(
    model: WfmForMaskedModeling,
    signals: Sequence[Signal],
    kind: str,
    generator: torch.Generator,
    ratio: tuple[float, float] = (0.75, 0.75),
    batch_size: int = 64,
) -> list[Imputed]:
    """Hide part of every signal and impute it, one batch at a time.

    Args:
        kind: of the mask, see `foundation.nn.masks.MASK_KINDS`.
        generator: draws the masks, batch by batch.
        ratio: range of the share of tokens that the random mask hides.
    """
    imputed = []
    for start in range(0, len(signals), batch_size):
        chosen = signals[start : start + batch_size]
        batch = tokenize(chosen, model.config)
        candidates = batch["observed"].any(-1)
        visible = draw_mask(batch["grid"], candidates, batch["static"], ratio, {kind: 1.0}, generator)
        raw = model.reconstruct(visible, **batch).float().cpu().numpy()
        seen = np.broadcast_to(visible.numpy()[..., None], raw.shape).astype(np.float32)
        imputed += [_to_signal_units(model, *each) for each in zip(chosen, raw, seen, strict=True)]
    return imputed


def _to_signal_units(model: WfmForMaskedModeling, signal: Signal, raw: np.ndarray, seen: np.ndarray) -> Imputed:
    """From entries [N, E] of the tokens of a signal, and 1 where they were visible, to fields in linear units."""
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
