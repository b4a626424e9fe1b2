"""RSSI baselines: an access point that was not heard is information, decided on training recordings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from foundation.adapt import fit_head
from foundation.data.images import FieldSet
from foundation.data.origins import Origin
from foundation.errors import SignalError
from foundation.evaluate.baselines import classifiers
from foundation.evaluate.baselines.classifiers import baseline
from foundation.evaluate.baselines.features import feature_rows
from foundation.models.config import DEFAULT_VIEWS
from foundation.signal import Link, Signal

SIDE_M, POINTS = 200.0, 80


def fingerprints(count: int, seed: int) -> tuple[list[Signal], np.ndarray]:
    """Scans of access points in a square hall that are heard over some 60 m, and where they were taken."""
    rng, hall = np.random.default_rng(seed), np.random.default_rng(0)
    points = hall.uniform(0, SIDE_M, (POINTS, 2))
    places = rng.uniform(0, SIDE_M, (count, 2))
    distance = np.linalg.norm(places[:, None] - points, axis=2)
    dbm = -30 - 35 * np.log10(np.maximum(distance, 1)) + rng.normal(0, 3, distance.shape)
    heard = (dbm > -92) | (distance == distance.min(axis=1, keepdims=True))
    return [
        Signal(
            values=np.where(own, level, 0)[None, :, None].astype(np.complex64),
            valid=own[None, :, None],
            time_s=np.zeros(1),
            links=tuple(Link(index, 0) for index in range(POINTS)),
            frequency_hz=np.zeros(1),
            kind="rssi",
            carrier_hz=0.0,
            is_real=True,
            session="walk",
        )
        for level, own in zip(dbm, heard, strict=True)
    ], places


def test_level_baselines_find_places_as_well_as_plain_fingerprinting() -> None:
    (train, truth), (test, places) = fingerprints(600, 1), fingerprints(100, 2)
    features = feature_rows([*train, *test], "level", train)
    plain = np.array([np.where(s.mask, s.values.real, -100.0).ravel() for s in [*train, *test]])
    nearest = np.linalg.norm(plain[600:, None] - plain[:600], axis=2).argsort(axis=1)[:, :3]
    reference = np.linalg.norm(truth[nearest].mean(axis=1) - places, axis=1).mean()
    mean_of_heard = np.log(np.array([np.where(s.mask, -s.values.real, -s.values.real[s.mask].mean()) for s in train]))
    single = features.astype(np.float32)
    with torch.no_grad():
        head = fit_head(single[:600], truth, 2, [Origin("", "", "", "walk")] * 600, 0)(
            torch.from_numpy(single[600:])
        ).numpy()
    split = features[:600], truth, features[600:], "regression"
    found = {name: baseline(*split, name, one_unit=True) for name in ("knn", "extra-trees")}
    for method, each in (found | {"kernel": head}).items():
        assert np.linalg.norm(each - places, axis=1).mean() < 1.6 * reference, method
    wrong = baseline(mean_of_heard.reshape(600, -1), truth, features[600:], "regression", "knn")
    assert np.linalg.norm(wrong - places, axis=1).mean() > 2 * reference, "what this guards against"


def test_what_was_not_heard_is_decided_on_training_signals() -> None:
    (train, _), (test, _) = fingerprints(20, 1), fingerprints(20, 2)
    weakest = min(float(s.values.real[s.mask].min()) for s in train)
    rows = feature_rows(test, "level", train)
    silent = ~np.array([s.mask.ravel() for s in test])
    np.testing.assert_allclose(rows[silent], np.log(1 - weakest))
    field = FieldSet(test, dict(DEFAULT_VIEWS), like=train).batch(np.arange(20))
    assert bool(field["measured"].all())
    np.testing.assert_allclose(field["field"].numpy()[:, :, 0, 0][silent], weakest - 1, rtol=1e-6)


def test_features_that_say_nothing_are_refused() -> None:
    with pytest.raises(SignalError, match=r"invariant features are the same for all 20 samples .* 'features: level'"):
        feature_rows(fingerprints(20, 1)[0], "invariant")


def test_a_fit_that_does_not_converge_is_said_in_words_that_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "LOGISTIC_STEPS", 1)
    x = np.random.default_rng(0).standard_normal((60, 5))
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        baseline(x, (x[:, 0] > 0).astype(np.int64), x, method="logistic")
    (one,) = raised
    assert "logistic did not converge in 1 steps" in str(one.message)
    assert "take another method" in str(one.message)
