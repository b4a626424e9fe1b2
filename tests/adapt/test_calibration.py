"""Probabilities, regions and the mark of a fitted model: right on samples whose truth is known, and read as written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from foundation.adapt.calibration import FILE, Calibration, radius_of, temperature_of
from foundation.adapt.novelty import Novelty
from foundation.errors import CheckpointError

RNG = np.random.default_rng(0)


def _found(features: np.ndarray) -> dict[str, np.ndarray]:
    return {"moments": features[:, :30], "statistics": features[:, 30:]}


def _novelty(limit: float | None = 1.0) -> Novelty:
    return Novelty(torch.zeros(3), torch.eye(3)[:, :2], torch.zeros(4, 2), limit)


def _answers(count: int, too_sure: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `too_sure` times those that the classes were drawn by."""
    logits = 2 * RNG.standard_normal((count, 4))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([RNG.choice(4, p=each) for each in chances])
    return too_sure * logits, truth


def _gap(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over ten bins (expected calibration error)."""
    sure, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((10 * sure).astype(int), 9)
    return float(sum(abs(sure[bins == k].mean() - right[bins == k].mean()) * (bins == k).mean() for k in set(bins)))


@pytest.mark.parametrize("too_sure", [0.4, 5.0])
def test_probabilities_are_as_often_right_as_they_say(too_sure: float) -> None:
    fitted = Calibration.of(*_answers(1000, too_sure), _novelty())
    logits, truth = _answers(4000, too_sure)
    assert fitted.temperature == pytest.approx(too_sure, rel=0.1)
    plain = Calibration(None, None, 0, _novelty())
    assert _gap(fitted.probabilities(logits), truth) < 0.03 < 0.1 < _gap(plain.probabilities(logits), truth)


def test_a_few_right_answers_do_not_make_certainty() -> None:
    logits = 8.0 * np.eye(4)[np.arange(20) % 4]
    sure = Calibration.of(logits, np.arange(20) % 4, _novelty()).probabilities(logits).max()
    assert 0.9 < sure < 0.99


def test_a_region_holds_nine_of_ten_new_samples() -> None:
    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        truth = RNG.uniform(0, 5, (count, 2))
        return truth + RNG.standard_t(3, (count, 2)), truth

    radius = Calibration.of(*draw(500), _novelty()).radius
    predicted, truth = draw(5000)
    assert radius is not None
    assert np.mean(np.linalg.norm(predicted - truth, axis=1) <= radius) == pytest.approx(0.9, abs=0.03)


def test_the_quantile_is_that_of_a_finite_sample() -> None:
    """Of 19 distances the 18th: ceil(0.9 * 20); of 8 none is large enough."""
    assert radius_of(np.arange(1.0, 20)[:, None], np.zeros((19, 1))) == 18.0
    assert radius_of(np.arange(1.0, 9)[:, None], np.zeros((8, 1))) is None


def test_too_few_held_out_samples_give_no_temperature() -> None:
    fitted = Calibration.of(np.zeros((9, 2)), np.zeros(9, np.int64), _novelty())
    assert (fitted.temperature, fitted.held_out) == (None, 9)
    assert np.allclose(fitted.probabilities(np.zeros((1, 2))), 0.5)
    assert temperature_of(*_answers(50, 1.0)) > 0


def test_a_shifted_signal_is_far_and_a_new_room_of_the_same_kind_is_not() -> None:
    rooms = np.repeat(RNG.standard_normal((6, 40)), 30, axis=0)
    features = (rooms + 0.5 * RNG.standard_normal(rooms.shape)).astype(np.float32)
    number = np.repeat(np.arange(6), 30)
    folds = [(np.flatnonzero(number != k), np.flatnonzero(number == k)) for k in range(4)]
    novelty = Novelty.fitted(_found(features), folds, 0)
    assert novelty.limit is not None
    like, unlike = _found(features[::7] + np.float32(0.1)), _found(features[::7] + np.float32(10))
    assert np.mean(novelty.distance(like) > novelty.limit) < 0.1
    assert np.mean(novelty.distance(unlike) > novelty.limit) == 1
    assert Novelty.fitted(_found(features), [], 0).limit is None


def test_statistics_count_as_much_as_many_more_features() -> None:
    moments = RNG.standard_normal((90, 400)).astype(np.float32)
    levels = RNG.standard_normal((90, 4)).astype(np.float32)
    folds = [(np.flatnonzero(np.arange(90) % 3 != k), np.flatnonzero(np.arange(90) % 3 == k)) for k in range(3)]
    novelty = Novelty.fitted({"moments": moments, "statistics": levels}, folds, 0)
    assert novelty.limit is not None
    loud = {"moments": moments[:9], "statistics": levels[:9] + np.float32(6)}
    assert np.all(novelty.distance(loud) > novelty.limit)


def test_an_adapter_of_an_earlier_version_knows_the_first_pooling_alone() -> None:
    found = {"moments": RNG.standard_normal((5, 3)).astype(np.float32), "statistics": np.zeros((5, 2), np.float32)}
    expected = np.linalg.norm(found["moments"][:, :2], axis=1)
    assert np.allclose(_novelty().distance(found), expected)


@pytest.mark.parametrize("numbers", [(None, None, None), (1.5, None, 0.5), (None, 2.5, 0.5)])
def test_what_is_written_is_read(numbers: tuple, tmp_path: Path) -> None:
    temperature, radius, limit = numbers
    Calibration(temperature, radius, 12, _novelty(limit)).save(tmp_path)
    found = Calibration.load(tmp_path)
    assert found is not None
    assert (found.temperature, found.radius, found.held_out, found.novelty.limit) == (temperature, radius, 12, limit)
    assert torch.equal(found.novelty.project, _novelty().project)


def test_an_adapter_of_an_earlier_version_has_none(tmp_path: Path) -> None:
    assert Calibration.load(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", torch.tensor(float("nan"))),
        ("temperature", torch.tensor(0.0)),
        ("radius", torch.tensor(-1.0)),
        ("novelty.project", torch.zeros(2, 2)),
        ("novelty.samples", None),
        ("held_out", None),
        ("other", torch.tensor(1.0)),
    ],
)
def test_a_damaged_file_is_refused(name: str, value: torch.Tensor | None, tmp_path: Path) -> None:
    Calibration(1.0, None, 12, _novelty()).save(tmp_path)
    state = load_file(tmp_path / FILE) | {name: value}
    save_file({key: each for key, each in state.items() if each is not None}, tmp_path / FILE)
    with pytest.raises(CheckpointError, match=FILE):
        Calibration.load(tmp_path)
