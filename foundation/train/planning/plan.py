"""`plan(recipe, gpu, gpus)`: what a pretraining run will need, in seconds, before a cluster is asked for it.

The network is built on torch's meta device, which has shapes and no numbers: a model of any size fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from foundation.config import CorpusSection, PretrainRecipe
from foundation.data.shards.address import is_url
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest, count_sessions
from foundation.data.tokens import layout_of
from foundation.errors import RecipeError, ShardError
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.models.config import model_config
from foundation.objectives import MaskedObjective
from foundation.objectives.flops import training_flops
from foundation.objectives.masked import FLOW_SHARE
from foundation.train.planning.gpus import Gpu, find_gpu
from foundation.train.planning.memory import STAGES, States, activation_bytes, model_states, parameter_count

#: Share of a GPU's memory that a plan fills: the rest is for CUDA, fragmentation and the optimizer's temporaries.
IMPUTED = 0.9
#: Of the peak that the maker promises. Large transformers reach 0.38 to 0.46 of it on thousands of GPUs (PaLM, arXiv
#: 2204.02311; Llama 3, arXiv 2407.21783); short, padded sequences of radio tokens reach less.
MFU = 0.3
#: The paper exercise: so many GPUs, so many samples.
MANY_GPUS, MANY_SAMPLES = 1024, 1_000_000_000
DAY = 86_400.0


@dataclass(frozen=True)
class Samples:
    """What the loader delivers on average: tokens and bytes of a sample, and of how many. 0: the shards are not built.
    `source` says where the numbers come from."""

    tokens: float
    bytes: float
    count: int
    source: str


@dataclass(frozen=True)
class Stage:
    """Bytes of one rank at a ZeRO stage, and whether they fit; `batch` is the most samples per rank that do."""

    stage: int
    states: States
    activations: float
    checkpointed: float
    fits: bool
    fits_checkpointed: bool
    batch: int


@dataclass(frozen=True)
class Pace:
    """How fast so many GPUs go through so many samples, and what that asks of the loader of each node."""

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
class Plan:
    """Everything that `wfm plan` prints. `suggested`: the smallest ZeRO stage that fits, None if none does."""

    name: str
    precision: str
    strategy: str
    gpu: Gpu
    mfu: float
    per_node: int
    batch: float
    parameters: int
    sample: Samples
    flops_per_sample: float
    stages: list[Stage]
    suggested: int | None
    run: Pace
    many: Pace
    many_stages: list[Stage]


def plan(
    recipe: PretrainRecipe,
    gpu: str,
    gpus: int | None = None,
    *,
    mfu: float = MFU,
    per_node: int = 8,
    shape: tuple[int, int, int] = (128, 2, 32),
) -> Plan:
    """Plan a run.

    Args:
        gpu: a name of `foundation.train.planning.gpus.GPUS`.
        gpus: ranks; default those of the recipe.
        mfu: assumed share of the GPU's promised peak.
        per_node: GPUs of a node.
        shape: (times, links, responses) of a sample where the recipe's shards are not built yet.

    Raises:
        RecipeError: an unknown GPU, or numbers out of range.
        ShardError: a manifest that is there but damaged.
    """
    kind = find_gpu(gpu)
    gpus = recipe.train.devices * recipe.train.nodes if gpus is None else gpus
    if gpus < 1 or per_node < 1 or not 0 < mfu <= 1 or min(shape) < 1:
        raise RecipeError("plan: expected --gpus, --per-node and --shape of 1 or more, and --mfu above 0, at most 1.")
    config = model_config(recipe)
    with torch.device("meta"):
        model = WfmForMaskedModeling(config)
    objective = MaskedObjective(**recipe.objective.model_dump())
    sample = _samples(recipe, config, shape)
    limit = math.inf if recipe.train.batch_tokens is None else recipe.train.batch_tokens / sample.tokens
    batch = min(recipe.train.batch_size, max(1.0, limit))
    of_a_step = batch * recipe.train.accumulate
    flops = training_flops(model, objective, 1, sample.tokens)
    speed = kind.peak(recipe.train.precision) * mfu / flops

    def pace(many: int, samples: float) -> Pace:
        rate, node = speed * many, speed * min(many, per_node)
        steps = math.ceil(round(samples / (of_a_step * many), 6))
        asked = (node, node * sample.bytes, samples * sample.bytes)
        return Pace(many, math.ceil(many / per_node), steps, samples, rate, samples / rate / DAY, *asked)

    def stages(many: int) -> list[Stage]:
        flow = FLOW_SHARE * objective.flow_levels if objective.flow_weight else 0.0
        one = [
            activation_bytes(config, sample.tokens, recipe.train.precision, flow, checkpointed)
            for checkpointed in (False, True)
        ]
        room = IMPUTED * kind.memory_gb * 1e9
        states = [model_states(parameter_count(model), stage, many, recipe.train.precision) for stage in STAGES]
        return [_stage(stage, state, one, batch, room) for stage, state in zip(STAGES, states, strict=True)]

    here = stages(gpus)
    return Plan(
        name=recipe.name,
        precision=recipe.train.precision,
        strategy=recipe.train.strategy,
        gpu=kind,
        mfu=mfu,
        per_node=per_node,
        batch=batch,
        parameters=parameter_count(model),
        sample=sample,
        flops_per_sample=flops,
        stages=here,
        suggested=next((stage.stage for stage in here if stage.fits), None),
        run=pace(gpus, recipe.train.steps * of_a_step * gpus),
        many=pace(MANY_GPUS, MANY_SAMPLES),
        many_stages=stages(MANY_GPUS),
    )


def _stage(stage: int, states: States, per_sample: list[float], batch: float, room: float) -> Stage:
    plain, checkpointed = (batch * size for size in per_sample)
    most = max(0, int((room - states.total) / per_sample[0]))
    fits, fits_checkpointed = (states.total + size <= room for size in (plain, checkpointed))
    return Stage(stage, states, plain, checkpointed, fits, fits_checkpointed, most)


def _samples(recipe: PretrainRecipe, config: WfmConfig, shape: tuple[int, int, int]) -> Samples:
    """Averages over the recipe's corpora in their shares, from the manifests; from `shape` where one is missing."""
    sources = recipe.data.sources
    if not all(is_url(source.shards) or Path(source.shards, "manifest.json").exists() for source in sources):
        # complex64, and about a kilobyte of metadata and tar headers.
        size = 8.0 * math.prod(shape) + 1024
        text = f"assumed {'x'.join(map(str, shape))} (times x links x responses): the recipe's shards are not built"
        return Samples(float(layout_of(shape, config).tokens), size, 0, text)
    corpora = [_corpus(source, config) for source in sources]
    shares = [
        source.weight * float(corpus.count ** (1 / recipe.data.temperature))
        for source, corpus in zip(sources, corpora, strict=True)
    ]

    def mean(values: list[float]) -> float:
        return sum(share * value for share, value in zip(shares, values, strict=True)) / sum(shares)

    return Samples(
        mean([corpus.tokens for corpus in corpora]),
        mean([corpus.bytes for corpus in corpora]),
        sum(corpus.count for corpus in corpora),
        f"mean over the manifest of {', '.join(corpus.source for corpus in corpora)}",
    )


def _corpus(source: CorpusSection, config: WfmConfig) -> Samples:
    """Averages over all samples of a directory, the sessions of other parts included: the manifest has no others."""
    manifest = Manifest.load(source.shards)
    try:
        shapes = {tuple(map(int, text.split("x"))): count for text, count in manifest.summary.shapes.items()}
        tokens = sum(layout_of(shape, config).tokens * count for shape, count in shapes.items()) / manifest.count
    except (ValueError, ZeroDivisionError):
        raise ShardError(
            f"{source.shards}: the manifest tells no shape of a sample; rebuild it with 'wfm shards build'."
        ) from None
    count = manifest.count
    if source.split is not None and source.part is not None:
        wanted = set(manifest.sessions(source.split, source.part))
        count = sum(n for session, n in count_sessions(manifest.shards).items() if session in wanted)
    if source.is_subset:
        count = sum(Corpus(source).counts)
    return Samples(tokens, manifest.bytes / manifest.count, count, manifest.name)
