"""Suites: a YAML file that lists evaluation recipes, with what is changed in each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from foundation.config import EvaluateMode, EvaluateRecipe, Section, load_recipe
from foundation.errors import RecipeError


class SuiteTask(Section):
    """An evaluation recipe, and what is changed in it."""

    recipe: Path = Field(description="relative to the suite")
    overrides: list[str] = Field([], description="such as task.split=A")


class SuiteRecipe(Section):
    """`wfm evaluate --suite`: the recipes that are run, and which modes are tested against one another."""

    name: str
    tasks: list[SuiteTask] = Field(min_length=1)
    overrides: list[str] = Field([], description="of every recipe, before its own")
    compare: list[tuple[EvaluateMode, EvaluateMode]] = Field(
        [("lora", "scratch"), ("probe", "untrained"), ("lora", "baseline"), ("probe", "baseline")],
        description="pairs of modes for the paired tests; baseline is the first of a recipe's",
    )


@dataclass(frozen=True)
class Entry:
    """One task of a suite: its resolved recipe, and the command that runs it alone."""

    recipe: EvaluateRecipe
    command: str


def load_suite(path: Path, overrides: Sequence[str] = ()) -> tuple[SuiteRecipe, list[Entry]]:
    """Read a suite and its recipes.

    Args:
        overrides: of every recipe, the strongest.

    Raises:
        RecipeError: an unknown key (names the nearest), a recipe that cannot be read, or two tasks whose rows would
            bear the same name.
    """
    suite = load_recipe(path, SuiteRecipe)
    entries = []
    owner: dict[tuple[str, str], Path] = {}
    for task in suite.tasks:
        place, words = path.parent / task.recipe, _last_of_each_key([*suite.overrides, *task.overrides, *overrides])
        recipe = load_recipe(place, EvaluateRecipe, words)
        for part in recipe.task.tests:
            name = (recipe.set, recipe.part_name(part))
            if name in owner:
                raise RecipeError(
                    f"{path}: {owner[name]} and {place} would both have rows named {', '.join(name)}; give one of them "
                    "another set= in its overrides."
                )
            owner[name] = place
        entries.append(Entry(recipe, shlex.join(["wfm", "evaluate", "--config", str(place), *words])))
    return suite, entries


def _last_of_each_key(overrides: Sequence[str]) -> list[str]:
    """Those that a later one sets again are left out, unless another goes inside: the command of a row shall say what
    ran."""
    keys = [word.partition("=")[0] for word in overrides]
    inside = {key for key in keys if any(other.startswith(f"{key}.") for other in keys)}
    return [word for at, word in enumerate(overrides) if keys[at] not in keys[at + 1 :] or keys[at] in inside]
