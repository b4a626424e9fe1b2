"""Every key of every recipe is described: the reference page is made from these descriptions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from foundation.config import AdaptRecipe, EvaluateRecipe, FinetuneRecipe, PretrainRecipe, Section
from foundation.config.imputation import ImputationRecipe
from foundation.config.study import StudyRecipe
from foundation.config.suite import SuiteRecipe

RECIPES = (AdaptRecipe, EvaluateRecipe, FinetuneRecipe, ImputationRecipe, PretrainRecipe, StudyRecipe, SuiteRecipe)


def _sections(kind: type[Section]) -> Iterator[type[Section]]:
    """Every section class defined in foundation.config below this one."""
    for child in kind.__subclasses__():
        if child.__module__.startswith("foundation.config."):
            yield child
            yield from _sections(child)


SECTIONS = sorted(set(_sections(Section)), key=lambda section: section.__name__)


def test_all_recipes_are_found() -> None:
    assert set(RECIPES) <= set(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_section_and_key_is_described(section: type[Section]) -> None:
    assert section.__doc__
    for name, field in section.model_fields.items():
        assert field.description, f"{section.__name__}.{name} has no description"
        assert len(field.description) >= 9, f"{section.__name__}.{name}"
