"""Progress of a command: a bar on a terminal, a plain line every ten seconds in a log file, both with the time left."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_S = 10.0  # between two plain lines, at least


class StepProgress(Progress):
    """As `rich.progress.Progress`, on stderr; where that is no terminal, with plain lines in place of the bar.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool = False, transient: bool = False) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        is_drawn = console.is_terminal and not quiet
        super().__init__(*columns, TimeRemainingColumn(), console=console, transient=transient, disable=not is_drawn)
        self._prints = not console.is_terminal and not quiet
        self._began = self._said = time.monotonic()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._say(task_id)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        now = time.monotonic()
        if not self._prints or now - self._said < LINE_S:
            return
        task = next(each for each in self.tasks if each.id == task_id)
        share = task.completed / task.total if task.total else 0.0
        left = timedelta(seconds=round((now - self._began) * (1 - share) / share)) if share else "unknown"
        done = f"{task.completed:,.0f} of {task.total or 0:,.0f}"
        print(f"{task.description}: {done}, {left} left", file=sys.stderr, flush=True)
        self._said = now
