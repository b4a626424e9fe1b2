"""A suite of evaluations: all tasks with one file of rows and one report, or a share of the fits for a job array."""

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
from foundation.evaluate.runner import pool_folds, rows_of, run_jobs
from foundation.evaluate.transfer_loss import loss_rows
from foundation.progress import StepProgress
from foundation.results.rows import Row


@dataclass(frozen=True)
class Task:
    """One resolved recipe of a suite, its jobs, and the command that runs it alone."""

    recipe: EvaluateRecipe
    command: str
    outcomes: Outcomes
    jobs: Mapping[Path, Job]


@dataclass(frozen=True)
class Measured:
    """A task with its predictions and result rows."""

    task: Task
    runs: Mapping[Line, Runs]
    rows: list[Row]


@dataclass(frozen=True)
class Suite:
    """A resolved suite whose weights and shards were found."""

    recipe: SuiteRecipe
    tasks: list[Task]

    @classmethod
    def load(cls, path: Path, overrides: Sequence[str] = ()) -> Suite:
        """Load a suite with `load_suite` and check its checkpoints for leakage before any fit.

        Raises:
            RecipeError: as `load_suite`; or a checkpoint was pretrained on a test recording.
            CheckpointError, ShardError: a checkpoint or shards are missing.
        """
        suite, entries = load_suite(path, overrides)
        tasks = []
        for entry in entries:
            refuse_overlaps(entry.recipe)
            outcomes = Outcomes(entry.recipe)
            tasks.append(Task(entry.recipe, entry.command, outcomes, outcomes.plan()))
        return cls(suite, tasks)

    def run(self) -> list[Measured]:
        """Run the jobs that are not cached yet and summarise all."""
        done = []
        with StepProgress() as bar:
            whole = bar.add_task(self.recipe.name, total=sum(len(task.jobs) for task in self.tasks))
            for task in self.tasks:
                bar.update(whole, description=f"{self.recipe.name}: {_title(task.recipe)}")
                runs = pool_folds(task.recipe, run_jobs(task.recipe, task.jobs, lambda: bar.advance(whole)))
                rows = rows_of(task.recipe, runs, task.command) + loss_rows(task.recipe, runs, task.command)
                done.append(Measured(task, runs, rows + decoder(task.recipe, task.command)))
        return done

    def run_share(self, share: int, shares: int) -> tuple[int, int]:
        """Run one of `shares` disjoint shares of the jobs; jobs that share features are in one share.

        Returns:
            Number of jobs of the share, and number of unfinished jobs of the suite.

        Raises:
            RecipeError: there is no such share.
        """
        if not 0 <= share < shares:
            raise RecipeError(f"--array {share}/{shares}: shares are numbered from 0 to {shares - 1}.")
        chosen = list(self._shares(share, shares))
        with StepProgress() as bar:
            whole = bar.add_task(f"{self.recipe.name}, share {share} of {shares}", total=sum(len(j) for _, j in chosen))
            for task, jobs in chosen:
                run_jobs(task.recipe, jobs, lambda: bar.advance(whole))
        left = sum(not path.exists() for task in self.tasks for path in task.jobs)
        return sum(len(jobs) for _, jobs in chosen), left

    def _shares(self, share: int, shares: int) -> Iterator[tuple[Task, dict[Path, Job]]]:
        """Jobs of a share: groups are dealt in turn, independent of what is done already."""
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
