"""The recipe of `wfm evaluate --imputation`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from foundation.config.section import Section
from foundation.config.values import Device, FilePath, Name, Seed, Steps


class ImputationSet(Section):
    """Recordings that no checkpoint under test was trained on."""

    set: Name = Field(description="name of the data set in the tables")
    shards: FilePath = Field(description="shard directory with a manifest")
    split: str = Field(description="split of the manifest")
    parts: list[str] = Field(["test"], min_length=1, description="parts of the split to impute")


class ImputationRecipe(Section):
    """`wfm evaluate --imputation`: NMSE of masked tokens by data set, kind of signal and mask, beside baselines."""

    command: ClassVar[str] = "wfm evaluate --imputation"

    name: Name = Field(description="name of the checkpoint in the tables")
    checkpoint: str = Field(
        description="exported folder, training checkpoint (.ckpt), org/name on the Hub, or wfm-small"
    )
    sets: list[ImputationSet] = Field(min_length=1, description="data sets to impute")
    count: Steps = Field(64, description="windows per kind of signal of a set, evenly spaced over its samples")
    seed: Seed = Field(0, description="of the masks")
    device: Device = Field("auto", description="auto, cpu, cuda, cuda:1 or mps; auto: the first GPU, else the CPU")
