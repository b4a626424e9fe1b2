"""A resolved study: its runs, and the tasks that they are evaluated on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from foundation.config import EvaluateRecipe, PretrainRecipe, load_recipe
from foundation.config.study import STATISTICS, UNTRAINED, WITHOUT, Levels, StudyRecipe
from foundation.errors import RecipeError


@dataclass(frozen=True)
class Run:
    """One encoder that is measured.

    Attributes:
        pretrain: the recipe of its pretraining; of a control, one with its network and patch shapes.
        words, levels: of the variant or of the cell of the grid.
        control: None for a pretrained encoder; `UNTRAINED`: its initial weights; `STATISTICS`: the closed form.
        left_out: shards that its pretraining was denied, which it is judged on alone.
    """

    variant: str
    seed: int
    pretrain: PretrainRecipe
    words: tuple[str, ...] = ()
    levels: Levels = field(default_factory=dict)
    control: str | None = None
    left_out: str | None = None

    @property
    def trained(self) -> bool:
        """Whether there is a pretraining to run."""
        return self.control is None

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
        if recipe.leave_out:
            trained += _without_each(path, trained, tasks)
        runs = [*_controls(trained, bool(tasks)), *trained]
        return cls(recipe, runs, tasks, shlex.join(["wfm", "study", str(path), *overrides]))

    def judged_by(self, run: Run) -> list[Task]:
        """The tasks that a run is measured on."""
        return [task for task in self.tasks if run.left_out in (None, str(task.recipe.task.shards))]

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


def _without_each(path: Path, trained: Sequence[Run], tasks: Sequence[Task]) -> list[Run]:
    """The first variant again, without one set after the other of those that both its mixture and a task read."""
    judged = {str(task.recipe.task.shards) for task in tasks}
    found = []
    for run in (run for run in trained if run.variant == trained[0].variant):
        corpora = run.pretrain.data.corpora
        for left_out in dict.fromkeys(str(each.shards) for each in corpora if str(each.shards) in judged):
            rest = [each for each in corpora if str(each.shards) != left_out]
            if not rest:
                continue
            variant = f"{WITHOUT}-{left_out.rstrip('/').rpartition('/')[2]}"
            changes = {
                "data": run.pretrain.data.model_copy(update={"corpora": rest}),
                "out": run.folder.with_name(f"{variant}-{run.seed}"),
                "name": f"{run.pretrain.name}-{variant}",
            }
            pretrain = run.pretrain.model_copy(update=changes)
            found.append(replace(run, variant=variant, pretrain=pretrain, left_out=left_out))
    if not found:
        raise RecipeError(f"{path}: leave_out: no task reads a set of the mixture of {trained[0].variant!r}.")
    return found


def _controls(trained: Sequence[Run], with_tasks: bool) -> list[Run]:
    """The initial weights of every network and seed; for tasks also the closed form, once for a seed."""
    firsts: dict[tuple[str, int], Run] = {}
    for run in trained:
        firsts.setdefault((_network(run), run.seed), run)
    several = len({network for network, _ in firsts}) > 1
    controls: list[Run] = []
    for run in trained if with_tasks else []:
        if run.seed not in {control.seed for control in controls}:
            recipe = run.pretrain.model_copy(update={"out": run.folder.with_name(f"{STATISTICS}-{run.seed}")})
            controls.append(Run(STATISTICS, run.seed, recipe, control=STATISTICS))
    for run in firsts.values():
        variant = f"{UNTRAINED}-{run.variant}" if several else UNTRAINED
        recipe = run.pretrain.model_copy(update={"out": run.folder.with_name(f"{variant}-{run.seed}")})
        controls.append(Run(variant, run.seed, recipe, run.words, run.levels, UNTRAINED))
    return controls


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
