"""Progress of a run: a live line on a terminal, a plain line every 10 s in a log file.

Lightning's own bars count an epoch and begin again at the next, which tells nobody how long the run will take.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

from foundation.train.callbacks.base import Stepwise
from foundation.train.module import PretrainModule

FORMS = {
    "loss": "loss {:.3g} (smoothed)",
    "samples_per_s": "{:,.1f} samples/s",
    "tokens_per_s": "{:,.0f} tokens/s",
    "mfu": "MFU {:.1%}",
    "memory_gb": "{:.2f} GB",
}
WIDE = 100  # columns of a terminal from which on the bar is 20 wide
REFRESH_S = 0.1  # between two pictures of the live line
LINE_S = 10.0  # between two plain lines, at least
SMOOTHING = 0.9  # of the loss, per logged step: masks differ from batch to batch, and so does their difficulty


class Progress(Stepwise):
    """Steps done of the whole run, the time left, and the numbers of the last logged step; rank 0 alone.

    Args:
        every: steps between two looks at the numbers.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.bar: Bar | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.pace = Pace(trainer.global_step, time.monotonic())
        self.last = -LINE_S  # on the clock of the pace
        self.loss = Smoothed()
        if trainer.is_global_zero and sys.stdout.isatty():
            form, total = "step {task.completed:,} of {task.total:,}", f"{trainer.max_steps:,}"
            # A narrow terminal cuts off the numbers at the end; the bar shrinks first.
            steps = TextColumn(form, table_column=Column(no_wrap=True, min_width=len(f"step {total} of {total}")))
            bar = BarColumn(bar_width=20 if Console().width >= WIDE else 8)
            text = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
            self.bar = Bar(steps, bar, text, auto_refresh=False)
            self.bar.add_task("", total=trainer.max_steps, completed=trainer.global_step)
            self.bar.start()

    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        step, steps = trainer.global_step, trainer.max_steps
        if not trainer.is_global_zero:
            return
        is_due, now = step % self.every == 0 or step == steps, time.monotonic()
        if is_due:
            self.pace.reach(step, now)
            shown = self.loss.of(trainer.callback_metrics)
        if self.bar is not None:
            text = numbers(self.pace.left_s(steps), shown) if is_due else None
            self.bar.update(self.bar.task_ids[0], completed=step, description=text)
            if now - self.last > REFRESH_S or step == steps:
                self.bar.refresh()
                self.last = now
        elif is_due and (now - self.last >= LINE_S or step == steps):
            text = numbers(self.pace.left_s(steps), shown)
            print(f"step {step:,} of {steps:,} ({step / steps:.1%}): {text}", flush=True)
            self.last = now

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


class Pace:
    """Seconds a step, over the last times that a step was reached: a run's first steps are slower than the rest."""

    def __init__(self, step: int, now: float) -> None:
        self._seen: deque[tuple[int, float]] = deque([(step, now)], maxlen=20)

    def reach(self, step: int, now: float) -> None:
        self._seen.append((step, now))

    def left_s(self, steps: int) -> float:
        """Seconds to the last step."""
        (first, began), (last, now) = self._seen[0], self._seen[-1]
        return (steps - last) * (now - began) / max(1, last - first)


class Smoothed:
    """The exponential moving average of the loss, without the bias of its start (as Adam's moments)."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def of(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics, with the loss averaged over the calls so far."""
        if "loss" not in metrics:
            return dict(metrics)
        self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * float(metrics["loss"])
        self._weight = SMOOTHING * self._weight + 1 - SMOOTHING
        return {**metrics, "loss": self._sum / self._weight}


def numbers(left_s: float, metrics: Mapping[str, Any]) -> str:
    """The time left and what there is of the numbers, as one text."""
    known = [form.format(float(metrics[name])) for name, form in FORMS.items() if name in metrics]
    return ", ".join([f"{timedelta(seconds=round(left_s))} left", *known])
