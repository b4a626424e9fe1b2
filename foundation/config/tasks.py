"""A labelled task, how an encoder is fitted to it, and the recipe of `wfm finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from foundation.config.section import Section


class TuneSection(Section):
    """How an encoder is fitted to labels, see `foundation.adapt.fit`."""

    steps: int = Field(200, gt=0)
    max_epochs: int = Field(60, gt=0, description="fewer steps where there are few labels")
    batch_size: int = Field(32, gt=0)
    learning_rate: float = Field(5e-4, gt=0, description="of LoRA, and of its head")
    full_learning_rate: float = Field(2e-4, gt=0, description="of full fine-tuning and training from scratch")
    weight_decay: float = Field(0.05, ge=0)
    lora_rank: int = Field(8, gt=0)
    pooling: Literal["moments", "context", "columns", "response", "invariant", "auto"] = Field(
        "auto", description="auto: all, weighed by what holds across training sessions; see docs/guide/evaluation.md"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="before the head of the supervised networks, cnn and resnet")
    augment: float = Field(0.0, ge=0)


class TaskSection(Section):
    """One labelled problem on one shard directory."""

    shards: Path
    label: str
    split: str | list[str] = Field(description="several splits are folds: their test samples are scored together")
    train: str = "train"
    tests: list[str] = Field(["test"], min_length=1)

    @model_validator(mode="after")
    def _held_out(self) -> TaskSection:
        if self.train in self.tests:
            raise ValueError(f"tests: part {self.train!r} is the one that is trained on; test another")
        for name, given in (("tests", self.tests), ("split", self.split)):
            if not isinstance(given, str) and len(set(given)) < len(given):
                raise ValueError(f"{name}: {', '.join(given)} names one twice, which would count its samples twice")
        return self


class FinetuneRecipe(Section):
    """`wfm finetune`: fit LoRA and a head on one task and save the adapter into `out`."""

    name: str
    out: Path
    checkpoint: str = Field(
        description="an exported folder, a training checkpoint, an org/name on the Hub, or wfm-small, which comes along"
    )
    task: TaskSection
    fraction: float = Field(1.0, gt=0, le=1, description="share of the training labels to use")
    seed: int = Field(0, ge=0)
    tune: TuneSection = TuneSection()
