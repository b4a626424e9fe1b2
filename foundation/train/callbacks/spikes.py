"""Callback that detects, counts and reports spikes of the loss and the gradient norm. It does not stop a run.

A value is a spike if its logarithm exceeds the running median by several median absolute deviations (MAD, robust to
spikes in the window) and the value exceeds a multiple of the median (in a smooth phase the MAD is tiny).
"""

from __future__ import annotations

import math
import statistics
from collections import deque

import lightning as L
import torch
from torch import Tensor

from foundation.train.callbacks.base import Stepwise
from foundation.train.module import PretrainModule

WINDOW = 100  # steps of the running median
WARM_UP = 30  # steps after a start or a resume before anything counts as a spike
#: Thresholds: standard deviations (1.4826 MAD) of the logarithm, and multiple of the median. In 4,393 values of 21
#: runs without spikes, one of them logged at every step, the largest was 6.6 deviations above its median.
DEVIATIONS, RATIO = 8.0, 3.0
NAMES = {"loss": "loss_spikes", "gradient_norm": "gradient_spikes"}


class SpikeDetector:
    """Running median and MAD of the logarithm of one series."""

    def __init__(self) -> None:
        self._logs: deque[float] = deque(maxlen=WINDOW)

    def update(self, value: float) -> float | None:
        """Add the next value (> 0); returns the median of the previous values if it is a spike, else None."""
        log, before = math.log(max(value, 1e-30)), list(self._logs)
        self._logs.append(log)
        if len(before) < WARM_UP:
            return None
        median = statistics.median(before)
        deviation = 1.4826 * statistics.median(abs(old - median) for old in before)
        is_spike = log - median > max(DEVIATIONS * deviation, math.log(RATIO))
        return math.exp(median) if is_spike else None


class Spikes(Stepwise):
    """Checks every step, and logs the number of spikes, every `every` steps.

    The first spike of a series prints one line; those of the next `WINDOW` steps are only counted, because a loss that
    stays high would otherwise print at every step until the median follows.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.detectors = {name: SpikeDetector() for name in NAMES}
        self.counts = dict.fromkeys(NAMES, 0)
        self.quiet_until = dict.fromkeys(NAMES, 0)
        self.unread: list[tuple[int, dict[str, Tensor]]] = []  # step -> values; to read one an accelerator would wait

    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        metrics = trainer.callback_metrics
        known = {name: metrics[name].detach().clone() for name in NAMES if name in metrics}
        self.unread.append((trainer.global_step - 1, known))  # the log counts steps from 0
        if trainer.global_step % self.every == 0:
            self._read(trainer)
            module.log_dict({NAMES[name]: float(self.counts[name]) for name in known})
            self.counts = dict.fromkeys(NAMES, 0)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._read(trainer)

    def _read(self, trainer: L.Trainer) -> None:
        """Look at the values of the last steps, in their order."""
        unread, self.unread = self.unread, []
        places = [(step, name) for step, known in unread for name in known]
        tensors = [value.float() for _, known in unread for value in known.values()]
        for (step, name), value in zip(places, torch.stack(tensors).tolist() if tensors else [], strict=True):
            median = self.detectors[name].update(value)
            if median is None:
                continue
            self.counts[name] += 1
            if trainer.is_global_zero and step >= self.quiet_until[name]:
                self.quiet_until[name] = step + WINDOW
                print(sentence(name, step, value, median), flush=True)


def sentence(name: str, step: int, value: float, median: float) -> str:
    """The printed line: what was detected and what to do."""
    return (
        f"step {step}: {name.replace('_', ' ')} is {value:.4g}, {value / median:.1f} times the median of the last "
        f"{WINDOW} steps ({median:.4g}). Training continues: a single spike usually recovers. If the loss stays high, "
        "stop, export an earlier checkpoint ('wfm hub export') and continue from it (init=) in another out= with a "
        "lower train.learning_rate. If spikes recur, check the data with 'wfm shards verify'."
    )
