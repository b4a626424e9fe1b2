"""The recipe of `wfm evaluate`: modes, label fractions and seeds on one task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from foundation.config.section import Section
from foundation.config.tasks import TaskSection, TuneSection

#: Modes of `EvaluateRecipe` that take nothing from a checkpoint, and are run once.
LABELS_ALONE = ("baseline", "cnn", "resnet")
#: What test recordings can be subset out to, see `foundation.evaluate.transfer`; `AT` joins it to a part's name.
Configuration = Literal["rate-x0.5", "rate-x2", "half-subcarriers", "half-band", "one-antenna"]
SHAPES, AT = ("half-subcarriers", "half-band", "one-antenna"), " @ "
#: What heads are fitted to: training recordings as they are, every second packet of them, and as they are but pooled in
#: a way that recordings of any shape share.
AS_RECORDED, AT_HALF_RATE, OF_ANY_SHAPE = "as recorded", "fitted at half rate", "pooled for any shape"
EvaluateMode = Literal["baseline", "cnn", "resnet", "untrained", "probe", "knn", "lora", "full", "scratch"]


class BaselineSection(Section):
    """Hand-made features and a simple classifier or regressor on them: one row, see `foundation.evaluate.baselines.features`."""

    features: Literal["amplitude", "log-amplitude", "level", "invariant", "doppler", "delay"] = "invariant"
    method: Literal["kernel", "logistic", "svm", "extra-trees", "knn", "ridge"] = "logistic"

    @property
    def title(self) -> str:
        """Its name in result rows."""
        return f"{self.features} features, {self.method}"


class EvaluateRecipe(Section):
    """`wfm evaluate`: every mode x label fraction x seed on one task, in one table."""

    name: str
    set: str
    checkpoint: str | None = Field(
        None, description="as for finetune; {split} stands for the fold's name, {seed} for the seed"
    )
    checkpoints: dict[str, str] = Field({}, description="several in one table, each under a name of its own")
    task: TaskSection
    modes: list[EvaluateMode] = Field(["baseline", "untrained", "probe", "knn", "lora", "full", "scratch"])
    fractions: list[Annotated[float, Field(gt=0, le=1)]] = Field([0.01, 0.1, 1.0], min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0, 1, 2], min_length=1)
    configurations: list[Configuration] = Field(
        [], description="heads are also tested, as they are, on test recordings of these; see docs/guide/evaluation.md"
    )
    align: Literal["none", "coral", "self-training"] = Field(
        "none", description="baselines and frozen features also with the unlabelled test recordings, in own rows"
    )
    decoder: bool = Field(
        False, description="also NMSE of hidden tokens by mask, and samples from noise, on test signals"
    )
    baselines: list[BaselineSection] = Field([BaselineSection()], min_length=1)
    tune: TuneSection = TuneSection()
    workers: int = Field(1, ge=1, description="processes that share the fits")
    cache: Path = Field(Path("runs/evaluate"), description="folder of finished fits; a repeated call reads them")

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
            except (KeyError, IndexError, ValueError, AttributeError, TypeError):
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
