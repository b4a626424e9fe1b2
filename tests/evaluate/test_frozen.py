"""Features that stacks read: hand-made ones have the copies of an encoder's, in any unit."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.adapt import fit_stack, pooled_features, training_features
from foundation.data.labelled import Target, TokenSet, augmented_copies
from foundation.data.origins import origins
from foundation.evaluate.baselines.features import feature_rows
from foundation.evaluate.frozen import HandMade
from foundation.evaluate.task import Problem
from foundation.models import ClosedForm, WfmConfig
from foundation.signal import Signal


def _problem(unit: float = 1.0) -> Problem:
    """Windows whose strength over the band tells their class."""
    signals = []
    for seed in range(60):
        signal = make_signal(seed, session=f"s{seed % 5}")
        slope = np.linspace(1, 3, 16) if seed % 2 else np.linspace(3, 1, 16)
        signals.append(signal.with_(values=unit * slope * signal.values))
    return Problem(Target.of(signals, "activity"), signals[:40], {"test": signals[40:]})


def test_copies_are_those_that_pass_through_an_encoder() -> None:
    problem, closed = _problem(), ClosedForm(WfmConfig())
    data = TokenSet(problem.train * 4, closed.config)  # more than are drawn with one seed
    seen = training_features(closed, data, ["statistics"], None, 0.3)["statistics"]
    copies = list(augmented_copies(data.signals, 0.3))
    assert len(copies) + 1 == len(seen) == 3
    for copy, features in zip(copies, seen[1:], strict=True):
        again = pooled_features(closed, TokenSet(copy, closed.config), ["statistics"])["statistics"]
        np.testing.assert_array_equal(again, features)
    assert not np.array_equal(seen[0], seen[1])


def test_hand_made_features_have_these_copies() -> None:
    problem = _problem()
    frozen = HandMade(problem, 0.3).frozen(["level", "doppler"])
    assert frozen.copies["hand-made level"].shape == (3, 40, 32)
    np.testing.assert_array_equal(frozen.copies["hand-made level"][0], frozen.features["hand-made level"][None])
    for copy, features in zip(augmented_copies(problem.train, 0.3), frozen.copies["hand-made level"][1:], strict=True):
        np.testing.assert_allclose(features, feature_rows(copy, "level"), rtol=1e-6)
    assert len(HandMade(problem, 0.0).frozen(["doppler"]).copies["hand-made doppler"]) == 1


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_stack_of_hand_made_features_does_not_depend_on_the_unit(unit: float) -> None:
    found = []
    for scale in (1.0, unit):
        problem = _problem(scale)
        frozen = HandMade(problem, 0.0).frozen(["amplitude", "doppler"])
        known, targets = origins(problem.train), problem.target.encode(problem.train)
        stack = fit_stack(frozen.copies, targets, 2, known, 0)
        found.append(stack.predict({name: each["test"] for name, each in frozen.features.items()}))
    np.testing.assert_allclose(*found, atol=1e-2)
    truth = problem.target.encode(problem.tests["test"])
    assert np.mean(found[0].argmax(1) == truth) > 0.9


def test_features_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(signals: list[Signal], name: str, *training: list[Signal]) -> np.ndarray:
        made.append(name)
        return feature_rows(signals, name, *training)

    monkeypatch.setattr("foundation.evaluate.frozen.feature_rows", counted)
    hand = HandMade(_problem(), 0.0)
    assert hand.features("level") is hand.features("level")
    frozen = hand.frozen(["level", "doppler"])
    assert hand.frozen(["level", "doppler"]) is frozen
    assert made == ["level", "doppler"]
