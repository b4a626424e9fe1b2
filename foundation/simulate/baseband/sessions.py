"""Windows of consecutive sessions, each drawn from its own seed, and noise at a signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from foundation.errors import RecipeError
from foundation.signal import Label, Link, Signal
from foundation.simulate.baseband.linear import Field
from foundation.simulate.impairments import draw_noise

Session = Callable[[int, int], list[Signal]]


def windows(name: str, session: Session, size: int, count: int, seed: int, first: int) -> Iterator[Signal]:
    """Windows `first` to `first + count - 1` of sessions of `size` windows; `session(seed, number)` makes one.

    Raises:
        RecipeError: `count`, `seed` or `first` is negative.
    """
    for what, number in (("count", count), ("seed", seed), ("first", first)):
        if number < 0:
            raise RecipeError(f"{name}: {what} is {number}; expected a whole number >= 0.")
    return _windows(session, size, seed, first, first + count)


def _windows(session: Session, size: int, seed: int, first: int, stop: int) -> Iterator[Signal]:
    for number in range(first // size, -(-stop // size)):
        start = number * size
        yield from session(seed, number)[max(0, first - start) : stop - start]


def refuse_empty_parts(name: str, splits: dict[str, dict[str, list[str]]], count: int, enough: int) -> None:
    """Refuse a set that is too small for its splits.

    Raises:
        RecipeError: a part has no session; says how many windows are enough.
    """
    empty = [f"{split}/{part}" for split, parts in splits.items() for part, names in parts.items() if not names]
    if empty:
        raise RecipeError(f"{name}: count {count} leaves {empty[0]} without a session; request {enough} or more.")


def noisy(
    rng: np.random.Generator, heard: Field, snr_db: float, rate_hz: float, labels: Mapping[str, Label], **where: str
) -> Signal:
    """The signal [T, 1, 1] of samples [T] in white noise, scaled to mean power 1; `clean` is without the noise."""
    power = float(np.mean(np.abs(heard) ** 2)) * 10 ** (-snr_db / 10)
    values: NDArray = heard + draw_noise(rng, heard.shape, power)
    unit = 1 / np.sqrt(np.mean(np.abs(values) ** 2))
    return Signal(
        values=(values * unit)[:, None, None],
        clean=(heard * unit)[:, None, None],
        time_s=np.arange(len(heard)) / rate_hz,
        links=(Link(),),
        frequency_hz=np.zeros(1),
        kind="iq",
        carrier_hz=0.0,
        bandwidth_hz=rate_hz,
        source="foundation.simulate",
        licence="CC0-1.0",
        labels=labels,
        **where,  # type: ignore[arg-type]
    )
