"""Fit the candidates of an evaluation (baselines, probes, fine-tuning) and predict the test parts."""

from __future__ import annotations

from functools import cached_property
from typing import cast

import numpy as np

from foundation.adapt import fit, fit_stack, fit_supervised, merge_domain, predict
from foundation.adapt.fit import Mode
from foundation.adapt.select_pooling import pick_pooling
from foundation.adapt.supervised import search_supervised
from foundation.checkpoints.load import load_encoder
from foundation.config import EvaluateRecipe
from foundation.data.images import FieldSet
from foundation.data.labelled import label_subset
from foundation.data.origins import Origin, origins
from foundation.errors import RecipeError
from foundation.evaluate.baselines.adaptation import Aligner, Features
from foundation.evaluate.baselines.classifiers import baseline
from foundation.evaluate.baselines.lwm import load_lwm
from foundation.evaluate.cache import Outcome
from foundation.evaluate.frozen import Frozen, HandMade, Network, of_lwm
from foundation.evaluate.jobs import LWM, STATISTICS, SUPERVISED, Job
from foundation.evaluate.task import Problem, blocks
from foundation.evaluate.transfer import reconfigured
from foundation.machine import device_of, on_device
from foundation.models import ClosedForm, SupervisedName, WfmConfig, WfmModel
from foundation.models.config import DEFAULT_VIEWS
from foundation.transforms.unheard import some_unheard


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
        self._networks: dict[bool, tuple[str, Network]] = {}  # with the domain adapter, and without
        self._alone: dict[str, Bench] = {}  # for a test part with a domain adapter of its own
        self._hand = HandMade(self.problem, recipe.tune.augment)
        self._aligners: dict[str, Aligner] = {way: Aligner(way) for way in recipe.align}
        self._chosen: dict[tuple[str, str, float, int], tuple[str, str]] = {}

    def outcome(self, job: Job) -> Outcome:
        """Fit one job and predict every test part: class indices [n] or numbers [n, size]."""
        if job.has_domain and len({self.recipe.domain_of(self.fold, part) for part in self.recipe.task.tests}) > 1:
            return self._by_part(job)
        rows = label_subset(self.targets, job.fraction, job.seed)
        note = None
        if job.base == "baseline":
            predicted, note = self._baseline(job, rows)
        elif job.base in SUPERVISED:
            predicted, note = self._supervised(cast(SupervisedName, job.base), rows, job.seed)
        elif job.base == LWM:
            predicted, note = self._stack(self._lwm, rows, job)
        elif job.base == "knn":
            chosen, note = self._pooling(job, rows)
            predicted = self._shallow(self._network_of(job).frozen(None).features[chosen], rows, "knn", job)
        else:
            frozen = self._network_of(job).frozen(job.seed if job.base in ("untrained", "scratch") else None)
            fitted = job.base in ("lora", "full", "scratch")
            predicted, note = (self._fitted if fitted else self._stack)(frozen, rows, job)
        return Outcome({part: (self.truth[part], predicted[part], self.blocks[part]) for part in predicted}, note)

    def _by_part(self, job: Job) -> Outcome:
        """As `outcome`, with another domain adapter for every test part."""
        found = []
        for part in self.recipe.task.tests:
            if part not in self._alone:
                task = self.recipe.task.model_copy(update={"tests": [part]})
                recipe = self.recipe.model_copy(update={"task": task})
                self._alone[part] = Bench(recipe, self.fold, job.fitted)
            found.append(self._alone[part].outcome(job))
        notes = dict.fromkeys(each.pooling for each in found if each.pooling is not None)
        parts = {part: arrays for each in found for part, arrays in each.parts.items()}
        return Outcome(parts, "+".join(notes) or None)

    def _baseline(self, job: Job, rows: np.ndarray) -> tuple[dict[str, np.ndarray], str | None]:
        section = next(each for each in self.recipe.baselines if each.title == job.method)
        if section.is_stack:
            predicted, note = self._stack(self._hand.frozen(section.names), rows, job)
            return predicted, note if len(section.names) > 1 else None
        (name,) = section.names
        one_unit = not job.alignment and name == "level" and some_unheard(self.problem.train)
        return self._shallow(self._hand.features(name), rows, section.method, job, one_unit), None

    def _network_of(self, job: Job) -> Network:
        source = STATISTICS if job.base == STATISTICS else self.recipe.source(job.method, self.fold, job.seed)
        if self._networks.get(job.has_domain, ("",))[0] != source:
            encoder: WfmModel | ClosedForm = ClosedForm(WfmConfig()) if source == STATISTICS else load_encoder(source)
            domain = self.recipe.domain_of(self.fold, self.recipe.task.tests[0])
            if job.has_domain and domain is not None:
                encoder = merge_domain(cast(WfmModel, encoder), domain)
            network = Network(on_device(encoder, self.recipe.device), self.problem, self.recipe.tune)
            self._networks[job.has_domain] = source, network
        return self._networks[job.has_domain][1]

    def _shallow(
        self, features: Features, rows: np.ndarray, method: str, job: Job, one_unit: bool = False
    ) -> dict[str, np.ndarray]:
        """A scikit-learn method on frozen features, or on features aligned with each test part."""
        names, y, kind = list(self.truth), self.targets[rows], self.problem.kind
        if job.alignment:
            return {
                part: baseline(train[rows], y, test, kind, method, job.seed)
                for part, (train, test) in self._aligner(job).aligned("features", features).items()
            }
        tests = np.concatenate([features[part] for part in names])
        every = baseline(features[None][rows], y, tests, kind, method, job.seed, one_unit)
        ends = np.cumsum([len(features[part]) for part in names])
        return dict(zip(names, np.split(every, ends[:-1]), strict=True))

    def _stack(self, frozen: Frozen, rows: np.ndarray, job: Job) -> tuple[dict[str, np.ndarray], str]:
        """Predictions of the stack that every fine-tuning starts from, or of one on aligned features; and its note."""
        known, y, size = self._known(frozen, rows), self.targets[rows], self.problem.target.size
        if job.alignment:
            aligner = self._aligner(job)
            outputs, note = aligner.stack(frozen.features, known, rows, y, size, self._origins(rows), job.seed)
            return {part: self._predicted(output) for part, output in outputs.items()}, note
        stack = fit_stack(known, y, size, self._origins(rows), job.seed)
        tests = {part: {name: each[part] for name, each in frozen.features.items()} for part in self.truth}
        return {part: self._predicted(stack.predict(features)) for part, features in tests.items()}, stack.note

    def _aligner(self, job: Job) -> Aligner:
        return self._aligners[job.alignment.removeprefix("+")]

    def _known(self, frozen: Frozen, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Training features [K, n, F] of the labelled rows by name; of all rows no copy is made."""
        chosen = slice(None) if len(rows) == len(self.targets) else rows
        return {name: copies[:, chosen] for name, copies in frozen.copies.items()}

    def _fitted(self, frozen: Frozen, rows: np.ndarray, job: Job) -> tuple[dict[str, np.ndarray], str]:
        network = self._network_of(job)
        model = fit(
            cast(WfmModel, network.encoder),
            network.train,
            rows,
            self.targets,
            self.problem.target,
            cast(Mode, job.base),
            self.recipe.tune,
            job.seed,
            self._known(frozen, rows),
        )
        return {part: self._predicted(predict(model, data)) for part, data in network.tests.items()}, model.pooling

    def _supervised(
        self, name: SupervisedName, rows: np.ndarray, seed: int
    ) -> tuple[dict[str, np.ndarray], str | None]:
        train, tests = self._fields
        known, device = (self.targets, self.problem.target, self.recipe.tune), device_of(self.recipe.device)
        how, note = None, None
        if self.recipe.tune.search:
            how, note = search_supervised(name, train, rows, *known, seed, device)
        model = fit_supervised(name, train, rows, *known, seed, device, how)
        return {part: self._predicted(predict(model, data)) for part, data in tests.items()}, note

    def _origins(self, rows: np.ndarray) -> list[Origin]:
        return origins(self.problem.train[i] for i in rows)

    def _predicted(self, output: np.ndarray) -> np.ndarray:
        """Class indices [n] from logits [n, classes]; numbers as they are."""
        return output if self.problem.kind == "regression" else output.argmax(1)

    @cached_property
    def _fields(self) -> tuple[FieldSet, dict[str, FieldSet]]:
        train, views = self.problem.train, dict(DEFAULT_VIEWS)
        tests = {part: FieldSet(signals, views, like=train) for part, signals in self.problem.tests.items()}
        return FieldSet(train, views, like=train), tests

    @cached_property
    def _lwm(self) -> Frozen:
        assert self.recipe.lwm is not None
        return of_lwm(self.problem, load_lwm(self.recipe.lwm), self.recipe.tune.augment)

    def _pooling(self, job: Job, rows: np.ndarray) -> tuple[str, str]:
        """The pooling for a method that reads only one, and a note on its choice."""
        given = self.recipe.tune.pooling
        if given != "auto":
            return given, given
        copies, key = self._network_of(job).frozen(None).copies, (job.method, job.mode, job.fraction, job.seed)
        if key not in self._chosen:
            self._chosen[key] = pick_pooling(
                tuple(copies),
                lambda name: copies[name][:, rows],
                self.targets[rows],
                self.problem.target.size,
                self._origins(rows),
                job.seed,
            )
        return self._chosen[key]
