"""A suite: every task in one call, one file of rows and one report; or a share of its fits, for an array of jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.config import EvaluateRecipe
from foundation.config.suite import SuiteRecipe, load_suite
from foundation.errors import RecipeError
from foundation.evaluate.cache import Outcomes
from foundation.evaluate.jobs import Job, Line, Runs
from foundation.evaluate.leakage import refuse_overlaps
from foundation.evaluate.run import decoder
from foundation.evaluate.runner import pool_folds, progress, rows_of, run_jobs
from foundation.evaluate.transfer_loss import loss_rows
from foundation.results.rows import Row


@dataclass(frozen=True)
class Task:
    """One resolved recipe of a suite, and the command that runs it alone."""

    recipe: EvaluateRecipe
    command: str
    outcomes: Outcomes
    jobs: Mapping[Path, Job]


@dataclass(frozen=True)
class Measured:
    """A task with all its answers and rows."""

    task: Task
    runs: Mapping[Line, Runs]
    rows: list[Row]


@dataclass(frozen=True)
class Suite:
    """Everything that a suite asks for, resolved; weights and shards are found."""

    recipe: SuiteRecipe
    tasks: list[Task]

    @classmethod
    def load(cls, path: Path, overrides: Sequence[str] = ()) -> Suite:
        """As `load_suite`.

        Raises:
            RecipeError: as there.
            CheckpointError, ShardError: a recipe names what is not there. A checkpoint that was pretrained on a test
                recording is refused here, before any fit and whatever is kept.
        """
        suite, entries = load_suite(path, overrides)
        tasks = []
        for entry in entries:
            refuse_overlaps(entry.recipe)
            outcomes = Outcomes(entry.recipe)
            tasks.append(Task(entry.recipe, entry.command, outcomes, outcomes.plan()))
        return cls(suite, tasks)

    def run(self) -> list[Measured]:
        """Do what is not done yet, and read the rest."""
        done = []
        with progress() as bar:
            whole = bar.add_task(self.recipe.name, total=sum(len(task.jobs) for task in self.tasks))
            for task in self.tasks:
                bar.update(whole, description=f"{self.recipe.name}: {_title(task.recipe)}")
                runs = pool_folds(task.recipe, run_jobs(task.recipe, task.jobs, lambda: bar.advance(whole)))
                rows = rows_of(task.recipe, runs, task.command) + loss_rows(task.recipe, runs, task.command)
                done.append(Measured(task, runs, rows + decoder(task.recipe, task.command)))
        return done

    def run_share(self, share: int, shares: int) -> tuple[int, int]:
        """Do the fits of one share out of `shares`; shares are disjoint, and together they are the suite.

        Fits that need the same features are in one share.

        Returns:
            How many fits the share has, and how many of all shares are still to be done.

        Raises:
            RecipeError: there is no such share.
        """
        if not 0 <= share < shares:
            raise RecipeError(f"--array {share}/{shares}: shares are numbered from 0 to {shares - 1}.")
        chosen = list(self._shares(share, shares))
        with progress() as bar:
            whole = bar.add_task(f"{self.recipe.name}, share {share} of {shares}", total=sum(len(j) for _, j in chosen))
            for task, jobs in chosen:
                run_jobs(task.recipe, jobs, lambda: bar.advance(whole))
        left = sum(not path.exists() for task in self.tasks for path in task.jobs)
        return sum(len(jobs) for _, jobs in chosen), left

    def _shares(self, share: int, shares: int) -> Iterator[tuple[Task, dict[Path, Job]]]:
        """Groups of jobs are dealt in turn, whatever is done already: any job counts the same way at any time."""
        groups = [(index, group) for index, task in enumerate(self.tasks) for group in _groups(task)]
        own = set(groups[share::shares])
        for index, task in enumerate(self.tasks):
            jobs = {path: job for path, job in task.jobs.items() if (index, job.group) in own}
            if jobs:
                yield task, jobs


def _groups(task: Task) -> list[tuple[str, str, str, str, int]]:
    return list(dict.fromkeys(job.group for job in task.jobs.values()))


def _title(recipe: EvaluateRecipe) -> str:
    return f"{recipe.set}, {recipe.part_name(recipe.task.tests[0])}"
