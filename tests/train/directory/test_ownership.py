"""Ownership of run directories: which recipes may resume a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.tiny import snapshot

from foundation.checkpoints.layout import FINAL
from foundation.config import PretrainRecipe, load_recipe
from foundation.errors import RecipeError
from foundation.train.directory.ownership import take_ownership
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


@pytest.mark.parametrize(
    ("devices", "nodes", "asked", "accumulate"), [(2, 2, 3, 3), (1, 3, 1, 4), (1, 1, 2, 12), (12, 1, 5, 1)]
)
def test_steps_stay_as_large_on_any_number_of_processes(
    trained: Path, tmp_path: Path, devices: int, nodes: int, asked: int, accumulate: int
) -> None:
    raw = _begun_with_12_batches(trained, tmp_path)
    raw["train"] |= {"devices": devices, "nodes": nodes, "accumulate": asked}
    assert take_ownership(PretrainRecipe.model_validate(raw)).train.accumulate == accumulate
    raw["train"]["steps"] += 1  # what is stored for a longer run asks for the same
    take_ownership(PretrainRecipe.model_validate(raw))
    assert load_recipe(tmp_path / "run" / "recipe.yaml", PretrainRecipe).train.accumulate == accumulate


@pytest.mark.parametrize(("devices", "near"), [(5, "4 or 6"), (24, "12"), (9, "6 or 12")])
def test_processes_that_cannot_share_a_step_are_told_which_can(
    trained: Path, tmp_path: Path, devices: int, near: str
) -> None:
    raw = _begun_with_12_batches(trained, tmp_path)
    raw["train"] |= {"devices": devices, "nodes": 1}
    with pytest.raises(RecipeError, match=rf"12 batches of train.batch_size=8, which {devices} .* with {near}, or set"):
        take_ownership(PretrainRecipe.model_validate(raw))


def _begun_with_12_batches(trained: Path, tmp_path: Path) -> dict[str, Any]:
    """A recipe of a run that two nodes of two processes began, three batches each."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "step=3.ckpt").touch()
    raw: dict[str, Any] = yaml.safe_load((trained / "recipe.yaml").read_text()) | {"out": str(run)}
    raw["train"] |= {"devices": 2, "nodes": 2, "accumulate": 3}
    (run / "recipe.yaml").write_text(yaml.safe_dump(raw))
    return raw
