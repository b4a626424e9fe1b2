"""Zero-shot transfer: test heads on recordings of another configuration (packet rate, band, antennas) than they were
fitted to.

Test recordings are subsampled (`foundation.transforms.subsample`). Twice the packet rate is not interpolated: heads are
fitted to every second packet of the training recordings and tested on the full test recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from foundation.config import AS_RECORDED, AT, AT_HALF_RATE, OF_ANY_SHAPE
from foundation.errors import RecipeError, SignalError
from foundation.evaluate.task import Problem
from foundation.signal import Signal
from foundation.transforms.subsample import half_band, half_rate, half_subcarriers, one_antenna

Change = Callable[[Signal], Signal]
#: Configuration of the training recordings -> test configuration -> subsampling (None: none). The first, "", is the
#: configuration of the training recordings, the reference of the others.
TESTED: dict[str, dict[str, Change | None]] = {
    AS_RECORDED: {"": None, "rate-x0.5": half_rate},
    AT_HALF_RATE: {"": half_rate, "rate-x2": None},
    OF_ANY_SHAPE: {
        "": None,
        "half-subcarriers": half_subcarriers,
        "half-band": half_band,
        "one-antenna": one_antenna,
    },
}


def reconfigured(problem: Problem, fitted: str, configurations: Sequence[str]) -> Problem:
    """The problem with training recordings in the configuration `fitted`, and a test part for every configuration.

    Args:
        fitted: one of `EvaluateRecipe.fittings`.

    Raises:
        RecipeError: the recordings cannot be subsampled to a configuration.
    """
    train = _changed(problem.train, "rate-x2", half_rate if fitted == AT_HALF_RATE else None)
    tests = {
        _name(part, fitted, name): _changed(signals, name or "rate-x2", change)
        for part, signals in problem.tests.items()
        for name, change in TESTED[fitted].items()
        if name in ("", *configurations)
    }
    return Problem(problem.target, train, tests)


def reference_of(part: str) -> str | None:
    """The reference test part of a part in another configuration; None for a part that is a reference itself."""
    plain, _, configuration = part.partition(AT)
    fitted = [name for name, tested in TESTED.items() if configuration and configuration in tested]
    return _name(plain, fitted[0], "") if fitted else None


def _name(part: str, fitted: str, configuration: str) -> str:
    """Name of a test part in outcomes; as recorded it is unchanged."""
    shown = configuration or ("" if fitted == AS_RECORDED else fitted)
    return f"{part}{AT}{shown}" if shown else part


def _changed(signals: list[Signal], name: str, change: Change | None) -> list[Signal]:
    if change is None:
        return signals
    try:
        return [change(signal) for signal in signals]
    except SignalError as error:
        raise RecipeError(f"configurations: {name}: {error} Leave it out.") from None
