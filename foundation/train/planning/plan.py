"""`plan(recipe, gpu, gpus)`: estimate memory and throughput of a pretraining run before it is submitted.

The network is built on torch's meta device, which allocates no memory: a model of any size fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from foundation.config import CorpusSection, PretrainRecipe
from foundation.data.layout import layout_of
from foundation.data.shards.address import is_url
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest, count_sessions
from foundation.errors import RecipeError, ShardError
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.models.config import model_config
from foundation.objectives import MaskedObjective
from foundation.objectives.flops import training_flops
from foundation.signal import Signal
from foundation.train.planning.gpus import Gpu, find_gpu
from foundation.train.planning.kernels import work_of
from foundation.train.planning.loading import measure, noise, samples_of
from foundation.train.planning.memory import STAGES, States, activation_bytes, model_states, parameter_count
from foundation.train.planning.step import UPDATE_BYTES, Step

#: Usable share of a GPU's memory: the rest is for CUDA, fragmentation and the optimizer's temporaries.
USABLE = 0.9
COUNTED = 16  # samples of the batch whose calls and bytes are counted
#: GPUs and samples of the extrapolation to a large run.
MANY_GPUS, MANY_SAMPLES = 1024, 1_000_000_000
DAY = 86_400.0


@dataclass(frozen=True)
class Samples:
    """Mean tokens and bytes per sample, number of samples (0: the shards are not built), and their source."""

    tokens: float
    bytes: float
    count: int
    source: str


@dataclass(frozen=True)
class Stage:
    """Memory of one rank at a ZeRO stage in bytes, with and without activation checkpointing.

    Attributes:
        batch: the largest number of samples per rank that fits without checkpointing.
    """

    stage: int
    states: States
    activations: float
    checkpointed: float
    fits: bool
    fits_checkpointed: bool
    batch: int


@dataclass(frozen=True)
class Pace:
    """Throughput and duration of a run, and the data rate that the loader of each node must deliver."""

    gpus: int
    nodes: int
    steps: int
    samples: float
    samples_per_s: float
    days: float
    node_samples_per_s: float
    node_bytes_per_s: float
    read_bytes: float


@dataclass(frozen=True)
class Loading:
    """What the loader of a node delivers beside what its GPUs ask, in samples/s.

    Attributes:
        worker: of one worker, for each second of the processor, measured on this machine.
        source: what it was measured on.
        workers: of each GPU's process, 1 where the process itself reads.
        needed: workers of each process that would do.
    """

    worker: float
    source: str
    workers: int
    delivered: float
    asked: float
    needed: int

    @property
    def is_limit(self) -> bool:
        """Whether the GPUs wait for the loader."""
        return self.delivered < self.asked


@dataclass(frozen=True)
class Plan:
    """Everything that `wfm plan` prints.

    Attributes:
        step: of one GPU, at best.
        mfu: model-FLOP utilisation: at most, by `step`, or as given.
        measured: whether the utilisation was given.
        suggested: the smallest ZeRO stage that fits, None if none does.
        run, stages: for the requested number of GPUs.
        many, many_stages: for `MANY_GPUS` and `MANY_SAMPLES`.
    """

    name: str
    precision: str
    strategy: str
    gpu: Gpu
    step: Step
    mfu: float
    measured: bool
    per_node: int
    batch: float
    parameters: int
    sample: Samples
    flops_per_sample: float
    stages: list[Stage]
    suggested: int | None
    run: Pace
    loading: Loading
    many: Pace
    many_stages: list[Stage]


def plan(
    recipe: PretrainRecipe,
    gpu: str,
    gpus: int | None = None,
    *,
    mfu: float | None = None,
    per_node: int = 8,
    shape: tuple[int, int, int] = (128, 2, 32),
) -> Plan:
    """Estimate memory, throughput and duration of a run.

    Args:
        gpu: a name in `foundation.train.planning.gpus.GPUS`.
        gpus: number of ranks; default as in the recipe.
        mfu: measured model-FLOP utilisation, a share of the GPU's data-sheet peak; default: computed.
        per_node: GPUs per node.
        shape: (times, links, responses) of a sample, used if the recipe's shards are not built yet.

    Raises:
        RecipeError: an unknown GPU, or numbers out of range.
        ShardError: a manifest is damaged.
    """
    kind = find_gpu(gpu)
    gpus = recipe.train.processes if gpus is None else gpus
    if gpus < 1 or per_node < 1 or not 0 < (1 if mfu is None else mfu) <= 1 or min(shape) < 1:
        raise RecipeError("plan: expected --gpus, --per-node and --shape of 1 or more, and --mfu above 0, at most 1.")
    load = _Load.of(recipe, shape)
    peak, step = kind.peak(recipe.train.precision), _step(recipe, kind, load, gpus, shape)
    utilisation = step.utilisation(peak) if mfu is None else mfu
    speed = peak * utilisation / load.flops  # samples/s of one GPU
    stages = _stages(load, kind, gpus)
    run = _pace(load, speed, gpus, per_node, recipe.train.steps * load.samples_per_step * gpus)
    return Plan(
        name=recipe.name,
        precision=recipe.train.precision,
        strategy=recipe.train.strategy,
        gpu=kind,
        step=step,
        mfu=utilisation,
        measured=mfu is not None,
        per_node=per_node,
        batch=load.batch,
        parameters=load.parameters,
        sample=load.sample,
        flops_per_sample=load.flops,
        stages=stages,
        suggested=next((stage.stage for stage in stages if stage.fits), None),
        run=run,
        loading=_loading(recipe, load, shape, run.node_samples_per_s, min(gpus, per_node)),
        many=_pace(load, speed, MANY_GPUS, per_node, MANY_SAMPLES),
        many_stages=_stages(load, kind, MANY_GPUS),
    )


@dataclass(frozen=True)
class _Load:
    """What one rank processes: network, samples, samples per batch and per step, FLOPs per sample, and the activation
    bytes per sample without and with checkpointing."""

    parameters: int
    precision: str
    sample: Samples
    batch: float
    samples_per_step: float
    flops: float
    activations: tuple[float, float]

    @classmethod
    def of(cls, recipe: PretrainRecipe, shape: tuple[int, int, int]) -> _Load:
        config, train = model_config(recipe), recipe.train
        with torch.device("meta"):
            model = WfmForMaskedModeling(config)
        objective = MaskedObjective(**recipe.objective.model_dump())
        sample = _samples(recipe, config, shape)
        limit = math.inf if train.batch_tokens is None else train.batch_tokens / sample.tokens
        batch = min(train.batch_size, max(1.0, limit))
        plain, checkpointed = (
            activation_bytes(config, sample.tokens, train.precision, checkpointed) for checkpointed in (False, True)
        )
        flops = training_flops(model, objective, 1, sample.tokens)
        count = parameter_count(model)
        return cls(count, train.precision, sample, batch, batch * train.accumulate, flops, (plain, checkpointed))


def _step(recipe: PretrainRecipe, gpu: Gpu, load: _Load, gpus: int, shape: tuple[int, int, int]) -> Step:
    """Counted on `COUNTED` samples and scaled to the batch: the number of calls depends on kinds and shapes alone."""
    train = recipe.train
    signals, tokens = _some(recipe, load, shape)
    work = work_of(recipe, signals)
    held_by = gpus if train.zero_stage else 1  # ranks that share the optimizer's state
    update = UPDATE_BYTES * load.parameters / held_by / train.accumulate
    moved = work.bytes * load.batch * load.sample.tokens / tokens
    recomputed = train.activation_checkpointing
    return Step.of(gpu, train.precision, load.flops * load.batch, moved + update, work.calls, recomputed)


def _some(recipe: PretrainRecipe, load: _Load, shape: tuple[int, int, int]) -> tuple[list[Signal], float]:
    """Samples of the recipe where they are here, else of this shape; and their tokens."""
    config = model_config(recipe)
    signals = samples_of(recipe, config, COUNTED) if load.sample.count else []
    signals = signals or [noise(shape, seed) for seed in range(COUNTED)]
    return signals, float(sum(layout_of(signal.values.shape, config).tokens for signal in signals))


def _loading(recipe: PretrainRecipe, load: _Load, shape: tuple[int, int, int], asked: float, processes: int) -> Loading:
    decoding = measure(recipe, model_config(recipe), shape, load.sample.count)
    workers = max(1, recipe.data.workers)
    needed = math.ceil(asked / processes / decoding.samples_per_s)
    delivered = workers * processes * decoding.samples_per_s
    return Loading(decoding.samples_per_s, decoding.source, workers, delivered, asked, needed)


def _pace(load: _Load, speed: float, gpus: int, per_node: int, samples: float) -> Pace:
    """Of a run over so many samples, at `speed` samples/s per GPU."""
    rate, node = speed * gpus, speed * min(gpus, per_node)
    steps = math.ceil(round(samples / (load.samples_per_step * gpus), 6))
    data = (node, node * load.sample.bytes, samples * load.sample.bytes)
    return Pace(gpus, math.ceil(gpus / per_node), steps, samples, rate, samples / rate / DAY, *data)


def _stages(load: _Load, gpu: Gpu, gpus: int) -> list[Stage]:
    """Memory at every ZeRO stage on so many GPUs."""
    usable = USABLE * gpu.memory_gb * 1e9
    found = []
    for stage in STAGES:
        states = model_states(load.parameters, stage, gpus, load.precision)
        plain, checkpointed = (load.batch * size for size in load.activations)
        largest = max(0, int((usable - states.total) / load.activations[0]))
        fits, fits_checkpointed = (states.total + size <= usable for size in (plain, checkpointed))
        found.append(Stage(stage, states, plain, checkpointed, fits, fits_checkpointed, largest))
    return found


def _samples(recipe: PretrainRecipe, config: WfmConfig, shape: tuple[int, int, int]) -> Samples:
    """Means over the recipe's corpora by their sampling weights, from the manifests; from `shape` if one is missing."""
    sources = recipe.data.sources
    if any(is_url(source.shards) or not Path(source.shards, "manifest.json").exists() for source in sources):
        # A plan opens nothing that is not here. complex64, and about a kilobyte of metadata and tar headers.
        size = 8.0 * math.prod(shape) + 1024
        text = (
            f"assumed {'x'.join(map(str, shape))} (times x links x responses): the recipe's shards are not built here"
        )
        return Samples(float(layout_of(shape, config).tokens), size, 0, text)
    corpora = [_corpus(source, config) for source in sources]
    weights = [
        source.weight * float(corpus.count ** (1 / recipe.data.temperature))
        for source, corpus in zip(sources, corpora, strict=True)
    ]

    def mean(values: list[float]) -> float:
        return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)

    return Samples(
        mean([corpus.tokens for corpus in corpora]),
        mean([corpus.bytes for corpus in corpora]),
        sum(corpus.count for corpus in corpora),
        f"mean over the manifest of {', '.join(corpus.source for corpus in corpora)}",
    )


def _corpus(source: CorpusSection, config: WfmConfig) -> Samples:
    """Means over all samples of a directory: the manifest has none of a single part. The count is of the part."""
    manifest = Manifest.load(source.shards)
    try:
        shapes = {tuple(map(int, text.split("x"))): count for text, count in manifest.summary.shapes.items()}
        tokens = sum(layout_of(shape, config).tokens * count for shape, count in shapes.items()) / manifest.count
    except (ValueError, ZeroDivisionError):
        raise ShardError(
            f"{source.shards}: the manifest lists no sample shapes; rebuild it with 'wfm shards build'."
        ) from None
    count = manifest.count
    if source.split is not None and source.part is not None:
        wanted = set(manifest.sessions(source.split, source.part))
        count = sum(n for session, n in count_sessions(manifest.shards).items() if session in wanted)
    if source.is_subset:
        count = sum(Corpus(source).counts)
    return Samples(tokens, manifest.bytes / manifest.count, count, manifest.name)
