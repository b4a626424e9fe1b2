"""Recipes of the package: taken where the folder has none of that name, and announced."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.config import EvaluateRecipe, PretrainRecipe, load_recipe, packaged
from foundation.config.packaged import PACKAGED, find_recipe, packaged_recipes
from foundation.config.suite import load_suite
from foundation.errors import RecipeError

NAME = Path("recipes/pretrain/tiny.yaml")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a checkout, and a process that has announced nothing yet."""
    packaged._announce.cache_clear()
    monkeypatch.chdir(tmp_path)


def test_the_packaged_recipe_is_taken_and_announced_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert load_recipe(NAME, PretrainRecipe, ["train.steps=7"]).train.steps == 7
    assert capsys.readouterr().err == (
        "wfm: recipes/pretrain/tiny.yaml does not exist in this folder; using the copy installed with the package.\n"
    )


def test_a_recipe_in_the_folder_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    NAME.parent.mkdir(parents=True)
    NAME.write_text("{name: mine, out: x, data: {shards: d}, train: {steps: 3}}")
    assert load_recipe(NAME, PretrainRecipe).name == "mine"
    assert capsys.readouterr().err == ""


def test_own_recipes_extend_packaged_ones_by_name(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    own = tmp_path / "deep" / "mine.yaml"
    own.write_text("extends: recipes/pretrain/corpus.yaml\nname: mine\n")
    recipe = load_recipe(own, PretrainRecipe)
    assert (recipe.name, recipe.data.temperature) == ("mine", 2.0)
    own.write_text("extends: pretrain/corpus.yaml\nname: mine\n")
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe(own, PretrainRecipe)


def test_a_packaged_suite_finds_its_recipes_and_names_them_by_their_relative_path() -> None:
    _, entries = load_suite(Path("recipes/suite.yaml"))
    assert entries
    assert all(entry.command.startswith("wfm evaluate --config recipes/evaluate/") for entry in entries)


@pytest.mark.parametrize(
    "path",
    ["tiny.yaml", "recipes/tiny.yaml", "recipes/../pretrain/tiny.yaml", "/recipes/pretrain/tiny.yaml", "recipes"],
)
def test_another_path_is_no_packaged_recipe_but_names_the_nearest(path: str) -> None:
    with pytest.raises(
        RecipeError, match=r"no such recipe; did you mean recipes/.*Installed with the package: recipes/"
    ):
        find_recipe(Path(path))


def test_a_path_out_of_the_packaged_recipes_is_refused() -> None:
    outside = Path("recipes/../../foundation/recipes/quickstart.yaml")
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe(outside, EvaluateRecipe)


def test_every_packaged_recipe_is_listed() -> None:
    assert "recipes/quickstart.yaml" in packaged_recipes()
    assert len(packaged_recipes()) == sum(1 for _ in PACKAGED.rglob("*.yaml"))


def test_extends_must_be_a_path(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("extends: [a.yaml]\n")
    with pytest.raises(RecipeError, match=r"own\.yaml: extends: expected the path of a recipe"):
        load_recipe(tmp_path / "own.yaml", PretrainRecipe)
