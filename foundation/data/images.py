"""Labelled samples in memory as images, for networks without tokens (cnn, resnet)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from foundation.data.tokens import Batch
from foundation.data.views import VIEWS, view_of
from foundation.errors import RecipeError
from foundation.signal import Signal
from foundation.transforms.augment import device_responses
from foundation.transforms.unheard import unheard_level, with_unheard


class FieldSet:
    """Signals as images [channels, times, responses] in batches; the counterpart of `TokenSet`.

    Channels are the links; for complex fields, their real and imaginary parts. A window shorter than `times` is padded
    with unmeasured entries, a longer one is cut. A transmitter whose RSSI was not heard has a level below the weakest
    of the training signals, see `foundation.transforms.unheard`.

    Args:
        views: kind -> view, as in a model's configuration.
        like: training signals; all must have the links and responses of the first, and the longest sets `times`.

    Raises:
        RecipeError: signals differ in links, responses or whether they are complex.
    """

    def __init__(self, signals: Sequence[Signal], views: dict[str, str], like: Sequence[Signal]) -> None:
        self.signals, self.views = signals, views
        times = self.times = max(len(signal.values) for signal in like)
        self.unheard = unheard_level(like)
        first = _axes(like[0], views)
        for signal in signals:
            if _axes(signal, views) != first:
                raise RecipeError(
                    f"modes cnn and resnet need windows of one shape: session {like[0].session!r} has {_text(first)}, "
                    f"session {signal.session!r} {_text(_axes(signal, views))}; resample them when shards are built, "
                    "or leave these modes out."
                )
        self.shape = (first[0] * (2 if first[2] else 1), times, first[1])

    def __len__(self) -> int:
        return len(self.signals)

    def batch(self, rows: np.ndarray, augment: float = 0.0, seed: int = 0) -> Batch:
        """field float32 and measured bool, both [B, *shape]; `augment` as in `TokenSet.batch`."""
        chosen = device_responses((self.signals[i] for i in rows), seed, augment)
        fields, masks = zip(*(self._image(signal) for signal in chosen), strict=True)
        return {"field": torch.from_numpy(np.stack(fields)), "measured": torch.from_numpy(np.stack(masks))}

    def batches(self, size: int = 128) -> Iterator[Batch]:
        """All rows in order."""
        for start in range(0, len(self), size):
            yield self.batch(np.arange(start, min(start + size, len(self))))

    def _image(self, signal: Signal) -> tuple[np.ndarray, np.ndarray]:
        signal = with_unheard(signal, self.unheard)
        view = VIEWS[view_of(signal, self.views)](signal, signal.values)
        parts = [view.real, view.imag] if len(signal.links) != self.shape[0] else [view.real]
        length = min(self.times, len(view))
        field = np.zeros((self.times, self.shape[0], self.shape[2]), np.float32)
        measured = np.zeros(field.shape, bool)
        field[:length] = np.concatenate(parts, axis=1)[:length]
        measured[:length] = np.concatenate([signal.mask] * len(parts), axis=1)[:length]
        return np.where(measured, field, 0).transpose(1, 0, 2), measured.transpose(1, 0, 2)


def _axes(signal: Signal, views: dict[str, str]) -> tuple[int, int, bool]:
    """Links, responses, and whether the view is complex."""
    _, links, responses = signal.values.shape
    return links, responses, not (signal.is_real or view_of(signal, views) == "log-amplitude")


def _text(axes: tuple[int, int, bool]) -> str:
    links, responses, is_complex = axes
    return f"{links} links x {responses} {'complex' if is_complex else 'real'} responses"
