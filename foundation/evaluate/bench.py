"""One labelled problem, loaded once: training and test samples, tokens, targets, and what each mode predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch

from foundation.adapt import fit, frozen_features, predict
from foundation.adapt.fit import Mode
from foundation.data.contents import hashes_of
from foundation.data.labelled import Target, TokenSet, label_subset
from foundation.data.manifest import Manifest
from foundation.data.stream import Part, read_part
from foundation.errors import RecipeError
from foundation.evaluate.features import hand_features
from foundation.evaluate.floors import floor
from foundation.hub.load import contents, load_encoder, provenance
from foundation.models import WfmModel
from foundation.recipe import EvaluateRecipe, TaskSection
from foundation.signal import Signal


@dataclass(frozen=True)
class Problem:
    """The samples of a task. `tests` maps the part's name to its signals."""

    target: Target
    train: list[Signal]
    tests: dict[str, list[Signal]]

    @classmethod
    def load(cls, task: TaskSection, split: str) -> Problem:
        """Read the parts of one split; samples without the label are left out.

        Raises:
            ShardError, RecipeError: no such shards, split, part or label.
        """
        parts = {part: read_part(task.shards, split, part) for part in (task.train, *task.tests)}
        target = Target.of(parts[task.train], task.label)
        kept = {part: [s for s in signals if task.label in s.labels] for part, signals in parts.items()}
        empty = [part for part, signals in kept.items() if not signals]
        if empty:
            raise RecipeError(
                f"{task.shards}: part {empty[0]!r} of split {split!r} has no sample labelled {task.label!r}."
            )
        return cls(target, kept[task.train], {part: kept[part] for part in task.tests})


def refuse_overlap(checkpoint: str, task: TaskSection, split: str, problem: Problem) -> None:
    """Stop where pretraining has seen a test session, or test samples of any name: the score would be about memory.

    Samples are compared by their exact values, see `foundation.data.contents`. Copies that were scaled, resampled or
    cut elsewhere pass; `wfm shards verify --against` finds those. Of an export without such a record sessions tell.

    Raises:
        RecipeError: names the data set, the part and the first session, or counts the samples.
    """
    build = Manifest.load(task.shards).fingerprint()
    for seen in provenance(checkpoint):
        for part, signals in problem.tests.items():
            both = sorted(set(seen["sessions"]) & {signal.session for signal in signals})
            if both and seen["fingerprint"] == build:
                raise RecipeError(
                    f"{checkpoint} was pretrained on session {both[0]!r} of {seen['name']}, which part {part!r} tests; "
                    "pretrain on the training part only, or test another part."
                )
    known = contents(checkpoint)
    if known is None:
        return
    for part in task.tests:
        hashes = hashes_of([Part(task.shards, split, part)])
        if seen_too := int(np.isin(hashes, known).sum()):
            raise RecipeError(
                f"{checkpoint} was pretrained on {seen_too} of {len(hashes)} samples of {task.shards}, part {part!r}, "
                "from shards or sessions of another name, see 'wfm shards verify --against'; pretrain without them, or "
                "test another part."
            )


class Bench:
    """A problem under one recipe and one checkpoint; features are computed when a mode first needs them."""

    def __init__(self, recipe: EvaluateRecipe, split: str) -> None:
        self.recipe = recipe
        self.problem = Problem.load(recipe.task, split)
        checkpoint = recipe.checkpoint.format(split=split)
        refuse_overlap(checkpoint, recipe.task, split, self.problem)
        self.encoder = load_encoder(checkpoint)
        self.train = TokenSet(self.problem.train, self.encoder.config)
        self.tests = {part: TokenSet(signals, self.encoder.config) for part, signals in self.problem.tests.items()}
        self.targets = self.problem.target.encode(self.problem.train)
        self._frozen: dict[int | None, dict[str | None, np.ndarray]] = {}

    @property
    def kind(self) -> str:
        return "regression" if self.problem.target.classes is None else "classification"

    def predict(self, mode: str, fraction: float, seed: int) -> dict[str, np.ndarray]:
        """Predicted class indices [n] or numbers [n, size] of every test part."""
        rows = label_subset(self.targets, fraction, seed)
        if mode in ("lora", "full", "scratch"):
            model = fit(
                self.encoder,
                self.train,
                rows,
                self.targets,
                self.problem.target,
                cast(Mode, mode),
                self.recipe.tune,
                seed,
                None if mode == "scratch" else self._features("probe", seed)[None][rows],
            )
            outputs = {part: predict(model, data) for part, data in self.tests.items()}
            return {part: o if self.kind == "regression" else o.argmax(1) for part, o in outputs.items()}
        features = self._features(mode, seed)
        tests = np.concatenate([features[part] for part in self.tests])
        found = floor(features[None][rows], self.targets[rows], tests, self.kind, self._method(mode), seed)
        ends = np.cumsum([len(data) for data in self.tests.values()])
        return dict(zip(self.tests, np.split(found, ends[:-1]), strict=True))

    def _method(self, mode: str) -> str:
        if mode == "floor":
            return self.recipe.floor_method
        if mode == "knn":
            return "knn"
        return "ridge" if self.kind == "regression" else "logistic"

    def _features(self, mode: str, seed: int) -> Mapping[str | None, np.ndarray]:
        """Features of the training samples (key None) and of each test part."""
        if mode == "floor":
            return self._hand
        key = seed if mode == "untrained" else None
        if key not in self._frozen:
            encoder = self.encoder if key is None else _untrained(self.encoder, seed)
            sets: list[tuple[str | None, TokenSet]] = [(None, self.train), *self.tests.items()]
            self._frozen[key] = {part: frozen_features(encoder, data, self.recipe.tune.pooling) for part, data in sets}
        return self._frozen[key]

    @cached_property
    def _hand(self) -> dict[str | None, np.ndarray]:
        name = self.recipe.floor_features
        sets: list[tuple[str | None, list[Signal]]] = [(None, self.problem.train), *self.problem.tests.items()]
        return {part: np.stack([hand_features(s, name) for s in signals]) for part, signals in sets}


def _untrained(encoder: WfmModel, seed: int) -> WfmModel:
    torch.manual_seed(seed)
    untrained = WfmModel(encoder.config)
    untrained.eval()
    return untrained
