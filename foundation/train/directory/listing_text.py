"""Table of runs for `wfm runs`."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.results.terminal import text_table
from foundation.train.directory.listing import RunState

HEAD = ("RUN", "STATE", "STEP", "LOSS", "HELD OUT", "LOGGED", "CHECKPOINT", "WRITTEN", "SIZE", "PATH")


def runs_text(runs: Sequence[RunState]) -> str:
    """One line per run; below it the process that trains and one line per problem."""
    if not runs:
        return "no runs here; 'wfm pretrain' makes them where its recipe's out= says."
    return text_table(HEAD, [_row(run) for run in runs], [_notes(run) for run in runs])


def _row(run: RunState) -> tuple[str, ...]:
    total = "?" if run.steps is None else f"{run.steps:,}"
    step = "" if run.checkpoint_step is None else f" (step {run.checkpoint_step:,})"
    return (
        run.name,
        run.state,
        f"{run.step:,} of {total}",
        "-" if run.loss is None else f"{run.loss:.4g}",
        "-" if run.held_out is None else f"{run.held_out:.4g} (constant {run.held_out_mean:.4g})",
        _ago(run.log_age_s),
        "-" if run.checkpoint is None else run.checkpoint + step,
        _ago(run.checkpoint_age_s),
        "-" if run.checkpoint_bytes is None else f"{run.checkpoint_bytes / 1e6:,.1f} MB",
        run.path,
    )


def _notes(run: RunState) -> list[str]:
    who = [f"{run.state}: {run.who}"] if run.who and run.state in ("running", "elsewhere") else []
    return who + run.problems


def _ago(seconds: float | None) -> str:
    return "-" if seconds is None else f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """A duration as text in the largest unit that gives 1 or more, such as "3.2 days"."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
