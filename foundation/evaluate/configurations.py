"""Heads tested as they are on recordings of a configuration that they were not fitted to: zero-shot transfer.

Test recordings are thinned out (`foundation.transforms.thinning`). Twice the rate is no interpolation: heads are fitted
to every second packet of the training recordings, and tested on the test recordings as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from foundation.errors import RecipeError, SignalError
from foundation.evaluate.problem import Problem
from foundation.recipe import AS_RECORDED, AT
from foundation.signal import Signal
from foundation.transforms.thinning import half_band, half_rate, half_subcarriers, one_antenna

Change = Callable[[Signal], Signal]
CHANGES: dict[str, Change] = {
    "rate-x0.5": half_rate,
    "half-subcarriers": half_subcarriers,
    "half-band": half_band,
    "one-antenna": one_antenna,
}
#: Test part of heads that were fitted to half the rate, as they were fitted: what `rate-x2` is compared with.
_FITTED_AT = "half rate, fitted at it"


def reconfigured(problem: Problem, fitted: str, configurations: Sequence[str]) -> Problem:
    """The problem as the heads of one fitting see it: training recordings, and a test part for every configuration.

    Args:
        fitted: one of `EvaluateRecipe.fittings`.

    Raises:
        RecipeError: the recordings cannot be of such a configuration.
    """
    if fitted == AS_RECORDED:
        train = problem.train
        parts: dict[str, Change | None] = {"": None, **{n: CHANGES[n] for n in configurations if n in CHANGES}}
    else:
        train = _changed(problem.train, "rate-x2", half_rate)
        parts = {_FITTED_AT: half_rate, "rate-x2": None}
    tests = {
        part + (f"{AT}{name}" if name else ""): signals if change is None else _changed(signals, name, change)
        for part, signals in problem.tests.items()
        for name, change in parts.items()
    }
    return Problem(problem.target, train, tests)


def reference_of(part: str) -> str | None:
    """The test part that a configuration's is compared with; None of one that is itself as fitted."""
    plain, _, name = part.partition(AT)
    if name in ("", _FITTED_AT):
        return None
    return f"{plain}{AT}{_FITTED_AT}" if name == "rate-x2" else plain


def _changed(signals: Sequence[Signal], name: str, change: Change) -> list[Signal]:
    try:
        return [change(signal) for signal in signals]
    except SignalError as error:
        raise RecipeError(f"configurations: {name}: {error} Leave it out.") from None
