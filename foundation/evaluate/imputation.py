"""How well hidden parts of every kind of signal are imputed in, beside what needs no training: by set, kind and mask.

An error is the sum of |x - y|^2 over the hidden entries of all windows, over the same sum of |x|^2 (NMSE), each window
scaled to power 1 first: gains differ a thousandfold. A mean of each window's own ratio, as `reconstruction_rows` takes,
would belong to the few windows whose hidden part is nearly empty, of which radar and impulse responses have many.
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
from foundation.data.shards.corpus import read_part
from foundation.data.tokens import layout_of
from foundation.evaluate.leakage import refuse_overlap
from foundation.generate import MASK_KINDS, Imputed, hold, impute, low_rank, mean_over_time
from foundation.generate.nmse import error_and_power
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.signal import Signal

NETWORK, LINEAR, LOW_RANK = "network", "linear interpolation", "low rank"
#: A baseline's own window, from what is visible alone; in the order of the tables.
BASELINES: Mapping[str, Callable[[Imputed], np.ndarray]] = {
    LINEAR: lambda imputed: imputed.interpolated,
    LOW_RANK: lambda imputed: low_rank(imputed.prediction, imputed.visible),
    "nearest time": lambda imputed: hold(imputed.prediction, imputed.visible),
    "mean over time": lambda imputed: mean_over_time(imputed.prediction, imputed.visible),
}
METHODS = (NETWORK, *BASELINES)
SESSIONS = 6  # from which on an interval is over sessions; over windows below
DRAWS = 2000
NOTHING = 1e-6  # times the median level of a kind: what is below is rounding, as of an empty room's radar
BATCH = 32  # part of the definition of the figures: masks are drawn batch by batch


@dataclass(frozen=True)
class Measured:
    """Of one set, kind and mask: the method's squared error in each window and the truth's power, both float64 [n]
    over hidden entries; and its session."""

    set: str
    kind: str
    mask: str
    errors: Mapping[str, np.ndarray]
    power: np.ndarray
    sessions: tuple[str, ...]

    def decibels(self, method: str, against: str | None = None) -> tuple[float, float, float]:
        """NMSE in dB, mean and 95 % interval (bootstrap over sessions, over windows where those are few); with
        `against`, how far it is below (< 0) that of another method."""
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
        """What an interval is over: index of every window's unit, and how many there are."""
        names, index = np.unique(self.sessions, return_inverse=True)
        return (index, len(names)) if len(names) >= SESSIONS else (np.arange(len(index)), len(index))

    @property
    def over(self) -> str:
        """In words."""
        names, (_, units) = len(set(self.sessions)), self.units()
        if names >= SESSIONS:
            return f"{units} sessions"
        return f"{units} windows of {names} session{'s' if names > 1 else ''}"


def measure_imputation(recipe: ImputationRecipe, done: Callable[[str], None] = lambda _: None) -> list[Measured]:
    """Every set, kind and mask that hides anything.

    Args:
        done: told the name of a set, kind and mask when it is finished.

    Raises:
        RecipeError: the checkpoint was pretrained on such a recording.
        ShardError, CheckpointError: something cannot be read.
    """
    model = load_masked(recipe.checkpoint)
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
    """Up to `count` of each kind, spread evenly, without those that hold nothing but rounding."""
    chosen = {}
    for kind in dict.fromkeys(signal.kind for signal in signals):
        own = [signal for signal in signals if signal.kind == kind]
        levels = [_level(signal) for signal in own]
        own = [signal for signal, level in zip(own, levels, strict=True) if level > NOTHING * np.median(levels)]
        places = np.unique(np.linspace(0, len(own) - 1, min(count, len(own))).round().astype(int))
        chosen[kind] = [own[place] for place in places]
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
    """Whether the mask hides a part of the signal: elsewhere `draw_mask` falls back on the random one."""
    cut = layout_of(signal.values.shape, config)
    return {"random": cut.nt * cut.links * cut.nr, "time": cut.nt, "response": cut.nr, "link": cut.links}[mask] > 1


def _level(signal: Signal) -> float:
    values: Any = signal.values if signal.clean is None else signal.clean
    return float(np.sqrt(np.mean(np.abs(values.astype(np.complex128)) ** 2)))
