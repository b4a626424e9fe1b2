"""`recipes/pretrain/corpus.yaml`: nothing that an evaluation may test is in the mixture."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import ROOT

from foundation.config import EvaluateRecipe, PretrainRecipe, load_recipe
from foundation.data.shards.spec import Splits
from foundation.datasets import open_dataset

RECIPES = ROOT / "recipes"
REAL = ("polyu-csi-ips", "stability-csi-har", "ble-rss-fingerprints", "csu-indoorloc-nexmon")


@pytest.fixture(scope="module")
def recipe() -> PretrainRecipe:
    return load_recipe(RECIPES / "pretrain" / "corpus.yaml", PretrainRecipe)


def test_every_corpus_names_its_part_and_sets_tested_in_full_are_left_out(recipe: PretrainRecipe) -> None:
    names = [Path(source.shards).name for source in recipe.data.sources]
    assert sorted(names) == sorted(["simulated-corpus", *REAL])
    assert all(source.split and source.part for source in recipe.data.sources)
    evaluated = [load_recipe(path, EvaluateRecipe) for path in sorted((RECIPES / "evaluate").glob("*.yaml"))]
    tested_in_folds = {task.set for task in evaluated if len(task.folds) > 1}
    assert tested_in_folds
    assert not tested_in_folds & set(names), "the folds of these together test every session"


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_no_session_is_a_test_session_of_any_split(recipe: PretrainRecipe, data_root: Path, name: str) -> None:
    splits = open_dataset(name, raw=data_root / name).splits()
    (source,) = (source for source in recipe.data.sources if Path(source.shards).name == name)
    assert source.split is not None
    assert isinstance(source.part, str)
    seen = set(splits[source.split][source.part])
    assert seen
    assert not seen & _held_out(splits)


@pytest.mark.real
@pytest.mark.parametrize("name", ["uwb-cirs-2018", "radhar"])
def test_the_sets_left_out_have_no_session_that_is_tested_nowhere(data_root: Path, name: str) -> None:
    splits = open_dataset(name, raw=data_root / name).splits()
    every = {session for parts in splits.values() for sessions in parts.values() for session in sessions}
    assert every == _held_out(splits)


def _held_out(splits: Splits) -> set[str]:
    """Sessions of all test and validation parts of all splits."""
    return {
        session
        for parts in splits.values()
        for part, sessions in parts.items()
        if part.startswith(("test", "valid"))
        for session in sessions
    }
