"""What a fitted model says of one window, and lists of that as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

NONE = "none of these"  # the label of a window that is like no remembered example, where there is no head to ask


@dataclass(frozen=True)
class Neighbour:
    """A remembered window near to one that is predicted: the evidence for its label.

    Attributes:
        label, recording, start_s, end_s: as of `foundation.adapt.memory.Example`.
        distance: to the predicted window.
    """

    label: str
    recording: str
    start_s: float
    end_s: float
    distance: float


@dataclass(frozen=True)
class Prediction:
    """One window of a signal.

    Attributes:
        signal: index of the signal among those that were given.
        session: of the signal.
        start_s, end_s: seconds on the signal's time axis.
        label: the most probable class, or `NONE`; None where numbers are predicted.
        probability: of that class; calibrated, where the adapter has a temperature. None of `NONE`.
        probabilities: of every class.
        value: predicted numbers, such as a position in metres; None where classes are predicted.
        radius: the truth lies within this distance of `value` with a probability of 90 %; None: not known.
        distance: to the nearest training sample, see `foundation.adapt.novelty`; None: not known.
        outside: the distance is above that of 95 % of held-out training samples: nothing is known of how good
            predictions are for such signals. None: not known.
        remembered: the answer is that of the memory, whose distance and limit are then meant; None: there is none.
        nearest: the remembered windows that are nearest, the first one nearest of all; None: there is no memory.
    """

    signal: int
    session: str
    start_s: float
    end_s: float
    label: str | None = None
    probability: float | None = None
    probabilities: Mapping[str, float] | None = None
    value: tuple[float, ...] | None = None
    radius: float | None = None
    distance: float | None = None
    outside: bool | None = None
    remembered: bool | None = None
    nearest: tuple[Neighbour, ...] | None = None


@dataclass(frozen=True)
class CaptureAnswer:
    """The predictions for one capture, or why there are none."""

    capture: str
    windows: Sequence[Prediction]
    problem: str = ""


def to_json(about: Mapping[str, Any], found: Sequence[CaptureAnswer]) -> str:
    """An object with what is known `about` the adapter, and `captures`."""
    return json.dumps({**about, "captures": [asdict(each) for each in found]}, indent=1)


def to_csv(found: Sequence[CaptureAnswer]) -> str:
    """A line for every window: capture, the fields of `Prediction` but `nearest`, a column per class or number."""
    plain = [field.name for field in fields(Prediction) if field.name not in ("probabilities", "value", "nearest")]
    windows = [(each.capture, one) for each in found for one in each.windows]
    classes = list(windows[0][1].probabilities or {}) if windows else []
    size = len(windows[0][1].value or ()) if windows else 0
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["capture", *plain, *(f"value {k}" for k in range(size)), *(f"probability {c}" for c in classes)])
    for capture, one in windows:
        chances = one.probabilities or {}
        writer.writerow(
            [capture, *(getattr(one, name) for name in plain), *(one.value or ()), *(chances[name] for name in classes)]
        )
    return text.getvalue()
