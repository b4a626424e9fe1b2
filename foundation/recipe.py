"""Strict recipes: a YAML file with known keys only, dotted overrides, and an optional `extends` of another recipe.

An unknown key is an error that names the nearest known one; a silently ignored key costs a week of cluster time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from foundation.errors import RecipeError
from foundation.schema import explain, read_mapping

R = TypeVar("R", bound="Section")


class Section(BaseModel):
    """Base of every section: no unknown keys."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class CorpusSection(Section):
    """Samples of one shard directory. `split` and `part` name sessions in the manifest; leave both out to read all."""

    shards: str = Field(description="a directory, or a URL that webdataset opens")
    split: str | None = None
    part: str | list[str] | None = None
    weight: float = Field(1.0, gt=0, description="of this corpus in a mixture")
    kinds: list[str] | None = Field(None, min_length=1, description="only signals of these kinds; null: all")
    sessions: int | None = Field(None, gt=0, description="only the first so many sessions; null: all")
    samples: int | None = Field(None, gt=0, description="only so many samples, alike of every session; null: all")


class DataSection(Section):
    """Where samples come from: one shard directory (`shards`, `split`, `part`) or a mixture of several (`corpora`)."""

    shards: str | None = None
    split: str | None = None
    part: str | list[str] | None = None
    corpora: list[CorpusSection] = []
    temperature: float = Field(
        1.0, gt=0, description="a corpus is drawn as weight x size ** (1 / temperature): 1 by size, large: all alike"
    )
    workers: int = Field(0, ge=0)
    augment: float = Field(0.0, ge=0, description="standard deviation of a random device response, nepers")
    in_part: float = Field(
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
    """Numbers of the network, see `foundation.models.WfmConfig`."""

    hidden_size: int = 128
    depth: int = 4
    heads: int = 4
    decoder_size: int = 96
    decoder_depth: int = 2
    decoder_heads: int = 4
    flow_width: int = 192
    flow_depth: int = 3
    patch_shapes: list[tuple[int, int]] = [(16, 8), (4, 8), (1, 16)]
    views: dict[str, str] = {}
    positions: Literal["physical", "index"] = "physical"
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
    """See `foundation.objectives.MaskedObjective`."""

    ratio: tuple[float, float] = (0.6, 0.85)
    masks: dict[Literal["random", "time", "response", "link"], float] = {
        "random": 0.5,
        "time": 0.2,
        "response": 0.2,
        "link": 0.1,
    }
    generation_share: float = Field(0.25, ge=0, le=1)
    flow_weight: float = Field(1.0, ge=0)
    flow_share: float = Field(0.25, gt=0, le=1)
    flow_levels: int = Field(2, ge=1)
    sketch_weight: float = Field(1.0, ge=0)
    static_weight: float = Field(0.5, gt=0)
    blend_share: float = Field(0.25, gt=0, le=1)
    masked_weight: float = Field(1.0, ge=0)


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


class TuneSection(Section):
    """How an encoder is fitted to labels, see `foundation.adapt.fit`."""

    steps: int = Field(200, gt=0)
    max_epochs: int = Field(60, gt=0, description="fewer steps where there are few labels")
    batch_size: int = Field(32, gt=0)
    learning_rate: float = Field(5e-4, gt=0, description="of LoRA, and of its head")
    full_learning_rate: float = Field(2e-4, gt=0, description="of full fine-tuning and training from scratch")
    weight_decay: float = Field(0.05, ge=0)
    lora_rank: int = Field(8, gt=0)
    lora_alpha: int = Field(16, gt=0)
    pooling: Literal["moments", "context", "columns", "response", "invariant", "auto"] = Field(
        "auto", description="auto: all, weighed by what holds across training sessions; see docs/evaluation.md"
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


class FloorSection(Section):
    """Hand-made features and a simple classifier or regressor on them: one row, see `foundation.evaluate.features`."""

    features: Literal["amplitude", "log-amplitude", "level", "invariant", "doppler", "delay"] = "invariant"
    method: Literal["kernel", "logistic", "svm", "extra-trees", "knn", "ridge"] = "logistic"

    @property
    def title(self) -> str:
        """Its name in result rows."""
        return f"{self.features} features, {self.method}"


#: Modes of `EvaluateRecipe` that take nothing from a checkpoint, and are run once.
LABELS_ALONE = ("floor", "cnn", "resnet")
#: What test recordings can be thinned out to, see `foundation.evaluate.configurations`; `AT` joins it to a part's name.
Configuration = Literal["rate-x0.5", "rate-x2", "half-subcarriers", "half-band", "one-antenna"]
SHAPES, AT = ("half-subcarriers", "half-band", "one-antenna"), " @ "
#: What heads are fitted to: training recordings as they are, every second packet of them, and as they are but pooled in
#: a way that recordings of any shape share.
AS_RECORDED, AT_HALF_RATE, OF_ANY_SHAPE = "as recorded", "fitted at half rate", "pooled for any shape"
EvaluateMode = Literal["floor", "cnn", "resnet", "untrained", "probe", "knn", "lora", "full", "scratch"]


class EvaluateRecipe(Section):
    """`wfm evaluate`: every mode x label fraction x seed on one task, in one table."""

    name: str
    set: str
    checkpoint: str | None = Field(
        None, description="as for finetune; {split} stands for the fold's name, {seed} for the seed"
    )
    checkpoints: dict[str, str] = Field({}, description="several in one table, each under a name of its own")
    task: TaskSection
    modes: list[EvaluateMode] = ["floor", "untrained", "probe", "knn", "lora", "full", "scratch"]
    fractions: list[Annotated[float, Field(gt=0, le=1)]] = Field([0.01, 0.1, 1.0], min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0, 1, 2], min_length=1)
    configurations: list[Configuration] = Field(
        [], description="heads are also tested, as they are, on test recordings of these; see docs/evaluation.md"
    )
    align: Literal["none", "coral", "self-training"] = Field(
        "none", description="floors and frozen features also with the unlabelled test recordings, in own rows"
    )
    decoder: bool = Field(
        False, description="also NMSE of hidden tokens by mask, and samples from noise, on test signals"
    )
    floors: list[FloorSection] = Field([FloorSection()], min_length=1)
    tune: TuneSection = TuneSection()
    workers: int = Field(1, ge=1, description="processes that share the fits")
    keep: Path = Field(Path("runs/evaluate"), description="folder of finished fits; a repeated call reads them")

    @model_validator(mode="after")
    def _encoders(self) -> EvaluateRecipe:
        if self.checkpoint is not None and self.checkpoints:
            raise ValueError("give either checkpoint, or checkpoints with a name for each")
        if not self.modes and not self.decoder:
            raise ValueError(f"modes: none is asked for; choose from {', '.join(get_args(EvaluateMode))}")
        if self.needing and not self.sources:
            raise ValueError(f"checkpoint: {self.needing[0]} needs one")
        for source in self.sources.values():
            try:
                source.format(split="", seed=0)
            except (KeyError, IndexError, ValueError):
                told = f"checkpoint: {source}: of names in braces, {{split}} and {{seed}} alone are known"
                raise ValueError(told) from None
        fixed = [mode for mode in self.modes if mode in LABELS_ALONE]
        if self.configurations and fixed:
            raise ValueError(f"configurations: {fixed[0]} takes recordings of one shape only; leave it out of modes")
        return self

    @property
    def needing(self) -> list[str]:
        """What takes something from a checkpoint."""
        return [mode for mode in self.modes if mode not in LABELS_ALONE] + ["decoder"] * self.decoder

    @property
    def sources(self) -> dict[str, str]:
        """Every checkpoint under the name of its rows; one alone by the recipe's; none if nothing needs one."""
        if not self.needing:
            return {}
        return self.checkpoints or ({} if self.checkpoint is None else {self.name: self.checkpoint})

    @property
    def folds(self) -> list[str]:
        """The splits, one unless the task is cross-validated."""
        return [self.task.split] if isinstance(self.task.split, str) else self.task.split

    @property
    def fittings(self) -> list[str]:
        """What heads are fitted to, for the test recordings that are asked for."""
        needed = {AT_HALF_RATE: ["rate-x2"], OF_ANY_SHAPE: SHAPES}
        return [AS_RECORDED, *(name for name, uses in needed.items() if set(uses) & set(self.configurations))]

    def source(self, name: str, fold: str, seed: int) -> str:
        """Where a checkpoint is."""
        return self.sources[name].format(split=fold, seed=seed)

    def part_name(self, part: str) -> str:
        """How a test part is named in result rows."""
        plain, at, configuration = part.partition(AT)
        if len(self.folds) > 1:
            plain = f"{len(self.folds)} folds"
        else:
            plain = self.folds[0] if plain == "test" else plain.removeprefix("test-")
        return plain + at + configuration


def load_recipe(path: Path, kind: type[R], overrides: Sequence[str] = ()) -> R:
    """Read a recipe, apply `extends` and `a.b=value` overrides, and check every key and type.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (names the nearest), a missing key or a wrong value.
    """
    raw = _read(path, seen=())
    for override in overrides:
        _apply(raw, override)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise RecipeError(explain(path, error, kind)) from None


def dump_recipe(recipe: Section) -> str:
    """The resolved recipe as YAML: what ran, every default spelt out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise RecipeError(f"{path}: extends itself; break the circle.")
    raw = read_mapping(path, RecipeError, "no such recipe; recipes/ holds examples to copy.")
    base = raw.pop("extends", None)
    return raw if base is None else _merge(_read(path.parent / base, (*seen, path.resolve())), raw)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merge(out[key], value) if both else value
    return out


def _apply(raw: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise RecipeError(f"override {override!r}: expected key=value with a dotted key, such as train.steps=100.")
    *parents, last = key.split(".")
    place: Any = raw
    for parent in parents:
        place = place[_index(place, parent, override)] if isinstance(place, list) else place.setdefault(parent, {})
        if not isinstance(place, dict | list):
            raise RecipeError(f"override {override!r}: {parent} is a value, not a section.")
    try:
        value = _number(yaml.safe_load(text))
    except yaml.YAMLError:
        raise RecipeError(f"override {override!r}: {text!r} is not valid YAML; quote it.") from None
    place[_index(place, last, override) if isinstance(place, list) else last] = value


def _index(items: list[Any], word: str, override: str) -> int:
    """Of an item of a list that is there."""
    if not word.isdecimal() or int(word) >= len(items):
        raise RecipeError(f"override {override!r}: {word} is no item of a list of {len(items)}; they count from 0.")
    return int(word)


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text; people who type it mean the number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
