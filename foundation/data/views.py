"""Views: representations of a signal for the network, one per kind, set in the model's configuration.

- `field`: the complex (or real) values, unchanged.
- `sanitized`: per packet, the common phase and the linear phase along frequency are removed (they carry carrier offset
  and sampling time, Sen et al. 2012); links keep their phase differences.
- `log-amplitude`: natural logarithm of the magnitude: gains become additive offsets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from foundation.errors import RecipeError
from foundation.nn.patches import log_magnitude
from foundation.signal import Signal
from foundation.transforms.phase import phase_line


def field(signal: Signal, values: np.ndarray) -> np.ndarray:
    return values


def sanitized(signal: Signal, values: np.ndarray) -> np.ndarray:
    """Remove from every packet the line fitted to its phase over frequency, power-weighted and common to all links."""
    if signal.domain != "frequency" or len(signal.response) < 2:
        return values
    return np.asarray(values * np.exp(-1j * phase_line(signal.response, values)))


def log_amplitude(signal: Signal, values: np.ndarray) -> np.ndarray:
    field, mask = torch.tensor(values, dtype=torch.complex64), torch.tensor(signal.mask)
    return log_magnitude(field[None], mask[None])[0].numpy()


VIEWS: dict[str, Callable[[Signal, np.ndarray], np.ndarray]] = {
    "field": field,
    "sanitized": sanitized,
    "log-amplitude": log_amplitude,
}


def view_of(signal: Signal, views: dict[str, str]) -> str:
    """The view of a signal's kind.

    Raises:
        RecipeError: the configuration has no view for the kind, or names one that does not exist.
    """
    name = views.get(signal.kind, "")
    if name not in VIEWS:
        raise RecipeError(
            f"views has {name!r} for kind {signal.kind!r}; expected one of {', '.join(VIEWS)} "
            f"under model.views.{signal.kind}."
        )
    return name


def from_view(values: np.ndarray, view: str) -> np.ndarray:
    """Inverse of a view: linear units, in which errors are measured."""
    return np.exp(values.real).astype(np.complex64) if view == "log-amplitude" else values


def made_linear(values: np.ndarray, signal: Signal, view: str) -> np.ndarray:
    """Predictions of the network for a signal, complex64 [T, L, R], from the units of the view to linear units.

    For a real signal the imaginary part is set to 0: it is never measured, so the network is not trained on it.
    """
    linear = from_view(values, view)
    return linear.real.astype(np.complex64) if signal.is_real else linear
