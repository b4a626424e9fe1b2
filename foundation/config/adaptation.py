"""The recipe of `wfm adapt`: LoRA adapters of a domain, from its unlabelled recordings."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from foundation.config.corpus import SamplesSection
from foundation.config.section import Section
from foundation.config.values import Batch, Device, FilePath, Name, Rate, Seed, Share, Steps, Threads


class AdaptRecipe(Section):
    """`wfm adapt`: continue pretraining on unlabelled recordings of one domain (a room, user, device or day), LoRA
    alone, and save the adapter."""

    command: ClassVar[str] = "wfm adapt"

    name: Name = Field(description="name of the domain, in messages and files")
    out: FilePath = Field(description="folder that the adapter is saved into; must not exist")
    checkpoint: str = Field(
        "wfm-small",
        description="exported folder with its decoder, training checkpoint (.ckpt), org/name on the Hub, or wfm-small, "
        "which is installed with the package",
    )
    data: SamplesSection = Field(description="recordings of the domain; their labels are never read")
    held_out: Share = Field(
        0.2,
        lt=1,
        description="share of the samples, at the end of every session, that is not trained on: its masked loss "
        "chooses the state that is kept",
    )
    rank: int = Field(8, gt=0, le=4096, description="rank of the LoRA matrices; their alpha is twice the rank")
    targets: Literal["all", "attention", "feed-forward"] = Field(
        "all", description="matrices of the encoder's blocks that are adapted"
    )
    steps: Steps = Field(200, description="optimizer steps at most")
    batch_size: Batch = Field(32, description="samples per step")
    learning_rate: Rate = Field(1e-3, description="peak learning rate")
    check_every: Steps = Field(20, description="steps between two looks at the held-out masked loss")
    patience: Steps = Field(3, description="looks without a lower held-out loss after which training stops")
    seed: Seed = Field(0, description="of the LoRA matrices, order of samples and masks")
    device: Device = Field("auto", description="auto, cpu, cuda, cuda:1 or mps; auto: the first GPU, else the CPU")
    threads: Threads | None = Field(
        None, description="CPU threads of a process; null: OMP_NUM_THREADS, else as many as cores are free"
    )
