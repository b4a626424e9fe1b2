"""Spikes of the loss and of the gradient norm: seen, counted and said. They do not stop a run.

A value is a spike where its logarithm stands far above the running median of the last steps, measured by their median
absolute deviation (which a spike among them does not move), and where it is a multiple of that median as well: a calm
stretch deviates by little.
"""

from __future__ import annotations

import math
import statistics
from collections import deque

import lightning as L

from foundation.train.callbacks.base import Stepwise
from foundation.train.module import PretrainModule

WINDOW = 100  # steps that the median is taken over
LEAST = 30  # steps before anything is called a spike: of a run, and of one that goes on
#: Standard deviations (1.4826 median absolute ones) of the logarithm, and multiples of the median. In 4,393 values of
#: 21 sound runs, one of them logged at every step, the largest stood 6.6 deviations above its median.
DEVIATIONS, RATIO = 8.0, 3.0
NAMES = {"loss": "loss_spikes", "gradient_norm": "gradient_spikes"}


class Watch:
    """The last values of one series."""

    def __init__(self) -> None:
        self._logs: deque[float] = deque(maxlen=WINDOW)

    def see(self, value: float) -> float | None:
        """Take the next value of the series, > 0; the median of those before it where it is a spike over them."""
        log, before = math.log(max(value, 1e-30)), list(self._logs)
        self._logs.append(log)
        if len(before) < LEAST:
            return None
        median = statistics.median(before)
        deviation = 1.4826 * statistics.median(abs(old - median) for old in before)
        is_spike = log - median > max(DEVIATIONS * deviation, math.log(RATIO))
        return math.exp(median) if is_spike else None


class Spikes(Stepwise):
    """Watches every step; logs every `every` steps how many were spikes since the last time.

    The first spike of a series is said in one line, those of the next `WINDOW` steps are only counted: a loss that has
    left its place for good would otherwise be said at every step until the median has followed.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.watches = {name: Watch() for name in NAMES}
        self.counts = dict.fromkeys(NAMES, 0)
        self.quiet_until = dict.fromkeys(NAMES, 0)

    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        seen, step = trainer.callback_metrics, trainer.global_step - 1  # as the log counts, from 0
        watched = [name for name in NAMES if name in seen]
        for name in watched:
            value = float(seen[name])
            median = self.watches[name].see(value)
            if median is None:
                continue
            self.counts[name] += 1
            if trainer.is_global_zero and step >= self.quiet_until[name]:
                self.quiet_until[name] = step + WINDOW
                print(sentence(name, step, value, median), flush=True)
        if trainer.global_step % self.every == 0:
            module.log_dict({NAMES[name]: float(self.counts[name]) for name in watched})
            self.counts = dict.fromkeys(NAMES, 0)


def sentence(name: str, step: int, value: float, median: float) -> str:
    """What was seen, and what to do."""
    return (
        f"step {step}: {name.replace('_', ' ')} is {value:.4g}, {value / median:.1f} times the median of the last "
        f"{WINDOW} steps ({median:.4g}). Training goes on: one spike heals by itself. Where the loss stays high, stop, "
        "export an earlier checkpoint ('wfm hub export') and go on from it (init=) in another out= with a lower "
        "train.learning_rate. Where spikes come back, check the data with 'wfm shards verify'."
    )
