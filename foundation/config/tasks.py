"""A labelled task, how an encoder is fitted to it, and the recipe of `wfm finetune`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from foundation.config.renamed import VALUES
from foundation.config.section import Section
from foundation.config.values import (
    Batch,
    Device,
    FilePath,
    Name,
    Nepers,
    Rate,
    Seed,
    Share,
    Steps,
    Threads,
    Weight,
)


class TuneSection(Section):
    """How an encoder or a supervised network is fitted to labels, see `foundation.adapt.fit`."""

    steps: Steps = Field(200, description="optimizer steps of a fit")
    max_epochs: Steps = Field(
        60, description="upper limit on passes over the training samples: fewer steps where labels are few"
    )
    batch_size: Batch = Field(32, description="samples per step")
    learning_rate: Rate = Field(5e-4, description="peak learning rate of LoRA and its head")
    full_learning_rate: Rate = Field(
        2e-4, description="peak learning rate of full fine-tuning and of training from scratch"
    )
    weight_decay: Weight = Field(0.05, description="weight decay of AdamW")
    lora_rank: int = Field(8, gt=0, le=4096, description="rank of the LoRA matrices; their alpha is twice the rank")
    pooling: Literal[
        "moments",
        "context",
        "columns",
        "timeline",
        "facts",
        "response",
        "invariant",
        "statistics",
        "doppler",
        "envelope",
        "auto",
    ] = Field(
        "auto",
        description="how token features become one vector per sample, see foundation/models/pooling.py; auto: a stack "
        "of all, weighted on held-out training sessions",
    )
    dropout: float = Field(
        0.1, ge=0, lt=1, description="dropout probability before the head of the supervised networks (cnn, resnet)"
    )
    search: int = Field(
        0,
        ge=0,
        le=12,
        description="configurations (learning rate, steps, augmentation) of cnn and resnet that are tried on held-out "
        "training sessions, at most 12; 0: none, they are trained as configured",
    )
    augment: Nepers = Field(
        0.0, description="standard deviation of a random device response on training samples, in nepers; 0: none"
    )


class TaskSection(Section):
    """One labelled problem on one shard directory."""

    shards: FilePath = Field(description="shard directory with a manifest")
    label: str = Field(
        description="label to predict, such as activity; classes or real numbers as the shards declare; building+floor "
        "joins labels that are classes"
    )
    split: str | list[str] = Field(
        description="split of the manifest; several are folds, whose test samples are scored together"
    )
    train: str = Field("train", description="part of the split that is trained on")
    tests: list[str] = Field(["test"], min_length=1, description="parts of the split that are tested, each in own rows")

    @model_validator(mode="after")
    def _held_out(self) -> TaskSection:
        if self.train in self.tests:
            raise ValueError(f"tests: part {self.train!r} is the training part; test another")
        for name, given in (("tests", self.tests), ("split", self.split)):
            if not isinstance(given, str) and len(set(given)) < len(given):
                raise ValueError(f"{name}: {', '.join(given)} names one twice, which would count its samples twice")
        for name in [self.split] if isinstance(self.split, str) else self.split:
            if name in VALUES:
                raise ValueError(f"split {name!r} is now called {VALUES[name]!r}")
        return self


class FinetuneRecipe(Section):
    """`wfm finetune`: fit LoRA and a head to one task and save the adapter."""

    command: ClassVar[str] = "wfm finetune"

    name: Name = Field(description="name of the adapter, in messages and jobs")
    out: FilePath = Field(description="folder that the adapter is saved into; must not exist")
    checkpoint: str = Field(
        description="exported folder, training checkpoint (.ckpt), org/name on the Hub, or wfm-small, which is "
        "installed with the package"
    )
    domain: FilePath | None = Field(
        None,
        description="folder of 'wfm adapt', whose adapter is added to the encoder before it is fitted; what is saved "
        "is the sum of both",
    )
    task: TaskSection = Field(description="the labelled problem")
    fraction: Share = Field(1.0, description="share of the training labels to use, above 0 and at most 1")
    seed: Seed = Field(0, description="of the label subset and of the fit")
    tune: TuneSection = Field(TuneSection(), description="how the adapter is fitted")
    device: Device = Field("auto", description="auto, cpu, cuda, cuda:1 or mps; auto: the first GPU, else the CPU")
    threads: Threads | None = Field(
        None, description="CPU threads of a process; null: OMP_NUM_THREADS, else as many as cores are free"
    )
