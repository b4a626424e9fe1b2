"""Evaluation of imputation against baselines without training, by data set, kind of signal and mask.

NMSE is the sum of |x - y|^2 over the hidden entries of all windows, divided by the sum of |x|^2, with each window
scaled to power 1 first, because gains differ a thousandfold. A mean of each window's own ratio, as in
`reconstruction_rows`, would be dominated by windows whose hidden part is nearly empty, of which radar and impulse
responses have many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from foundation.checkpoints.load import load_masked
from foundation.config.imputation import ImputationRecipe
from foundation.data.layout import layout_of
from foundation.data.shards.corpus import read_part
from foundation.evaluate.leakage import refuse_overlap
from foundation.generate import MASK_KINDS, Imputed, hold, impute, low_rank, mean_over_time
from foundation.generate.nmse import error_and_power
from foundation.machine import on_device
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.signal import Signal

NETWORK, LINEAR, LOW_RANK = "network", "linear interpolation", "low rank"
#: Windows imputed by the baselines from the visible entries; in the order of the tables.
BASELINES: Mapping[str, Callable[[Imputed], np.ndarray]] = {
    LINEAR: lambda imputed: imputed.interpolated,
    LOW_RANK: lambda imputed: low_rank(imputed.prediction, imputed.visible),
    "nearest time": lambda imputed: hold(imputed.prediction, imputed.visible),
    "mean over time": lambda imputed: mean_over_time(imputed.prediction, imputed.visible),
}
METHODS = (NETWORK, *BASELINES)
SESSIONS = 6  # with at least so many, intervals are over sessions, else over windows
DRAWS = 2000
NOTHING = 1e-6  # times the median level of a kind: what is below is rounding, as of an empty room's radar
BATCH = 32  # part of the definition of the figures: masks are drawn batch by batch


@dataclass(frozen=True)
class Measured:
    """Errors of one data set, kind of signal and mask.

    Attributes:
        errors: method -> float64 [n], sum of squared errors over the hidden entries of each window.
        power: float64 [n], sum of the truth's power over the same entries.
        sessions: session of each window.
    """

    set: str
    kind: str
    mask: str
    errors: Mapping[str, np.ndarray]
    power: np.ndarray
    sessions: tuple[str, ...]

    def decibels(self, method: str, against: str | None = None) -> tuple[float, float, float]:
        """NMSE in dB with its 95 % interval (low, high), by bootstrap over sessions, or over windows if sessions are
        few.

        Args:
            against: another method; the result is then the difference to it, negative if `method` is better.
        """
        index, units = self.units()
        sums = {name: np.bincount(index, each) for name, each in self.errors.items()}
        power = np.bincount(index, self.power)

        def level(weight: np.ndarray) -> np.ndarray:
            top = weight @ sums[method]
            return np.asarray(10 * np.log10(top / (weight @ (power if against is None else sums[against]))))

        drawn = np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), DRAWS)
        low, high = np.quantile(level(drawn), [0.025, 0.975])
        mean = float(level(np.ones(units)))
        return mean, min(float(low), mean), max(float(high), mean)

    def units(self) -> tuple[np.ndarray, int]:
        """Units of the bootstrap: index of every window's unit, and the number of units."""
        names, index = np.unique(self.sessions, return_inverse=True)
        return (index, len(names)) if len(names) >= SESSIONS else (np.arange(len(index)), len(index))

    @property
    def over(self) -> str:
        """The units of the bootstrap as text."""
        names, (_, units) = len(set(self.sessions)), self.units()
        if names >= SESSIONS:
            return f"{units} sessions"
        return f"{units} windows of {names} session{'s' if names > 1 else ''}"


def measure_imputation(recipe: ImputationRecipe, done: Callable[[str], None] = lambda _: None) -> list[Measured]:
    """Measure every data set, kind of signal and mask that hides anything.

    Args:
        done: called with the name of each finished combination.

    Raises:
        RecipeError: the checkpoint was pretrained on a test recording.
        ShardError, CheckpointError: shards or the checkpoint cannot be read.
    """
    model = on_device(load_masked(recipe.checkpoint), recipe.device)
    found = []
    for each in recipe.sets:
        tests = {part: read_part(each.shards, each.split, part) for part in each.parts}
        refuse_overlap(recipe.checkpoint, each.shards, each.split, each.parts)
        for kind, signals in windows_of_kinds([s for part in tests.values() for s in part], recipe.count).items():
            for mask in MASK_KINDS:
                usable = [signal for signal in signals if _can_hide(signal, mask, model.config)]
                measured = _measure(model, usable, partial(Measured, each.set, kind, mask), mask, recipe.seed)
                found += [] if measured is None else [measured]
                done(f"{each.set}, {kind}, {mask}")
    return found


def windows_of_kinds(signals: Sequence[Signal], count: int) -> dict[str, list[Signal]]:
    """Up to `count` windows of each kind, evenly spaced, without those that hold rounding errors only."""
    chosen = {}
    for kind in dict.fromkeys(signal.kind for signal in signals):
        own = [signal for signal in signals if signal.kind == kind]
        levels = [_level(signal) for signal in own]
        own = [signal for signal, level in zip(own, levels, strict=True) if level > NOTHING * np.median(levels)]
        indices = np.unique(np.linspace(0, len(own) - 1, min(count, len(own))).round().astype(int))
        chosen[kind] = [own[index] for index in indices]
    return chosen


def _measure(
    model: WfmForMaskedModeling, signals: Sequence[Signal], make: Callable[..., Measured], mask: str, seed: int
) -> Measured | None:
    errors: dict[str, list[float]] = {name: [] for name in METHODS}
    power, sessions = [], []
    for imputed in impute(model, signals, mask, torch.Generator().manual_seed(seed), batch_size=BATCH):
        if not imputed.has_both:
            continue
        unit = float(np.mean(np.abs(imputed.truth.astype(np.complex128)) ** 2))
        made = {NETWORK: imputed.prediction, **{name: baseline(imputed) for name, baseline in BASELINES.items()}}
        for name, each in made.items():
            error, hidden_power = error_and_power(imputed.truth, each, imputed.hidden)
            errors[name].append(error / unit)
        power.append(hidden_power / unit)
        sessions.append(imputed.signal.session)
    if not power or not any(power):
        return None
    arrays = {name: np.array(each) for name, each in errors.items()}
    return make(arrays, np.array(power), tuple(sessions))


def _can_hide(signal: Signal, mask: str, config: WfmConfig) -> bool:
    """Whether the mask can hide a part of the signal; otherwise `draw_mask` falls back to the random one."""
    cut = layout_of(signal.values.shape, config)
    return {"random": cut.nt * cut.links * cut.nr, "time": cut.nt, "response": cut.nr, "link": cut.links}[mask] > 1


def _level(signal: Signal) -> float:
    values: Any = signal.values if signal.clean is None else signal.clean
    return float(np.sqrt(np.mean(np.abs(values.astype(np.complex128)) ** 2)))
