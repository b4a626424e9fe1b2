"""Fit the candidates of an evaluation (baselines, probes, fine-tuning) and predict the test parts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import cast

import numpy as np

from foundation.adapt import fit, fit_stack, fit_supervised, pooled_features, predict, training_features
from foundation.adapt.fit import Mode
from foundation.adapt.select_pooling import pick_pooling, requested_poolings
from foundation.checkpoints.load import load_encoder
from foundation.config import BaselineSection, EvaluateRecipe, TuneSection
from foundation.data.images import FieldSet
from foundation.data.labelled import TokenSet, label_subset
from foundation.errors import RecipeError
from foundation.evaluate.baselines.adaptation import Aligner, Features
from foundation.evaluate.baselines.classifiers import baseline
from foundation.evaluate.baselines.coral import standardise
from foundation.evaluate.baselines.features import feature_rows
from foundation.evaluate.cache import Outcome
from foundation.evaluate.jobs import SUPERVISED, Job
from foundation.evaluate.task import Problem, blocks
from foundation.evaluate.transfer import reconfigured
from foundation.machine import device_of, on_device
from foundation.models import SupervisedName, WfmModel
from foundation.models.config import DEFAULT_VIEWS
from foundation.models.untrained import untrained
from foundation.signal import Signal
from foundation.transforms.unheard import some_unheard


class Network:
    """An encoder with the tokens of a problem; caches the frozen features of the weights that were used last."""

    def __init__(self, encoder: WfmModel, problem: Problem, tune: TuneSection) -> None:
        self.encoder, self.augment = encoder, tune.augment
        self.train = TokenSet(problem.train, encoder.config)
        self.tests = {part: TokenSet(signals, encoder.config) for part, signals in problem.tests.items()}
        self.poolings = requested_poolings(tune.pooling, (s.values.shape for s in problem.signals), encoder.config)
        self._kept: tuple[int | None, dict[str, np.ndarray], dict[str, Features]] | None = None

    def features(self, pooling: str, random: int | None) -> Features:
        """Features of the pretrained weights, or of random weights of the seed `random`."""
        return self._all(random)[1][pooling]

    def copies(self, pooling: str, random: int | None) -> np.ndarray:
        """Training features [K, n, F] with augmented copies, see `foundation.adapt.training_features`."""
        return self._all(random)[0][pooling]

    def _all(self, random: int | None) -> tuple[dict[str, np.ndarray], dict[str, Features]]:
        if self._kept is None or self._kept[0] != random:
            encoder = self.encoder
            if random is not None:
                encoder = on_device(untrained(WfmModel, encoder.config, random), str(encoder.device))
            copies = training_features(encoder, self.train, self.poolings, None, self.augment)
            tests = {part: pooled_features(encoder, data, self.poolings) for part, data in self.tests.items()}
            features: dict[str, Features] = {
                pooling: {None: copies[pooling][0], **{part: found[pooling] for part, found in tests.items()}}
                for pooling in self.poolings
            }
            self._kept = (random, copies, features)
        return self._kept[1:]


class Bench:
    """A problem under one recipe; networks and features are computed when a job first needs them."""

    def __init__(self, recipe: EvaluateRecipe, fold: str, fitted: str) -> None:
        self.recipe, self.fold = recipe, fold
        problem = Problem.load(recipe.task, fold)
        self.problem = reconfigured(problem, fitted, recipe.configurations)
        if "self-training" in recipe.align and self.problem.kind == "regression":
            raise RecipeError(f"align: self-training needs classes, and {recipe.task.label!r} is numbers; take coral.")
        self.targets = self.problem.target.encode(self.problem.train)
        self.truth = {part: self.problem.target.encode(signals) for part, signals in self.problem.tests.items()}
        self.blocks = {part: blocks(signals, self.truth[part]) for part, signals in self.problem.tests.items()}
        self._network: tuple[str, Network] | None = None
        self._hand: tuple[str, Features] | None = None
        self._aligners: dict[str, Aligner] = {way: Aligner(way) for way in recipe.align}
        self._chosen: dict[tuple[str, float, int], tuple[str, str]] = {}

    def outcome(self, job: Job) -> Outcome:
        """Fit one job and predict every test part: class indices [n] or numbers [n, size]."""
        rows = label_subset(self.targets, job.fraction, job.seed)
        pooling = None
        if job.base == "baseline":
            predicted = self._baseline(job, rows)
        elif job.base in SUPERVISED:
            predicted = self._supervised(cast(SupervisedName, job.base), rows, job.seed)
        elif job.base == "knn":
            chosen, pooling = self._pooling(job, rows)
            predicted = self._shallow(self._network_of(job).features(chosen, None), rows, "knn", job)
        else:
            random = job.seed if job.base in ("untrained", "scratch") else None
            frozen = job.base in ("probe", "untrained")
            predicted, pooling = (self._probe if frozen else self._fitted)(job, rows, random)
        return Outcome({part: (self.truth[part], predicted[part], self.blocks[part]) for part in predicted}, pooling)

    def _baseline(self, job: Job, rows: np.ndarray) -> dict[str, np.ndarray]:
        section = next(each for each in self.recipe.baselines if each.title == job.method)
        features = self._hand_features(section)
        if not job.alignment or section.method != "kernel":
            one_unit = section.features == "level" and some_unheard(self.problem.train)
            return self._shallow(features, rows, section.method, job, one_unit)
        known = standardise(features[None])[rows].astype(np.float32)
        return self._aligned_stack({"features": features}, {"features": known}, rows, job)[0]

    def _network_of(self, job: Job) -> Network:
        source = self.recipe.source(job.method, self.fold, job.seed)
        if self._network is None or self._network[0] != source:
            encoder = on_device(load_encoder(source), self.recipe.device)
            self._network = (source, Network(encoder, self.problem, self.recipe.tune))
        return self._network[1]

    def _hand_features(self, section: BaselineSection) -> Features:
        if self._hand is None or self._hand[0] != section.features:
            sets: list[tuple[str | None, list[Signal]]] = [(None, self.problem.train), *self.problem.tests.items()]
            ends = np.cumsum([len(signals) for _, signals in sets])
            rows = np.split(feature_rows(self.problem.signals, section.features, self.problem.train), ends[:-1])
            self._hand = (section.features, {part: own for (part, _), own in zip(sets, rows, strict=True)})
        return self._hand[1]

    def _shallow(
        self, features: Features, rows: np.ndarray, method: str, job: Job, one_unit: bool = False
    ) -> dict[str, np.ndarray]:
        """A scikit-learn method on frozen features, or on features aligned with each test part."""
        names, y, kind, sessions = list(self.truth), self.targets[rows], self.problem.kind, self._sessions(rows)
        if job.alignment:
            return {
                part: baseline(train[rows], y, test, kind, method, job.seed, sessions)
                for part, (train, test) in self._aligner(job).aligned("features", features).items()
            }
        tests = np.concatenate([features[part] for part in names])
        every = baseline(features[None][rows], y, tests, kind, method, job.seed, sessions, one_unit)
        ends = np.cumsum([len(features[part]) for part in names])
        return dict(zip(names, np.split(every, ends[:-1]), strict=True))

    def _probe(self, job: Job, rows: np.ndarray, random: int | None) -> tuple[dict[str, np.ndarray], str]:
        """Predictions of the stack that every fine-tuning starts from, or of one on aligned features; and its note."""
        network, size = self._network_of(job), self.problem.target.size
        known = self._known(network, rows, random)
        if job.alignment:
            return self._aligned_stack({name: network.features(name, random) for name in known}, known, rows, job)
        stack = fit_stack(known, self.targets[rows], size, self._sessions(rows), job.seed)
        tests = {part: {name: network.features(name, random)[part] for name in known} for part in network.tests}
        return {part: self._predicted(stack.predict(features)) for part, features in tests.items()}, stack.note

    def _aligned_stack(
        self, features: Mapping[str, Features], known: Mapping[str, np.ndarray], rows: np.ndarray, job: Job
    ) -> tuple[dict[str, np.ndarray], str]:
        y, size = self.targets[rows], self.problem.target.size
        outputs, note = self._aligner(job).stack(features, known, rows, y, size, self._sessions(rows), job.seed)
        return {part: self._predicted(output) for part, output in outputs.items()}, note

    def _aligner(self, job: Job) -> Aligner:
        return self._aligners[job.alignment.removeprefix("+")]

    def _known(self, network: Network, rows: np.ndarray, random: int | None) -> dict[str, np.ndarray]:
        """Training features [K, n, F] of the labelled rows by pooling; of all rows no copy is made."""
        chosen = slice(None) if len(rows) == len(self.targets) else rows
        return {pooling: network.copies(pooling, random)[:, chosen] for pooling in network.poolings}

    def _fitted(self, job: Job, rows: np.ndarray, random: int | None) -> tuple[dict[str, np.ndarray], str]:
        network = self._network_of(job)
        model = fit(
            network.encoder,
            network.train,
            rows,
            self.targets,
            self.problem.target,
            cast(Mode, job.base),
            self.recipe.tune,
            job.seed,
            self._known(network, rows, random),
        )
        return {part: self._predicted(predict(model, data)) for part, data in network.tests.items()}, model.pooling

    def _supervised(self, name: SupervisedName, rows: np.ndarray, seed: int) -> dict[str, np.ndarray]:
        train, tests = self._fields
        known, device = (self.targets, self.problem.target, self.recipe.tune), device_of(self.recipe.device)
        model = fit_supervised(name, train, rows, *known, seed, device)
        return {part: self._predicted(predict(model, data)) for part, data in tests.items()}

    def _sessions(self, rows: np.ndarray) -> list[str]:
        return [self.problem.train[i].session for i in rows]

    def _predicted(self, output: np.ndarray) -> np.ndarray:
        """Class indices [n] from logits [n, classes]; numbers as they are."""
        return output if self.problem.kind == "regression" else output.argmax(1)

    @cached_property
    def _fields(self) -> tuple[FieldSet, dict[str, FieldSet]]:
        train, views = self.problem.train, dict(DEFAULT_VIEWS)
        tests = {part: FieldSet(signals, views, like=train) for part, signals in self.problem.tests.items()}
        return FieldSet(train, views, like=train), tests

    def _pooling(self, job: Job, rows: np.ndarray) -> tuple[str, str]:
        """The pooling for a method that reads only one, and a note on its choice."""
        given = self.recipe.tune.pooling
        if given != "auto":
            return given, given
        network, key = self._network_of(job), (job.method, job.fraction, job.seed)
        if key not in self._chosen:
            self._chosen[key] = pick_pooling(
                network.poolings,
                lambda name: network.copies(name, None)[:, rows],
                self.targets[rows],
                self.problem.target.size,
                self._sessions(rows),
                job.seed,
            )
        return self._chosen[key]
