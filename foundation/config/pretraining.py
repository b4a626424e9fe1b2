"""The recipe of `wfm pretrain`: data, network, objective, optimisation and machines."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from foundation.config.address import Address
from foundation.config.corpus import CorpusSection
from foundation.config.section import Section
from foundation.config.values import (
    Batch,
    Depth,
    Device,
    FilePath,
    Name,
    Nepers,
    Processes,
    Rate,
    Seed,
    Share,
    Steps,
    Threads,
    Weight,
    Width,
)

#: Times, or responses, of a token.
PatchSide = Annotated[int, Field(gt=0, le=4096)]


class DataSection(Section):
    """Where samples come from: one shard directory (`shards`, `split`, `part`) or a mixture of several (`corpora`)."""

    shards: Address | None = Field(None, description="shard directory, or the URL of one; null with corpora")
    split: str | None = Field(None, description="split of the manifest; null: all sessions")
    part: str | list[str] | None = Field(
        None, description="part or parts of the split, such as train; null: all sessions"
    )
    corpora: list[CorpusSection] = Field([], description="a mixture of shard directories, in place of shards")
    temperature: float = Field(
        1.0,
        gt=0,
        le=1e6,
        description="a corpus is sampled in proportion to weight x size ** (1 / temperature): 1 follows the sizes, "
        "large values make corpora equally frequent",
    )
    workers: Processes = Field(
        0, description="data loader processes of each training process; 0: in the process itself"
    )
    cache: FilePath | None = Field(
        None,
        description="folder where the processes of a node keep the shards that they fetch from URLs, best on a local "
        "disk; null: wfm/shards in the user's cache directory",
    )
    cache_gb: float = Field(
        50.0,
        ge=0,
        le=1e6,
        description="size of that folder in GB (10**9 bytes), beyond which shards that were not read for long are "
        "deleted; 0: every process keeps what it fetches in its own memory",
    )
    augment: Nepers = Field(
        0.0, description="standard deviation of a random device response on each sample, in nepers; 0: none"
    )
    random_subset: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the samples that keep a random subset of links, times or responses, antennas renumbered",
    )

    held_out: CorpusSection | None = Field(
        None, description="samples that training does not see: their loss under fixed masks is logged on the way"
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataSection:
        if (self.shards is None) == (not self.corpora) or (self.corpora and (self.split or self.part)):
            raise ValueError("give either shards (with split and part), or corpora with their own")
        return self

    @property
    def sources(self) -> list[CorpusSection]:
        """The corpora, also where only one directory is given."""
        if self.shards is None:
            return self.corpora
        return [CorpusSection.model_validate({"shards": self.shards, "split": self.split, "part": self.part})]


class ModelSection(Section):
    """Sizes of the network; `foundation.models.WfmConfig` takes its defaults from here."""

    hidden_size: Width = Field(128, description="width of the encoder")
    depth: Depth = Field(4, description="transformer blocks of the encoder")
    heads: Width = Field(4, description="attention heads of the encoder")
    decoder_size: Width = Field(
        96, description="width of the light transformer that predicts and denoises hidden tokens"
    )
    decoder_depth: Depth = Field(2, description="transformer blocks of the decoder")
    decoder_heads: Width = Field(4, description="attention heads of the decoder")
    patch_shapes: list[tuple[PatchSide, PatchSide]] = Field(
        [(16, 8), (4, 8), (1, 16)],
        min_length=1,
        max_length=64,
        description="(times, responses) of a token; a signal uses the first that is not longer than it in time",
    )
    views: dict[str, Literal["field", "sanitized", "log-amplitude"]] = Field(
        {},
        description="kind of signal -> input view (field, log-amplitude, ...), where it is not the default",
    )
    positions: Literal["physical", "index"] = Field(
        "physical",
        description="position of a token: seconds, hertz and delay; or index, plain sample numbers, for ablations",
    )
    delay_doppler: bool = Field(
        True, description="a token also enters as the log power of its local delay-Doppler spectrum"
    )
    facts: bool = Field(True, description="a head of the encoder predicts what a simulator knows of a window")
    spectrum: bool = Field(True, description="a head predicts the Doppler bands of hidden patches")
    links: int = Field(
        64,
        gt=0,
        le=2**16,
        description="rows of an antenna embedding table; two are combined, so its square is how many transmit "
        "antennas, and how many receive antennas or access points, can be told apart",
    )
    experts: int = Field(
        0,
        ge=0,
        le=4096,
        description="experts of every feed-forward layer of the encoder (mixture of experts); 0: dense layers",
    )
    experts_active: int = Field(
        1, gt=0, le=4096, description="experts per token, at most `experts`; together as wide as the dense layer"
    )

    @model_validator(mode="after")
    def _enough_experts(self) -> ModelSection:
        if self.experts and self.experts_active > self.experts:
            raise ValueError(f"experts_active={self.experts_active} is more than there are, experts={self.experts}")
        return self

    @model_validator(mode="after")
    def _whole_heads(self) -> ModelSection:
        for size, heads in (("hidden_size", "heads"), ("decoder_size", "decoder_heads")):
            width, count = getattr(self, size), getattr(self, heads)
            if width % count:
                raise ValueError(f"{size}={width} is not a multiple of {heads}={count}: all heads are equally wide")
        return self


class ObjectiveSection(Section):
    """Masked signal modelling, see `foundation.objectives.MaskedObjective`."""

    ratio: tuple[Share, Share] = Field(
        (0.6, 0.85), description="(lowest, highest) share of tokens that the random mask hides"
    )
    masks: dict[Literal["random", "time", "response", "link"], Weight] = Field(
        {"random": 0.5, "time": 0.2, "response": 0.2, "link": 0.1},
        description="mask kind -> relative frequency: random tokens, or a block of times, responses or whole links",
    )
    generation_share: float = Field(
        0.25,
        ge=0,
        le=1,
        description="share of the batches that train generation: any part of the signal, or nothing, is visible, and "
        "levels of the whole signal are given; the other batches train imputation, where nothing hidden is given",
    )
    mean_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the samples whose hidden tokens are predicted from the visible ones alone; those of the "
        "others are denoised together, each sample at a noise level of its own",
    )
    denoising_weight: Weight = Field(
        1.0, description="weight of the denoising loss; 0: all samples are predicted, and nothing can be generated"
    )
    condition_dropout: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of the samples of whose visible tokens nothing but levels is known, for guidance",
    )
    facts_weight: Weight = Field(
        1.0,
        description="weight of what a simulator knows of a window, such as how fast somebody moves; not of recordings",
    )
    spectrum_weight: Weight = Field(1.0, description="weight of the log power of hidden patches in Doppler bands")
    statistics_weight: Weight = Field(1.0, description="weight of the statistics head's loss")
    gate_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="share of the samples that train the gate between prediction and linear interpolation",
    )
    masked_weight: Weight = Field(
        1.0, description="weight of the squared error of predicted tokens, before and after the gate"
    )

    @model_validator(mode="after")
    def _possible(self) -> ObjectiveSection:
        low, high = self.ratio
        if not low <= high < 1:
            raise ValueError(f"ratio: expected (lowest, highest) with lowest <= highest < 1, got ({low:g}, {high:g})")
        if not sum(self.masks.values()) > 0:
            raise ValueError("masks: at least one kind needs a frequency above 0")
        return self


class TrainSection(Section):
    """The optimisation and the machines it runs on."""

    steps: Steps = Field(description="optimizer steps of the run")
    batch_size: Batch = Field(64, description="largest number of samples per process and batch")
    batch_tokens: int | None = Field(
        None, gt=0, le=10**9, description="largest number of tokens per process and batch; null: no limit"
    )
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw",
        description="adamw; or muon for the matrices of the blocks and adamw for the rest, at one learning rate, which "
        "may be several times that of adamw alone",
    )
    learning_rate: Rate = Field(1e-3, description="peak learning rate")
    weight_decay: Weight = Field(0.05, description="weight decay of AdamW and Muon")
    warmup_steps: int = Field(50, ge=0, le=10**9, description="steps over which the learning rate rises to its peak")
    schedule: Literal["cosine", "wsd"] = Field(
        "cosine",
        description="learning rate after the warm-up: cosine, down to a tenth over all steps; wsd (warm-up, stable, "
        "decay): at its peak, then down over the last decay_share; until then steps may be given more or fewer",
    )
    decay_share: Share = Field(0.2, description="of wsd: share of the steps over which the rate comes down to 0")
    ema: float | None = Field(
        None,
        ge=0.5,
        lt=1,
        description="decay of a moving average of the weights, such as 0.999, which is what checkpoints and exports "
        "then hold; null: none",
    )
    clip_norm: float = Field(1.0, gt=0, le=1e9, description="gradients are scaled down to this norm")
    accelerator: Device = Field(
        "auto", description="auto, cpu, gpu, cuda, cuda:1 or mps, as `device` elsewhere; auto: GPUs where there are any"
    )
    devices: int = Field(1, gt=0, le=4096, description="processes per node, one for each GPU")
    nodes: int = Field(1, gt=0, le=10**5, description="number of machines")
    threads: Threads | None = Field(
        None, description="CPU threads of a process; null: OMP_NUM_THREADS, else as many as cores are free"
    )
    accumulate: Batch = Field(1, description="batches per process whose gradients are summed into one step")
    strategy: Literal["auto", "ddp", "fsdp", "zero-0", "zero-1", "zero-2", "zero-3"] = Field(
        "auto",
        description="ddp; fsdp (torch's fully_shard, which partitions like zero-3); or DeepSpeed ZeRO of this stage; "
        "auto: ddp where there are several processes",
    )
    offload: Literal["none", "optimizer", "parameters"] = Field(
        "none",
        description="what ZeRO keeps in host memory; optimizer needs stage 1 or above, parameters (both) stage 3",
    )
    activation_checkpointing: bool = Field(
        False, description="recompute blocks in the backward pass instead of keeping their activations"
    )
    precision: Literal["32-true", "bf16-mixed"] = Field("32-true", description="float32, or bfloat16 mixed precision")
    compile: bool = Field(
        False, description="torch.compile the blocks, which takes a minute at the start; see benchmarks/README.md"
    )
    checkpoint_every: Steps = Field(200, description="steps between checkpoints")
    keep_last: Steps = Field(2, description="how many of the newest checkpoints are kept")
    keep_every: Steps | None = Field(
        None, description="checkpoints at multiples of so many steps are never deleted; null: none"
    )
    log_every: Steps = Field(10, description="steps between log entries")
    held_out_every: Steps = Field(500, description="steps between two looks at data.held_out")
    picture_every: Steps | None = Field(1000, description="steps between figures of reconstructions; null: none")
    timeout_s: float = Field(
        900, gt=0, le=1e7, description="seconds that a process waits for the others before the run ends with an error"
    )

    @model_validator(mode="after")
    def _offload_of_zero(self) -> TrainSection:
        least = {"none": None, "optimizer": 1, "parameters": 3}[self.offload]
        if least is not None and (self.zero_stage or 0) < least:
            raise ValueError(f"offload={self.offload} needs strategy zero-{least} or above, not {self.strategy}")
        return self

    @model_validator(mode="after")
    def _one_process_on_one_device(self) -> TrainSection:
        if ":" in self.accelerator and self.devices * self.nodes > 1:
            processes = f"{self.devices} x {self.nodes} processes"
            raise ValueError(f"accelerator={self.accelerator} is one device, for {processes}; take cuda instead")
        return self

    @model_validator(mode="after")
    def _whole_weights(self) -> TrainSection:
        for key, is_set in (("ema", self.ema is not None), ("optimizer=muon", self.optimizer == "muon")):
            if is_set and self.strategy not in ("auto", "ddp"):
                raise ValueError(
                    f"{key} needs the whole weights in every process: take strategy ddp, not {self.strategy}"
                )
        return self

    @property
    def processes(self) -> int:
        """Of all nodes."""
        return self.devices * self.nodes

    @property
    def decay_start(self) -> int:
        """Step from which the learning rate of `wsd` comes down."""
        return self.steps - max(1, round(self.decay_share * self.steps))

    @property
    def is_partitioned(self) -> bool:
        """Whether no process holds the whole network."""
        return self.strategy in ("fsdp", "zero-3")

    @property
    def zero_stage(self) -> int | None:
        """Stage of DeepSpeed ZeRO; None where it is not used."""
        return int(self.strategy.removeprefix("zero-")) if self.strategy.startswith("zero-") else None


class PretrainRecipe(Section):
    """`wfm pretrain`: masked signal modelling on shards."""

    command: ClassVar[str] = "wfm pretrain"

    name: Name = Field(description="name of the run, in logs, jobs and the model card")
    out: FilePath = Field(description="run directory: recipe, checkpoints, logs, figures and the exported model")
    seed: Seed = Field(0, description="of weights, order of samples, masks and noise")
    init: str | None = Field(
        None, description="exported model whose weights the run starts from; its `model` section must be equal"
    )
    data: DataSection = Field(description="what is read")
    model: ModelSection = Field(ModelSection(), description="sizes of the network")
    objective: ObjectiveSection = Field(ObjectiveSection(), description="what is predicted")
    train: TrainSection = Field(description="optimisation and machines")
    logger: Literal["csv", "wandb", "tensorboard"] = Field(
        "csv", description="csv file, Weights & Biases (offline without WANDB_API_KEY), or TensorBoard"
    )
