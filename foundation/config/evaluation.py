"""The recipe of `wfm evaluate`: modes, label fractions and seeds on one task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from foundation.config.section import Section
from foundation.config.tasks import TaskSection, TuneSection
from foundation.config.values import (
    Device,
    FilePath,
    Name,
    Seed,
    Share,
    Threads,
)

#: Modes that use no checkpoint and are run once.
LABELS_ALONE = ("baseline", "statistics", "cnn", "resnet", "lwm-1.0")
#: Other measurement configurations that test recordings are subsampled to, see `foundation.evaluate.transfer`; `AT`
#: joins one to a part's name in the rows.
Configuration = Literal["rate-x0.5", "rate-x2", "half-subcarriers", "half-band", "one-antenna"]
SHAPES, AT = ("half-subcarriers", "half-band", "one-antenna"), " @ "
#: What heads are fitted to: training recordings as they are, every second packet of them, and as they are but with a
#: pooling whose features have the same size for any number of links and responses.
AS_RECORDED, AT_HALF_RATE, OF_ANY_SHAPE = "as recorded", "fitted at half rate", "pooled for any shape"
EvaluateMode = Literal[
    "baseline", "statistics", "cnn", "resnet", "lwm-1.0", "untrained", "probe", "knn", "lora", "full", "scratch"
]
Feature = Literal["amplitude", "log-amplitude", "level", "invariant", "doppler", "delay", "cumulants", "array", "angle"]


def _listed(value: Any) -> Any:
    """`align: coral` is a list of one, `align: none` an empty list."""
    if not isinstance(value, str):
        return value
    return [] if value == "none" else [value]


class BaselineSection(Section):
    """Hand-made features with a classifier or regressor: one row, see `foundation.evaluate.baselines.features`."""

    features: Feature | list[Feature] = Field(
        "invariant",
        description="feature vector of a sample, or several for a stack; invariant: unchanged by gain and slow drift; "
        "delay: impulse responses; cumulants: IQ samples; array, angle: channels of a line of antennas",
    )
    method: Literal["kernel", "stack", "logistic", "svm", "extra-trees", "knn", "ridge"] = Field(
        "logistic",
        description="classifier or regressor; kernel and stack are the heads that also read encoder features, with the "
        "same copies (tune.augment): kernel of one feature vector, stack of several",
    )

    @property
    def title(self) -> str:
        """Its name in result rows."""
        return f"{' + '.join(self.names)} features, {self.method}"

    @property
    def names(self) -> list[Feature]:
        """The feature vectors."""
        return [self.features] if isinstance(self.features, str) else self.features

    @property
    def is_stack(self) -> bool:
        """Whether it has the heads of an encoder's features."""
        return self.method in ("kernel", "stack")

    @model_validator(mode="after")
    def _one_or_several(self) -> BaselineSection:
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError("features: name at least one, and none twice")
        if self.method != "stack" and len(self.names) > 1:
            raise ValueError(f"features: method {self.method} takes one; take method stack for several")
        return self


def _check_braces(key: str, value: str, *names: str) -> None:
    try:
        value.format(**dict.fromkeys(names, ""))
    except (KeyError, IndexError, ValueError, AttributeError, TypeError):
        known = " and ".join(f"{{{name}}}" for name in names)
        raise ValueError(f"{key}: {value}: only {known} are known in braces") from None


