"""Supervised baseline networks: they learn, never read invalid entries, and take any axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.signals import make_signal

from foundation.adapt import fit_supervised, predict, supervised
from foundation.adapt.supervised import Configuration, search_supervised
from foundation.config import TuneSection
from foundation.data.images import FieldSet
from foundation.data.labelled import Target
from foundation.errors import RecipeError
from foundation.models import SupervisedNetwork
from foundation.models.config import DEFAULT_VIEWS
from foundation.signal import Signal


def _moving(count: int) -> list[Signal]:
    """Windows of two kinds: one fades in its first half, one in its second."""
    signals = []
    for seed in range(count):
        signal = make_signal(seed)
        fade = np.ones((32, 1, 1))
        fade[slice(0, 16) if seed % 2 else slice(16, 32)] = 0.3
        signals.append(signal.with_(values=signal.values * fade))
    return signals


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_supervised_networks_learn_and_never_read_what_is_invalid(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foundation.adapt.supervised.STEPS", 100)  # these windows are easily told apart
    signals = _moving(48)
    target = Target.of(signals, "activity")
    data = FieldSet(signals, dict(DEFAULT_VIEWS), like=signals)
    targets = target.encode(signals)
    tune = TuneSection(steps=40, batch_size=16, full_learning_rate=2e-3)
    model = fit_supervised(name, data, np.arange(32), targets, target, tune, 0)
    assert np.mean(predict(model, data)[32:].argmax(1) == targets[32:]) > 0.85
    again = fit_supervised(name, data, np.arange(32), targets, target, tune, 0)
    np.testing.assert_array_equal(predict(again, data), predict(model, data))
    valid = np.ones((32, 2, 16), bool)
    valid[3:7] = False
    gone = [s.with_(values=np.where(valid, s.values, value), valid=valid) for s in signals[:2] for value in (0, 1e6)]
    answers = predict(model, FieldSet(gone, dict(DEFAULT_VIEWS), like=signals))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)


def test_supervised_networks_take_steps_enough_from_few_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = _moving(4)
    target, taken = Target.of(signals, "activity"), []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *args: (taken.append(1), step(self, *args)))
    data = FieldSet(signals, dict(DEFAULT_VIEWS), like=signals)
    fit_supervised("cnn", data, np.arange(4), target.encode(signals), target, TuneSection(steps=2, max_epochs=3), 0)
    assert len(taken) == 300, "three epochs of four samples are one"


def test_a_search_takes_what_holds_in_sessions_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "STEPS", 40)
    monkeypatch.setattr(supervised, "RATES", (1e-9, 3e-3, 1e38))  # learns nothing, learns, diverges
    monkeypatch.setattr(supervised, "STEP_FACTORS", (1,))
    signals = [each.with_(session=f"s{k % 8 // 2}") for k, each in enumerate(_moving(48))]
    target = Target.of(signals, "activity")
    data, targets = FieldSet(signals, dict(DEFAULT_VIEWS), like=signals), target.encode(signals)
    tune = TuneSection(steps=2, batch_size=16, search=3)
    how, note = search_supervised("cnn", data, np.arange(48), targets, target, tune, 0)
    assert how == (3e-3, 40, supervised.AUGMENT)
    assert note == "rate 0.003, 40 steps, augment 0.15"
    few, note = search_supervised("cnn", data, np.arange(2), targets, target, tune, 0)
    assert few == Configuration.of(tune)
    assert note.endswith("too few labels to choose by")


def test_numbers_are_searched_by_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "STEPS", 30)
    monkeypatch.setattr(supervised, "RATES", (1e-9, 3e-3))
    monkeypatch.setattr(supervised, "STEP_FACTORS", (1,))
    signals = [each.with_(labels={"place": [float(k % 2), 0.0]}) for k, each in enumerate(_moving(24))]
    target = Target.of(signals, "place")
    data = FieldSet(signals, dict(DEFAULT_VIEWS), like=signals)
    tune = TuneSection(steps=2, batch_size=16, search=2)
    how, _ = search_supervised("cnn", data, np.arange(24), target.encode(signals), target, tune, 0)
    assert how.rate == 3e-3


@pytest.mark.parametrize("shape", [(6, 1, 1), (1, 1, 160), (32, 60, 32), (3, 700, 2), (2, 50, 56)])
@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_supervised_networks_take_any_axes(name: Any, shape: tuple[int, int, int]) -> None:
    model = SupervisedNetwork(name, shape, outputs=5, dropout=0.0).eval()
    assert model(torch.randn(2, *shape), torch.ones(2, *shape, dtype=torch.bool)).shape == (2, 5)


def test_the_resnet_is_as_large_as_published() -> None:
    model = SupervisedNetwork("resnet", (3, 32, 32), outputs=10, dropout=0.0)
    body = sum(p.numel() for p in model.encoder.parameters())
    assert body + 64 * 10 + 10 == pytest.approx(0.27e6, rel=0.02)


def test_windows_of_another_shape_are_brought_together_in_time_alone() -> None:
    views, train = dict(DEFAULT_VIEWS), [make_signal(times=32)]
    long, short = make_signal(times=40), make_signal(times=20)
    batch = FieldSet([long, short], views, like=train).batch(np.arange(2))
    assert batch["field"].shape == batch["measured"].shape == (2, 2, 32, 16)
    assert batch["measured"].sum((1, 2, 3)).tolist() == [2 * 32 * 16, 2 * 20 * 16]
    complex_views = views | {"csi": "field"}
    assert FieldSet(train, complex_views, like=train).batch(np.arange(1))["field"].shape == (1, 4, 32, 16)
    with pytest.raises(RecipeError, match="2 links x 16 real responses, session 'session-0' 3 links x 16"):
        FieldSet([make_signal(links=3)], views, like=train)
