"""Every published row names the command that gives it: the recipe it resolves to asks for that row, by its name."""

from __future__ import annotations

import shlex
from functools import cache

import pytest
from helpers import ROOT

from foundation.config import LABELS_ALONE, EvaluateRecipe, load_recipe
from foundation.evaluate.generation import MASKS, MODEL
from foundation.evaluate.jobs import jobs_of, title
from foundation.results.rows import Row, load_rows

PUBLISHED = ("quality", "frozen", "peers")
DRAWS = 3  # of masks and of noise
RULER = "Gaussian noise, matched"  # that generated samples are measured by
CALL = ["wfm", "evaluate", "--config"]


@cache
def _asked(command: str) -> tuple[EvaluateRecipe, frozenset[tuple[str, str, float]]]:
    """The recipe, and (method, mode, fraction) of all that it runs."""
    words = shlex.split(command)
    assert words[:3] == CALL, f"{command}: not a call of wfm evaluate --config"
    recipe = load_recipe(ROOT / words[3], EvaluateRecipe, words[4:])
    runs = {(job.method, job.mode, job.fraction) for job in jobs_of(recipe)}
    alone = [title(recipe, mode) for mode in LABELS_ALONE]
    names = [*recipe.sources, *alone, *(baseline.title for baseline in recipe.baselines)]
    assert {method for method, _, _ in runs} <= set(names)
    if recipe.decoder:
        models = [MODEL] if len(recipe.sources) == 1 else list(recipe.sources)
        runs |= {(method, f"{mask} mask", 1.0) for method in [*models, "linear interpolation"] for mask in MASKS}
        runs |= {(f"{model}, from pure noise", "generation", 1.0) for model in models} | {(RULER, "generation", 1.0)}
    return recipe, frozenset(runs)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_command_of_a_row_asks_for_that_row(name: str) -> None:
    rows = load_rows(ROOT / "docs" / "experiments" / f"{name}.json")
    assert rows
    wrong: list[tuple[Row, str]] = []
    for row in rows:
        recipe, runs = _asked(row.command)
        splits = {recipe.part_name(part) for part in recipe.task.tests} | {recipe.folds[0]}
        if row.set != recipe.set or row.split not in splits:
            wrong.append((row, "another set or split"))
        elif row.mode and (row.method, row.mode, row.fraction) not in runs:
            wrong.append((row, "another method, mode or fraction"))
        elif row.seeds > (DRAWS if row.mode.endswith((" mask", "generation")) else len(recipe.seeds)):
            wrong.append((row, "fewer seeds"))
    assert not wrong, f"{len(wrong)} rows, such as {wrong[0]}"
