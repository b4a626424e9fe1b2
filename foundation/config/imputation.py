"""The recipe of `wfm evaluate --imputation`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from foundation.config.section import Section


class ImputationSet(Section):
    """Recordings that no checkpoint under test was trained on."""

    set: str = Field(description="name of the data set in the tables")
    shards: Path = Field(description="shard directory with a manifest")
    split: str = Field(description="split of the manifest")
    parts: list[str] = Field(["test"], min_length=1, description="parts of the split to impute")


class ImputationRecipe(Section):
    """`wfm evaluate --imputation`: NMSE of masked tokens by data set, kind of signal and mask, beside baselines."""

    name: str = Field(description="name of the checkpoint in the tables")
    checkpoint: str = Field(
        description="exported folder, training checkpoint (.ckpt), org/name on the Hub, or wfm-small"
    )
    sets: list[ImputationSet] = Field(min_length=1, description="data sets to impute")
    count: int = Field(64, gt=0, description="windows per kind of signal of a set, evenly spaced over its samples")
    seed: int = Field(0, description="of the masks")
