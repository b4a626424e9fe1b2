"""Facts of a simulated signal: labels that a simulator knows exactly, and that pretraining predicts.

What moved in the window and how fast, how many people were there, whether the line of sight was free: no statistic of
the signal says it in closed form, and it means the same in every room and on every device. Labels of recordings are
never read: only those of the simulated corpus are facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, log

import numpy as np

from foundation.signal.signal import Label, Signal

#: A motion is described in so many equal parts of the window.
PARTS = 8
#: Source of the simulated signals that are there to be learned from. Those of `foundation.simulate.simulate` are a
#: labelled set like any other, which probes and fine-tuning are judged on: pretraining must not see its labels.
CORPUS = "foundation.simulate.corpus"


@dataclass(frozen=True)
class Fact:
    """One fact.

    Attributes:
        name: of the label.
        classes: of a classification, in order; None: numbers.
        size: how many numbers.
        least: the logarithm of `least` plus the number is predicted; 0: the number itself.
        unit: numbers are divided by it, so that all facts are of order one.
    """

    name: str
    classes: tuple[str, ...] | None = None
    size: int = 1
    least: float = 0.0
    unit: float = 1.0

    @property
    def is_profile(self) -> bool:
        """Whether it has one number for each part of the window."""
        return self.size == PARTS

    def encode(self, value: Label) -> list[float] | None:
        """The class index, or the numbers as they are predicted; None where the label is none of this fact."""
        if self.classes is not None:
            return [float(self.classes.index(str(value)))] if str(value) in self.classes else None
        if isinstance(value, str):
            return None
        numbers = [float(each) for each in np.atleast_1d(np.asarray(value, dtype=np.float64))]
        if len(numbers) != self.size or not all(isfinite(each) for each in numbers):
            return None
        return [log(self.least + max(each, 0.0)) if self.least else each / self.unit for each in numbers]


#: In the order of the vector. Speeds are in m/s: of the torso in the horizontal plane, of hands and legs relative to
#: it, upwards, and of the length of the path from transmitter over the torso to receiver.
FACTS: tuple[Fact, ...] = (
    Fact(
        "activity",
        (
            *(
                "empty",
                "still",
                "walk",
                "run",
                "wave",
                "sit_down",
                "turn",
                "stand_up",
                "fall",
                "push",
                "swipe",
                "circle",
            ),
            *("clap", "raise_arms", "shake", "type", "kick", "jump", "squat", "bend"),
        ),
    ),
    Fact("people", ("0", "1", "2", "3")),
    Fact("visibility", ("LOS", "NLOS", "NDP-NLOS")),
    Fact(
        "modulation",
        ("bpsk", "qpsk", "8psk", "16qam", "64qam", "gfsk", "fm", "am", "ofdm", "chirp", "tone"),
    ),
    Fact("snr", unit=10.0),
    Fact("distance", least=0.1),
    Fact("torso_speed", size=PARTS, least=0.1),
    Fact("limb_speed", size=PARTS, least=0.1),
    Fact("lift_speed", size=PARTS, unit=0.2),
    Fact("path_speed", size=PARTS, least=0.1),
)
NUMBERS = sum(fact.size for fact in FACTS)


def facts_of(signal: Signal) -> np.ndarray:
    """float32 [NUMBERS]: the facts of a signal, NaN where they are not known; of a recording none is."""
    found = np.full(NUMBERS, np.nan, np.float32)
    if signal.source == CORPUS:
        _fill(found, signal.labels)
    return found


def _fill(found: np.ndarray, labels: Mapping[str, Label]) -> None:
    start = 0
    for fact in FACTS:
        if fact.name in labels and (numbers := fact.encode(labels[fact.name])) is not None:
            found[start : start + fact.size] = numbers
        start += fact.size