class EvaluateRecipe(Section):
    """`wfm evaluate`: every mode x label fraction x seed on one task, in one table."""

    command: ClassVar[str] = "wfm evaluate --config"

    name: Name = Field(description="name of the checkpoint in the tables, where only one is given")
    set: Name = Field(description="name of the data set in the tables")
    checkpoint: str | None = Field(
        None,
        description="exported folder, training checkpoint (.ckpt), org/name on the Hub, or wfm-small; {split} stands "
        "for the fold's name, {seed} for the seed",
    )
    checkpoints: dict[Name, str] = Field(
        {}, description="several checkpoints in one table: name in the rows -> checkpoint"
    )
    domain: str | None = Field(
        None,
        description="folder of 'wfm adapt': probe, knn, lora and full are also fitted to the encoder with this domain "
        "adapter, in rows of their own; {split} stands for the fold's name, {part} for that of the test part",
    )
    task: TaskSection = Field(description="the labelled problem")
    modes: list[EvaluateMode] = Field(
        ["baseline", "statistics", "untrained", "probe", "knn", "lora", "full", "scratch"],
        description="rows of the table. Labels alone: baseline (hand-made features), statistics (closed form, what an "
        "encoder is trained to predict), cnn, resnet. Frozen peer on channels: lwm-1.0. Frozen encoder: probe (kernel "
        "heads), knn, untrained (the probe on random weights). Fitted encoder: lora, full, scratch",
    )
    fractions: list[Share] = Field(
        [0.01, 0.1, 1.0], min_length=1, description="shares of the training labels, each above 0 and at most 1"
    )
    seeds: list[Seed] = Field(
        [0, 1, 2], min_length=1, description="of the label subsets and the fits; every one is a fit of its own"
    )
    configurations: list[Configuration] = Field(
        [],
        description="also test heads, as fitted, on recordings of another configuration, made by subsampling: half "
        "the sampling rate, twice the rate they were fitted at, every second subcarrier, half of the band, one "
        "antenna; see docs/guide/evaluation.md",
    )
    align: Annotated[list[Literal["coral", "self-training"]], BeforeValidator(_listed)] = Field(
        [],
        description="also adapt baselines and frozen features to the unlabelled test recordings, in rows of their own: "
        "coral, self-training or a list of both; none: neither",
    )
    decoder: bool = Field(
        False, description="also score the decoder on test signals: NMSE of masked tokens by mask, samples from noise"
    )
    baselines: list[BaselineSection] = Field(
        [BaselineSection()], min_length=1, description="rows of mode baseline; paired tests take the first"
    )
    tune: TuneSection = Field(TuneSection(), description="how encoders and heads are fitted")
    lwm: FilePath | None = Field(
        None, description="model.safetensors of LWM 1.0, for mode lwm-1.0; see foundation/evaluate/baselines/lwm.py"
    )
    workers: int = Field(1, ge=1, le=4096, description="processes that share the fits")
    device: Device = Field("auto", description="auto, cpu, cuda, cuda:1 or mps; auto: the first GPU, else the CPU")
    threads: Threads | None = Field(
        None, description="CPU threads with workers=1; null: OMP_NUM_THREADS, else as many as cores are free"
    )
    cache: FilePath = Field(Path("runs/evaluate"), description="folder of finished fits; a repeated call reads them")

    @model_validator(mode="after")
    def _encoders(self) -> EvaluateRecipe:
        if self.checkpoint is not None and self.checkpoints:
            raise ValueError("give either checkpoint, or checkpoints with a name for each")
        if not self.modes and not self.decoder:
            raise ValueError(f"modes: none is given; choose from {', '.join(get_args(EvaluateMode))}")
        if "lwm-1.0" in self.modes and self.lwm is None:
            raise ValueError("lwm: mode lwm-1.0 needs the file of its weights, model.safetensors")
        if self.needing and not self.sources:
            raise ValueError(f"checkpoint: {self.needing[0]} needs one")
        for source in self.sources.values():
            _check_braces("checkpoint", source, "split", "seed")
        if self.domain is not None:
            _check_braces("domain", self.domain, "split", "part")
            if len(self.sources) > 1:
                raise ValueError("domain: a domain adapter belongs to one checkpoint; give checkpoint alone")
        fixed = [mode for mode in self.modes if mode in LABELS_ALONE and mode != "statistics"]
        if self.configurations and fixed:
            raise ValueError(
                f"configurations: mode {fixed[0]} takes recordings of one shape only; remove it from modes"
            )
        return self

    @property
    def needing(self) -> list[str]:
        """Modes that use a checkpoint, and `decoder` if it is scored."""
        return [mode for mode in self.modes if mode not in LABELS_ALONE] + ["decoder"] * self.decoder

    @property
    def uses_gpu(self) -> bool:
        """Whether a GPU has work, where there is one: hand-made features are computed on the CPU."""
        return self.device != "cpu" and (self.decoder or self.modes != ["baseline"])

    @property
    def sources(self) -> dict[str, str]:
        """Name in the rows -> checkpoint; a single one is named after the recipe, and none is needed by baselines."""
        if not self.needing:
            return {}
        return self.checkpoints or ({} if self.checkpoint is None else {self.name: self.checkpoint})

    @property
    def folds(self) -> list[str]:
        """The splits, one unless the task is cross-validated."""
        return [self.task.split] if isinstance(self.task.split, str) else self.task.split

    @property
    def fittings(self) -> list[str]:
        """What heads are fitted to, as the test configurations need it."""
        needed = {AT_HALF_RATE: ["rate-x2"], OF_ANY_SHAPE: SHAPES}
        return [AS_RECORDED, *(name for name, uses in needed.items() if set(uses) & set(self.configurations))]

    def source(self, name: str, fold: str, seed: int) -> str:
        """Path or name of a checkpoint for one fold and seed."""
        return self.sources[name].format(split=fold, seed=seed)

    def domain_of(self, fold: str, part: str) -> Path | None:
        """Folder of the domain adapter for a test part of one fold."""
        return None if self.domain is None else Path(self.domain.format(split=fold, part=part)).expanduser()

    def part_name(self, part: str) -> str:
        """Name of a test part in result rows."""
        plain, at, configuration = part.partition(AT)
        if len(self.folds) > 1:
            plain = f"{len(self.folds)} folds"
        else:
            plain = self.folds[0] if plain == "test" else plain.removeprefix("test-")
        return plain + at + configuration
