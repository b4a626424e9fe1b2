"""The recipe of `wfm pretrain`: data, network, objective, optimisation and machines."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from foundation.config.address import Address
from foundation.config.section import Section


class CorpusSection(Section):
    """Samples of one shard directory. `split` and `part` name sessions in the manifest; leave both out to read all."""

    shards: Address = Field(description="a directory, or its URL: file://, http://, https://, s3:// or gs://")
    split: str | None = None
    part: str | list[str] | None = None
    weight: float = Field(1.0, gt=0, description="of this corpus in a mixture")
    kinds: list[str] | None = Field(None, min_length=1, description="only signals of these kinds; null: all")
    sessions: int | None = Field(None, gt=0, description="only the first so many sessions; null: all")
    samples: int | None = Field(None, gt=0, description="only so many samples, alike of every session; null: all")

    @property
    def is_subset(self) -> bool:
        """Whether less than the whole part is asked for."""
        return (self.kinds, self.sessions, self.samples) != (None, None, None)


class DataSection(Section):
    """Where samples come from: one shard directory (`shards`, `split`, `part`) or a mixture of several (`corpora`)."""

    shards: Address | None = None
    split: str | None = None
    part: str | list[str] | None = None
    corpora: list[CorpusSection] = Field([])
    temperature: float = Field(
        1.0, gt=0, description="a corpus is drawn as weight x size ** (1 / temperature): 1 by size, large: all alike"
    )
    workers: int = Field(0, ge=0)
    augment: float = Field(0.0, ge=0, description="standard deviation of a random device response, nepers")
    random_subset: float = Field(
        0.0, ge=0, le=1, description="share of the samples with fewer links, times or responses, antennas renumbered"
    )

    @model_validator(mode="after")
    def _one_way(self) -> DataSection:
        if (self.shards is None) == (not self.corpora) or (self.corpora and (self.split or self.part)):
            raise ValueError("give either shards (with split and part), or corpora with their own")
        return self

    @property
    def sources(self) -> list[CorpusSection]:
        """What is read, in either form."""
        if self.shards is None:
            return self.corpora
        return [CorpusSection.model_validate({"shards": self.shards, "split": self.split, "part": self.part})]


class ModelSection(Section):
    """Numbers of the network, see `foundation.models.WfmConfig`, which takes its defaults from here."""

    hidden_size: int = Field(128, description="of the encoder, as depth and heads")
    depth: int = 4
    heads: int = 4
    decoder_size: int = Field(96, description="of the light transformer that predicts hidden tokens")
    decoder_depth: int = 2
    decoder_heads: int = 4
    flow_width: int = Field(192, description="of the flow head")
    flow_depth: int = 3
    patch_shapes: list[tuple[int, int]] = Field(
        [(16, 8), (4, 8), (1, 16)],
        description="(times, responses) of a token; a signal takes the first that is not longer than it in time",
    )
    views: dict[str, str] = Field({}, description="kind -> view, where it is not the default one")
    positions: Literal["physical", "index"] = Field(
        "physical",
        description="seconds, hertz and delay; or index, as networks that count samples see them, for comparisons",
    )
    links: int = Field(
        64, gt=0, description="its square: transmit, and receive, antennas (or access points) told apart"
    )
    experts: int = Field(0, ge=0, description="of every feed-forward layer of the encoder; 0: dense")
    experts_active: int = Field(1, gt=0, description="that a token goes through, together as wide as the dense layer")

    @model_validator(mode="after")
    def _enough_experts(self) -> ModelSection:
        if self.experts and self.experts_active > self.experts:
            raise ValueError(f"experts_active={self.experts_active} is more than there are, experts={self.experts}")
        return self


class ObjectiveSection(Section):
    """Masked signal modelling, see `foundation.objectives.MaskedObjective`."""

    ratio: tuple[float, float] = Field((0.6, 0.85), description="share of tokens hidden by the random mask")
    masks: dict[Literal["random", "time", "response", "link"], float] = Field(
        {"random": 0.5, "time": 0.2, "response": 0.2, "link": 0.1}, description="mask kind -> weight in the mixture"
    )
    generation_share: float = Field(
        0.25,
        ge=0,
        le=1,
        description="share of the batches that practise generation: levels are those of the whole signal, and any part "
        "of it, from nothing on, is visible; in all others gaps are imputed, and nothing hidden leaks",
    )
    flow_weight: float = Field(1.0, ge=0, description="of the diffusion loss; 0: the flow head stays untrained")
    flow_levels: int = Field(2, ge=1, description="noise levels per token")
    statistics_weight: float = Field(1.0, ge=0, description="of the statistics head's loss")
    gate_share: float = Field(
        0.25, gt=0, le=1, description="share of the samples that the gate with interpolation learns from"
    )
    masked_weight: float = Field(1.0, ge=0, description="of the mean head's error on hidden tokens, gated or not")


class TrainSection(Section):
    """The optimisation and the machines it runs on."""

    steps: int = Field(gt=0)
    batch_size: int = Field(64, gt=0, description="the most samples per process and step")
    batch_tokens: int | None = Field(None, gt=0, description="the most tokens per process and step; null: no limit")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup_steps: int = Field(50, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = Field(1, gt=0)
    nodes: int = Field(1, gt=0)
    accumulate: int = Field(1, gt=0, description="batches of each process whose gradients make one step")
    strategy: Literal["auto", "ddp", "zero-0", "zero-1", "zero-2", "zero-3"] = "auto"
    offload: Literal["none", "optimizer", "parameters"] = Field(
        "none", description="what ZeRO keeps in the processor's memory; parameters: both"
    )
    activation_checkpointing: bool = Field(False, description="compute blocks twice instead of keeping their insides")
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    compile: bool = Field(
        False, description="torch.compile the blocks: a minute at the start, see benchmarks/README.md"
    )
    checkpoint_every: int = Field(200, gt=0, description="steps between checkpoints")
    keep_last: int = Field(2, gt=0, description="newest checkpoints that are kept")
    keep_every: int | None = Field(None, gt=0, description="checkpoints of such steps are kept for good")
    log_every: int = Field(10, gt=0)
    picture_every: int | None = Field(1000, gt=0, description="steps between pictures of reconstructions; null: none")
    timeout_s: float = Field(900, gt=0, description="a process that waits longer for the others ends the run")

    @model_validator(mode="after")
    def _offload_of_zero(self) -> TrainSection:
        least = {"none": None, "optimizer": 1, "parameters": 3}[self.offload]
        if least is not None and (self.zero_stage or 0) < least:
            raise ValueError(f"offload={self.offload} needs strategy zero-{least} or above, not {self.strategy}")
        return self

    @property
    def zero_stage(self) -> int | None:
        """Of DeepSpeed; None where it is not used."""
        return int(self.strategy.removeprefix("zero-")) if self.strategy.startswith("zero-") else None


class PretrainRecipe(Section):
    """`wfm pretrain`: masked signal modelling over shards into `out`."""

    name: str
    out: Path
    seed: int = Field(0, ge=0)
    init: str | None = Field(None, description="an exported model to go on from; its sizes must be those of `model`")
    data: DataSection
    model: ModelSection = ModelSection()
    objective: ObjectiveSection = ObjectiveSection()
    train: TrainSection
    logger: Literal["csv", "wandb", "tensorboard"] = "csv"
