"""Features that stacks of kernel heads read, with augmented copies of the training samples: those of an encoder, of the
closed form in its place, of a peer, or made by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from foundation.adapt import pooled_features, training_features
from foundation.adapt.select_pooling import readable_poolings, requested_poolings
from foundation.config import TuneSection
from foundation.data.labelled import TokenSet, augmented_copies
from foundation.evaluate.baselines.adaptation import Features
from foundation.evaluate.baselines.features import feature_rows
from foundation.evaluate.baselines.lwm import Weights, lwm_features, recorded_features
from foundation.evaluate.task import Problem
from foundation.machine import on_device
from foundation.models import ClosedForm, WfmModel
from foundation.models.untrained import untrained
from foundation.signal import Signal

#: Hand-made features whose largest standard deviation is smaller are rescaled by it before the kernel head.
FAINT = 1e-3


class Frozen(NamedTuple):
    """Candidates of a stack, by the name of their pooling or of the hand-made features.

    Attributes:
        copies: of the training samples [K, n, F]; the first as recorded, the others as of another device.
        features: of the training samples (key None) and of each test part, [n, F].
    """

    copies: Mapping[str, np.ndarray]
    features: Mapping[str, Features]


class Network:
    """An encoder, or the closed form in its place, with the tokens of a problem; caches the frozen features of the
    weights that were used last."""

    def __init__(self, encoder: WfmModel | ClosedForm, problem: Problem, tune: TuneSection) -> None:
        self.encoder, self.augment = encoder, tune.augment
        self.train = TokenSet(problem.train, encoder.config)
        self.tests = {part: TokenSet(signals, encoder.config) for part, signals in problem.tests.items()}
        self._poolings = requested_poolings(tune.pooling, (s.values.shape for s in problem.signals), encoder.config)
        self._kept: tuple[int | None, Frozen] | None = None

    def frozen(self, random: int | None) -> Frozen:
        """Features of the pretrained weights, or of random weights of the seed `random`."""
        if self._kept is None or self._kept[0] != random:
            encoder: WfmModel | ClosedForm = self.encoder
            if random is None:
                poolings = readable_poolings(self._poolings, encoder)
            else:  # all are as random as one another
                poolings = self._poolings
                device = str(next(encoder.parameters()).device)
                encoder = on_device(untrained(WfmModel, encoder.config, random), device)
            copies = training_features(encoder, self.train, poolings, None, self.augment)
            tests = {part: pooled_features(encoder, data, poolings) for part, data in self.tests.items()}
            features: dict[str, Features] = {
                pooling: {None: copies[pooling][0], **{part: found[pooling] for part, found in tests.items()}}
                for pooling in poolings
            }
            self._kept = (random, Frozen(copies, features))
        return self._kept[1]


class HandMade:
    """Hand-made features of a problem; caches those that were used last."""

    def __init__(self, problem: Problem, augment: float) -> None:
        self.problem, self.augment = problem, augment
        self._plain: dict[str, Features] = {}
        self._kept: tuple[tuple[str, ...], Frozen] | None = None

    def features(self, name: str) -> Features:
        """float64 [n, F] of the training samples (key None) and of each test part."""
        return self._all([name])[name]

    def frozen(self, names: Sequence[str]) -> Frozen:
        """Single precision, with copies of the training samples, for a stack of kernel heads."""
        if self._kept is None or self._kept[0] != tuple(names):
            self._kept = tuple(names), self._with_copies(names)
        return self._kept[1]

    def _with_copies(self, names: Sequence[str]) -> Frozen:
        plain = self._all(names)
        # Amplitudes in the recorder's unit may all be below the head's threshold for rounding errors.
        spread = {name: float(features[None].std(axis=0).max()) for name, features in plain.items()}
        unit = {name: each if 0 < each < FAINT else 1.0 for name, each in spread.items()}
        # By names of their own: those of a pooling would be trusted as that pooling is.
        features: dict[str, Features] = {
            f"hand-made {name}": {part: _single(each / unit[name]) for part, each in plain[name].items()}
            for name in names
        }
        copies = {
            title: np.stack([each[None], *(_single(copy / unit[name]) for copy in self._copied(name))])
            for name, (title, each) in zip(names, features.items(), strict=True)
        }
        return Frozen(copies, features)

    def _all(self, names: Sequence[str]) -> dict[str, Features]:
        self._plain = {name: self._plain.get(name) or self._recorded(name) for name in names}
        return self._plain

    def _recorded(self, name: str) -> Features:
        problem = self.problem
        sets: list[tuple[str | None, list[Signal]]] = [(None, problem.train), *problem.tests.items()]
        ends = np.cumsum([len(signals) for _, signals in sets])
        rows = np.split(feature_rows(problem.signals, name, problem.train), ends[:-1])
        return {part: own for (part, _), own in zip(sets, rows, strict=True)}

    def _copied(self, name: str) -> Iterator[np.ndarray]:
        train = self.problem.train
        return (feature_rows(copy, name, train) for copy in augmented_copies(train, self.augment))


def of_lwm(problem: Problem, weights: Weights, augment: float) -> Frozen:
    """The tokens of LWM 1.0, pooled in two ways, with copies of the training samples."""
    train = recorded_features(weights, problem.train)
    tests = {part: recorded_features(weights, signals) for part, signals in problem.tests.items()}
    copied = [lwm_features(weights, copy) for copy in augmented_copies(problem.train, augment)]
    copies = {name: np.stack([own, *(each[name] for each in copied)]) for name, own in train.items()}
    features: dict[str, Features] = {
        name: {None: own, **{part: each[name] for part, each in tests.items()}} for name, own in train.items()
    }
    return Frozen(copies, features)


def _single(features: np.ndarray) -> np.ndarray:
    return np.asarray(features, np.float32)
