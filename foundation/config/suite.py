"""The recipe of `wfm evaluate --suite`: a list of evaluation recipes with changes to each."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from foundation.config.evaluation import EvaluateMode, EvaluateRecipe
from foundation.config.section import Section, load_recipe
from foundation.config.values import FilePath, Name
from foundation.errors import RecipeError


class SuiteTask(Section):
    """An evaluation recipe, and changes to it."""

    recipe: FilePath = Field(description="path of the evaluation recipe, relative to the suite")
    overrides: list[str] = Field([], description="changes to that recipe, such as task.split=A")


class SuiteRecipe(Section):
    """`wfm evaluate --suite`: the recipes that are run, and which modes are compared in paired tests."""

    command: ClassVar[str] = "wfm evaluate --suite"

    name: Name = Field(description="name of the suite, in its report and jobs")
    tasks: list[SuiteTask] = Field(min_length=1, description="the evaluation recipes")
    overrides: list[str] = Field([], description="changes to every recipe, applied before its own")
    compare: list[tuple[EvaluateMode, EvaluateMode]] = Field(
        [
            *(("probe", "statistics"), ("lora", "statistics"), ("lora", "scratch"), ("probe", "untrained")),
            *(("lora", "baseline"), ("probe", "baseline")),
        ],
        description="pairs of modes for the paired tests; baseline stands for the first one of a recipe",
    )


@dataclass(frozen=True)
class Entry:
    """One task of a suite: its resolved recipe, and the command that runs it alone."""

    recipe: EvaluateRecipe
    command: str


def load_suite(path: Path, overrides: Sequence[str] = ()) -> tuple[SuiteRecipe, list[Entry]]:
    """Read a suite and its recipes.

    Args:
        overrides: changes to every recipe, applied last.

    Raises:
        RecipeError: an unknown key (names the nearest), a recipe that cannot be read, or two tasks whose rows would
            have the same name.
    """
    suite = load_recipe(path, SuiteRecipe)
    entries = []
    owner: dict[tuple[str, str], Path] = {}
    for task in suite.tasks:
        own, words = (
            Path(os.path.normpath(path.parent / task.recipe)),
            _last_of_each_key([*suite.overrides, *task.overrides, *overrides]),
        )
        recipe = load_recipe(own, EvaluateRecipe, words)
        for part in recipe.task.tests:
            name = (recipe.set, recipe.part_name(part))
            if name in owner:
                raise RecipeError(
                    f"{path}: {owner[name]} and {own} would both have rows named {', '.join(name)}; give one of them "
                    "another set= in its overrides."
                )
            owner[name] = own
        entries.append(Entry(recipe, shlex.join(["wfm", "evaluate", "--config", str(own), *words])))
    return suite, entries


def _last_of_each_key(overrides: Sequence[str]) -> list[str]:
    """Drop overrides that a later one replaces, unless another reaches inside: the command of a row says what ran."""
    keys = [word.partition("=")[0] for word in overrides]
    inside = {key for key in keys if any(other.startswith(f"{key}.") for other in keys)}
    return [word for at, word in enumerate(overrides) if keys[at] not in keys[at + 1 :] or keys[at] in inside]
