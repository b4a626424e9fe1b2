"""A study's recipe: what is varied, how often, and what the runs are judged by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from pydantic import Field, model_validator

from foundation.config import CorpusSection, Section

#: A grid axis of such a name is a number, measured in every run, and power laws are fitted to it.
QUANTITIES = ("parameters", "samples", "sessions", "tokens", "steps")
UNTRAINED = "untrained"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")

#: axis -> level
Levels = dict[str, str]


class HeldOutSection(CorpusSection):
    """Samples that no run trains on, for the held-out masked loss."""

    samples: int | None = Field(512, gt=0, description="so many, alike of every session; null: all")


class StudyTask(Section):
    """An evaluation recipe, of which the training part alone is read."""

    recipe: Path = Field(description="relative to the study")
    overrides: list[str] = Field([], description="such as task.split=A")
    samples: int | None = Field(800, gt=0, description="at most so many, alike of every session; null: all")


class StudyRecipe(Section):
    """`wfm study`: every variant (or cell of a grid) x seed is pretrained and judged."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    question: str = Field("", description="what the study asks; stands at the top of its report")
    pretrain: Path = Field(description="the pretraining recipe that all runs share, relative to the study")
    overrides: list[str] = Field([], description="of every run, before those of its variant")
    variants: dict[str, list[str]] = Field({}, description="name -> overrides; others are compared with the first")
    grid: dict[str, dict[str, list[str]]] = Field({}, description="axis -> level -> overrides, in place of variants")
    seeds: list[int] = Field([0, 1, 2], min_length=1, description="of pretraining, and of the label subsets")
    held_out: HeldOutSection | None = None
    tasks: list[StudyTask] = Field([], description="frozen probes, on left-out training sessions")
    fractions: list[float] = Field([0.1, 1.0], min_length=1, description="of the training labels")
    cache: Path = Field(Path("runs/studies"), description="runs go to cache/name/variant-seed")

    @model_validator(mode="after")
    def _whole(self) -> StudyRecipe:
        if bool(self.variants) == bool(self.grid):
            raise ValueError("give either variants, or a grid of axes")
        if self.held_out is None and not self.tasks:
            raise ValueError("give held_out or tasks: without either nothing is measured")
        if len(set(self.seeds)) != len(self.seeds) or not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ValueError("seeds must differ, and fractions lie above 0 and at most at 1")
        for name in [*self.variants, *self.grid, *(level for levels in self.grid.values() for level in levels)]:
            if not _NAME.fullmatch(name) or name == UNTRAINED:
                raise ValueError(
                    f"name {name!r}: expected letters, digits and . + -, and not {UNTRAINED!r}, a row of its own"
                )
        return self

    @property
    def cells(self) -> Iterator[tuple[str, list[str], Levels]]:
        """Every variant: its name, its overrides and, of a grid, its levels."""
        if self.variants:
            yield from ((name, words, {}) for name, words in self.variants.items())
            return
        for levels in product(*(axis.items() for axis in self.grid.values())):
            names = [name for name, _ in levels]
            words = [word for _, words in levels for word in words]
            yield "_".join(names), words, dict(zip(self.grid, names, strict=True))
