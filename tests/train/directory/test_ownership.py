"""Ownership of run directories: which recipes may resume a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from helpers.tiny import snapshot

from foundation.checkpoints.layout import FINAL
from foundation.config import PretrainRecipe, load_recipe
from foundation.errors import RecipeError
from foundation.train.pretrain import pretrain


def test_a_run_of_before_a_recipe_had_some_key_goes_on(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    raw = yaml.safe_load((run / "recipe.yaml").read_text()) | {"out": str(run)}
    del raw["model"]["links"], raw["objective"]
    (run / "recipe.yaml").write_text(yaml.safe_dump(raw))
    recipe = PretrainRecipe.model_validate(raw)
    assert pretrain(recipe).checkpoint.name == FINAL
    recipe.model.links = 65
    with pytest.raises(RecipeError, match=r"model\.links: 64 there, 65 here"):
        pretrain(recipe)


def test_another_recipe_in_the_same_directory_names_the_key(trained: Path) -> None:
    before = snapshot(trained)
    recipe = load_recipe(trained / "recipe.yaml", PretrainRecipe, ["train.learning_rate=0.5"])
    with pytest.raises(RecipeError, match=r"train\.learning_rate: 0\.001 there, 0\.5 here"):
        pretrain(recipe)
    assert snapshot(trained) == before


@pytest.mark.parametrize("change", ["train.timeout_s=60", "train.picture_every=2"])
def test_how_long_ranks_wait_and_what_is_drawn_is_no_part_of_a_run(change: str, trained: Path) -> None:
    recipe = load_recipe(trained / "recipe.yaml", PretrainRecipe, [change])
    assert pretrain(recipe).checkpoint == trained / "checkpoints" / FINAL
