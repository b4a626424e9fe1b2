"""The recipe of `wfm evaluate --imputation`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from foundation.config import Section


class ImputationSet(Section):
    """Recordings that no checkpoint under test was trained on."""

    set: str = Field(description="its name in the tables")
    shards: Path
    split: str
    parts: list[str] = Field(["test"], min_length=1)


class ImputationRecipe(Section):
    """`wfm evaluate --imputation`: what the decoder makes of hidden parts, by data set, kind and mask."""

    name: str
    checkpoint: str = Field(description="as for finetune")
    sets: list[ImputationSet] = Field(min_length=1)
    count: int = Field(64, gt=0, description="windows of every kind of a set, spread evenly")
    seed: int = 0
