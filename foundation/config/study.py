"""The recipe of `wfm study`: variants or a grid, seeds, and what every run is measured by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from foundation.config.corpus import CorpusSection
from foundation.config.section import Section
from foundation.config.values import Device, FilePath, Seed, Share

#: A grid axis of such a name is numeric: the quantity is measured in every run, and power laws are fitted to it.
QUANTITIES = ("parameters", "samples", "sessions", "tokens", "steps")
UNTRAINED = "untrained"  # rows of the weights that pretraining starts from
STATISTICS = "statistics"  # rows of the closed form, no network
WITHOUT = "without"  # begins the names of rows of an encoder that was pretrained without one set
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")

#: Axis of a grid -> level of a run.
Levels = dict[str, str]


class HeldOutSection(CorpusSection):
    """Samples that no run trains on, for the held-out masked loss."""

    samples: int | None = Field(512, gt=0, description="samples to read, equally many of every session; null: all")


class StudyTask(Section):
    """An evaluation recipe, of which only the training part is read."""

    recipe: FilePath = Field(description="path of the evaluation recipe, relative to the study")
    overrides: list[str] = Field([], description="changes to that recipe, such as task.split=A")
    samples: int | None = Field(
        800, gt=0, description="largest number of samples, equally many of every session; null: all"
    )


class StudyRecipe(Section):
    """`wfm study`: pretrain every variant (or cell of a grid) with every seed and measure all alike."""

    command: ClassVar[str] = "wfm study"

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the study, of its folder and report"
    )
    question: str = Field("", description="what the study asks, printed at the top of its report")
    pretrain: FilePath = Field(description="pretraining recipe that all runs share, relative to the study")
    overrides: list[str] = Field(
        [], description="changes to that recipe in every run, applied before those of a variant"
    )
    variants: dict[str, list[str]] = Field(
        {}, description="variant -> changes to the pretraining recipe; all are compared with the first"
    )
    grid: dict[str, dict[str, list[str]]] = Field(
        {}, description="axis -> level -> changes, all levels crossed; in place of variants"
    )
    leave_out: bool = Field(
        False,
        description="pretrain the first variant once more for every set that both its mixture and a task read, without "
        "that set, and judge it on that set alone",
    )
    seeds: list[Seed] = Field(
        [0, 1, 2], min_length=1, description="of pretraining and of the label subsets, all different"
    )
    held_out: HeldOutSection | None = Field(
        None, description="samples for the held-out masked loss, with the same masks for all runs; null: not measured"
    )
    tasks: list[StudyTask] = Field([], description="frozen probes, scored on left-out training sessions of each task")
    fractions: list[Share] = Field(
        [0.1, 1.0], min_length=1, description="shares of the training labels, each above 0 and at most 1"
    )
    device: Device | None = Field(
        None,
        description="where runs are trained and measured: auto, cpu, cuda, cuda:1 or mps, in place of "
        "train.accelerator; null: as the pretraining recipe says",
    )
    cache: FilePath = Field(Path("runs/studies"), description="folder of the runs: cache/name/variant-seed")

    @model_validator(mode="after")
    def _complete(self) -> StudyRecipe:
        if bool(self.variants) == bool(self.grid):
            raise ValueError("give either variants, or a grid of axes")
        if self.leave_out and not (self.variants and self.tasks):
            raise ValueError("leave_out: give variants, of which the first is taken, and tasks")
        if self.held_out is None and not self.tasks:
            raise ValueError("give held_out or tasks: without either nothing is measured")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ")
        for name in [*self.variants, *self.grid, *(level for levels in self.grid.values() for level in levels)]:
            if not _NAME.fullmatch(name) or name == STATISTICS or name.partition("-")[0] in (UNTRAINED, WITHOUT):
                raise ValueError(
                    f"name {name!r}: expected letters, digits and . + -, and none of {STATISTICS}, {UNTRAINED} and "
                    f"{WITHOUT}-..., which are names of rows of their own"
                )
        return self

    @property
    def cells(self) -> Iterator[tuple[str, list[str], Levels]]:
        """Every variant or cell of the grid: its name, its overrides and, of a grid, its levels."""
        if self.variants:
            yield from ((name, words, {}) for name, words in self.variants.items())
            return
        for levels in product(*(axis.items() for axis in self.grid.values())):
            names = [name for name, _ in levels]
            words = [word for _, words in levels for word in words]
            yield "_".join(names), words, dict(zip(self.grid, names, strict=True))
