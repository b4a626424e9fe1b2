"""A resolved study: its runs, and the tasks that they are evaluated on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foundation.config import EvaluateRecipe, PretrainRecipe, load_recipe
from foundation.config.study import UNTRAINED, Levels, StudyRecipe
from foundation.errors import RecipeError


@dataclass(frozen=True)
class Run:
    """One pretraining of a variant and seed, or its initial weights (`trained` is False)."""

    variant: str
    seed: int
    pretrain: PretrainRecipe
    words: tuple[str, ...] = ()
    levels: Levels = field(default_factory=dict)
    trained: bool = True

    @property
    def folder(self) -> Path:
        return self.pretrain.out


@dataclass(frozen=True)
class Task:
    """One labelled task with a single split; `samples` limits its training samples."""

    recipe: EvaluateRecipe
    samples: int | None

    @property
    def split(self) -> str:
        return self.recipe.folds[0]


@dataclass(frozen=True)
class Study:
    """A resolved study; `runs` are all runs, also in a job array, see `share`."""

    recipe: StudyRecipe
    runs: list[Run]
    tasks: list[Task]
    command: str

    @classmethod
    def load(cls, path: Path, overrides: Sequence[str] = ()) -> Study:
        """Read a study and all recipes that it names.

        Args:
            overrides: KEY=VALUE of the study, such as seeds=[0].

        Raises:
            RecipeError: an unknown key (names the nearest, and the variant), a recipe that cannot be read, or one for
                several processes.
        """
        recipe = load_recipe(path, StudyRecipe, overrides)
        base, words = path.parent / recipe.pretrain, recipe.overrides
        trained = [
            Run(name, seed, _pretrain(path, recipe, base, name, seed, [*words, *own]), tuple(own), levels)
            for name, own, levels in recipe.cells
            for seed in recipe.seeds
        ]
        tasks = [_task(path, task.recipe, task.overrides, task.samples) for task in recipe.tasks]
        _refuse_equal(path, tasks)
        return cls(recipe, _with_untrained(trained), tasks, shlex.join(["wfm", "study", str(path), *overrides]))

    def share(self, share: int, shares: int) -> list[Run]:
        """The runs of one share out of `shares`, dealt in turn, independent of what is done already.

        Raises:
            RecipeError: there is no such share.
        """
        if not 0 <= share < shares:
            raise RecipeError(f"--array {share}/{shares}: shares are numbered from 0 to {shares - 1}.")
        return self.runs[share::shares]


def _pretrain(
    path: Path, recipe: StudyRecipe, base: Path, variant: str, seed: int, words: Sequence[str]
) -> PretrainRecipe:
    try:
        device = [] if recipe.device is None else [f"train.accelerator={recipe.device}"]
        found = load_recipe(base, PretrainRecipe, [*words, *device])
    except RecipeError as error:
        raise RecipeError(f"{path}: variant {variant!r}: {error}") from None
    if found.train.processes > 1:
        raise RecipeError(
            f"{base}: asks for {found.train.devices} x {found.train.nodes} processes, and a study trains with one; set "
            "train.devices=1 and train.nodes=1, and share the runs out with --array."
        )
    out = recipe.cache / recipe.name / f"{variant}-{seed}"
    return found.model_copy(update={"name": f"{recipe.name}-{variant}-{seed}", "seed": seed, "out": out})


def _with_untrained(trained: Sequence[Run]) -> list[Run]:
    """The runs, preceded by the initial weights of every network and seed as untrained controls."""
    firsts: dict[tuple[str, int], Run] = {}
    for run in trained:
        firsts.setdefault((_network(run), run.seed), run)
    several = len({network for network, _ in firsts}) > 1
    starts = []
    for run in firsts.values():
        variant = f"{UNTRAINED}-{run.variant}" if several else UNTRAINED
        recipe = run.pretrain.model_copy(update={"out": run.folder.with_name(f"{variant}-{run.seed}")})
        starts.append(Run(variant, run.seed, recipe, run.words, run.levels, trained=False))
    return [*starts, *trained]


def _network(run: Run) -> str:
    return json.dumps(run.pretrain.model.model_dump(mode="json"), sort_keys=True)


def _task(path: Path, recipe: Path, words: Sequence[str], samples: int | None) -> Task:
    """The task of an evaluation recipe, with its pooling and augmentation; its checkpoint is not used."""
    source = path.parent / recipe
    found = load_recipe(source, EvaluateRecipe, words)
    if len(found.folds) > 1:
        raise RecipeError(
            f"{source}: has {len(found.folds)} splits, whose training parts contain one another's test recordings; "
            f"select one in the study's overrides, such as task.split={found.folds[0]}."
        )
    return Task(found, samples)


def _refuse_equal(path: Path, tasks: Sequence[Task]) -> None:
    names = [title(task) for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(
                f"{path}: two tasks would both have rows named {', '.join(name)}; give one of them another set= in its "
                "overrides."
            )


def title(task: Task) -> tuple[str, str]:
    """Set and part of the task's rows."""
    return task.recipe.set, f"{task.split}, left-out training sessions"
