"""Run the pretrainings and measurements of a study, each once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from foundation.errors import TrainingError
from foundation.machine import device_of
from foundation.study.cache import Measured, file_of, is_trained, load_measured, refuse_changed, save_measured
from foundation.study.judge import Judge
from foundation.study.plan import Run, Study
from foundation.train.pretrain import pretrain

#: A run with its measurements.
Done = tuple[Run, Measured]


def state(study: Study, run: Run) -> str:
    """State of a run: done, to measure, or to pretrain."""
    if load_measured(file_of(study, run)) is not None:
        return "done"
    return "to measure" if is_trained(run) else "to pretrain"


def do_runs(study: Study, runs: Sequence[Run], say: Callable[[str], None]) -> list[str]:
    """Pretrain and measure the runs that are not done yet; a run whose loss is not finite is skipped.

    Args:
        say: called with lines of progress.

    Returns:
        One sentence per failed run.

    Raises:
        RecipeError: a cached run has another recipe, or this machine lacks the device of one.
        StoppedError: a signal stopped a pretraining, whose checkpoint is saved.
        ShardError, CheckpointError: shards are missing, or a checkpoint is damaged.
    """
    refuse_changed(study.runs)
    waiting = [run for run in runs if state(study, run) != "done"]
    for run in waiting:
        device_of(run.pretrain.train.accelerator)  # before anything is read
    say(f"{study.recipe.name}: {len(runs) - len(waiting)} of {len(runs)} runs are done.")
    judge, problems = Judge(study) if waiting else None, []
    for number, run in enumerate(waiting, start=1):
        assert judge is not None
        name, began = f"[{number}/{len(waiting)}] {run.variant}, seed {run.seed}", time.perf_counter()
        say(f"{name}: {'measuring' if is_trained(run) else 'pretraining'}")
        try:
            if not is_trained(run):
                pretrain(run.pretrain)
        except TrainingError as error:
            problems.append(f"{run.variant}, seed {run.seed}: {error}")
            say(problems[-1])
            continue
        save_measured(file_of(study, run), judge.measure(run))
        say(f"{name}: done in {time.perf_counter() - began:.0f} s.")
    return problems


def results(study: Study) -> list[Done]:
    """The runs that are done, with their measurements."""
    found = ((run, load_measured(file_of(study, run))) for run in study.runs)
    return [(run, measured) for run, measured in found if measured is not None]
