"""How a signal is presented to the network: one view per kind, chosen in the model's configuration.

- `field`: the complex (or real) values as they are.
- `sanitized`: per packet, the common phase and the linear phase along frequency are removed (they carry carrier offset
  and sampling time, Sen et al. 2012); links keep their phase differences.
- `log-amplitude`: natural logarithm of the magnitude: gains become offsets and multiply nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from foundation.errors import RecipeError
from foundation.signal import Signal
from foundation.transforms.phase import phase_line

#: Magnitudes below this share of the root mean square are raised to it (-20 dB): in a deep fade the logarithm of noise
#: would swing further than anything that moves in the room.
FLOOR = 0.1


def field(signal: Signal, values: np.ndarray) -> np.ndarray:
    return values


def sanitized(signal: Signal, values: np.ndarray) -> np.ndarray:
    """Rotate every packet by the line fitted to its phase over frequency, weighted by power; all links alike."""
    if signal.domain != "frequency" or len(signal.response) < 2:
        return values
    return np.asarray(values * np.exp(-1j * phase_line(signal.response, values)))


def log_amplitude(signal: Signal, values: np.ndarray) -> np.ndarray:
    magnitude = np.abs(values)
    power = float(np.mean(np.square(magnitude[signal.mask]), dtype=np.float64))
    return np.asarray(np.log(np.maximum(magnitude, FLOOR * np.sqrt(power) + np.finfo(np.float32).tiny)))


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
    """Back to linear units: what errors are measured in."""
    return np.exp(values.real).astype(np.complex64) if view == "log-amplitude" else values


def made_linear(values: np.ndarray, signal: Signal, view: str) -> np.ndarray:
    """What the network made of a signal, [T, L, R] in the view's units, in linear ones.

    Of a real signal the real part alone: the other was never measured, and nothing taught the network to make it 0.
    """
    linear = from_view(values, view)
    return linear.real.astype(np.complex64) if signal.is_real else linear
