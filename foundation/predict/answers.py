"""Recordings as windows, and what a head and a memory say of these, as fields of `Prediction`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from foundation.adapt import Adapter
from foundation.adapt.memory import Example, Memory
from foundation.data.cutter import Cut
from foundation.data.seen import Seen
from foundation.errors import SignalError
from foundation.predict.prediction import NONE, Neighbour
from foundation.signal import Signal


def by_head(fitted: Adapter, output: np.ndarray, features: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """
    Args:
        output: of the head, [n, outputs].
        features: of the encoder without its adapter, pooling -> [n, F], see `foundation.adapt.novelty`.
    """
    known, classes = fitted.calibration, fitted.target.classes
    distance = known.novelty.distance(features) if known else None
    if classes is not None:
        chances = known.probabilities(output) if known else softmax(output, axis=1)
    found: list[dict[str, Any]] = []
    for row in range(len(output)):
        if classes is None:
            said = {"value": tuple(output[row].tolist()), "radius": known.radius if known else None}
        else:
            said = _classified(classes, chances[row])
        if known and distance is not None:
            limit = known.novelty.limit
            said["distance"] = float(distance[row])
            said["outside"] = None if limit is None else bool(distance[row] > limit)
        found.append(said)
    return found


def by_memory(
    memory: Memory, features: np.ndarray, said: Sequence[dict[str, Any]], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """What the memory says, in the place of what a head `said` where a window lies within its limit.

    Args:
        features: as for `Memory.answer`.
        said: of the head; empty without one.
        classes: of the head, which all answers are to have.
    """
    answer = memory.answer(features)
    every = dict.fromkeys((*classes, *memory.classes), 0.0)
    found = []
    for row, other in enumerate(said):
        if is_near := not other or (memory.limit is not None and not answer.is_none[row]):
            own = _classified(memory.classes, answer.probabilities[row])
            own |= {"distance": float(answer.distance[row]), "outside": bool(answer.is_none[row])}
            if answer.is_none[row]:
                own |= {"label": NONE, "probability": None}
        else:
            own = dict(other)
        own["probabilities"] = every | own["probabilities"]
        nearest = zip(answer.nearest[row].tolist(), answer.away[row].tolist(), strict=True)
        own["nearest"] = tuple(Neighbour(**memory.examples[k].model_dump(), distance=away) for k, away in nearest)
        found.append(own | {"remembered": is_near})
    return found


def cuts_of(
    signals: Sequence[Signal], seen: Seen | None, views: Mapping[str, str], hop_s: float | None = None
) -> list[tuple[int, Cut]]:
    """(index of the signal, window) of all signals, cut as the windows that were `seen`; with a warning, where some
    have none, or where an adapter of an earlier version does not say how (None): a signal is then one window.

    Raises:
        SignalError: none of the signals has a window.
    """
    if seen is None or seen.window is None:
        warnings.warn(
            "the adapter does not say how its training windows were cut, as an earlier version saved it: every "
            "signal is taken as one window; fit it again to have recordings cut.",
            stacklevel=3,
        )
        return [(k, Cut(float(s.time_s[0]), float(s.time_s[-1]) + s.interval_s, s)) for k, s in enumerate(signals)]
    cuts: list[tuple[int, Cut]] = []
    problems: list[SignalError] = []
    for index, signal in enumerate(signals):
        try:
            cuts += [(index, cut) for cut in seen.window.cut(signal, views, hop_s)]
        except SignalError as error:
            problems.append(error)
    if not cuts:
        raise problems[0]
    if problems:
        warnings.warn(f"{len(problems)} of {len(signals)} signals are left out: {problems[0]}", stacklevel=3)
    return cuts


def examples_of(
    signals: Sequence[Signal],
    cuts: Sequence[tuple[int, Cut]],
    labels: str | Sequence[str],
    recordings: str | Sequence[str] | None,
) -> list[Example]:
    """Windows with the labels and the names of the recordings that they were cut from.

    Args:
        cuts: index of the signal, and window.
        labels, recordings: one for all signals or one for each; recordings None: their sessions, or numbers.

    Raises:
        SignalError: there are more or fewer than signals, or a label is not text.
    """
    if recordings is None:
        recordings = [each.session or f"recording {number}" for number, each in enumerate(signals)]
    both = []
    for name, given in (("labels", labels), ("recordings", recordings)):
        each = [given] * len(signals) if isinstance(given, str) else list(given)
        if len(each) != len(signals):
            raise SignalError(f"remember: {len(signals)} signals and {len(each)} {name}; give one for each, or one.")
        if wrong := next((one for one in each if not isinstance(one, str) or (name == "labels" and not one)), None):
            raise SignalError(f"remember: {name} holds {wrong!r}; expected text.")
        both.append(each)
    return [
        Example(label=both[0][index], recording=both[1][index], start_s=cut.start_s, end_s=cut.end_s)
        for index, cut in cuts
    ]


def _classified(classes: Sequence[str], chances: np.ndarray) -> dict[str, Any]:
    best = int(chances.argmax())
    probabilities = dict(zip(classes, chances.tolist(), strict=True))
    return {"label": classes[best], "probability": float(chances[best]), "probabilities": probabilities}
