"""Classical baselines: independent of units, standardised on training rows alone, equal to published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.errors import RecipeError
from foundation.evaluate.baselines.classifiers import METHODS, baseline
from foundation.evaluate.baselines.coral import coral
from foundation.evaluate.baselines.features import hand_features


@pytest.mark.parametrize("unit", [1e-12, 1e-9, 1e9, 1e12])
@pytest.mark.parametrize(("kind", "method"), [(kind, name) for kind, names in METHODS.items() for name in names])
def test_baselines_do_not_depend_on_the_unit_of_amplitudes(kind: str, method: str, unit: float) -> None:
    rng = np.random.default_rng(0)
    x = 1 + rng.random((120, 4))
    truth = x[:, 0] if kind == "regression" else (x[:, 0] > 1.5).astype(np.int64)
    plain, scaled = (baseline(each[:80], truth[:80], each[80:], kind, method) for each in (x, unit * x))
    np.testing.assert_allclose(scaled, plain, rtol=1e-3)


@pytest.mark.parametrize("kind", METHODS)
def test_every_baseline_learns_and_standardises_on_training_rows_alone(kind: str) -> None:
    rng = np.random.default_rng(0)
    scales = np.array([1e-3, 1e3, 1.0])
    train, test = rng.standard_normal((200, 3)), rng.standard_normal((100, 3))
    for method in METHODS[kind]:
        truth = train[:, 0] if kind == "regression" else np.where(train[:, 0] > 0, "up", "down")
        expected = test[:, 0] if kind == "regression" else np.where(test[:, 0] > 0, "up", "down")
        got = baseline(train * scales, truth, test * scales, kind, method)
        if kind == "regression":
            assert np.corrcoef(got, expected)[0, 1] > 0.85, method
        else:
            assert np.mean(got == expected) > 0.8, method
        # One more test row of another scale must not move the predictions of the others.
        more = baseline(train * scales, truth, np.vstack([test * scales, 1e6 * np.ones((1, 3))]), kind, method)
        np.testing.assert_array_equal(more[:-1], got, err_msg=method)


def test_baseline_refuses_what_it_does_not_know() -> None:
    x = np.zeros((2, 1))
    with pytest.raises(RecipeError, match="no classification method 'ridge'"):
        baseline(x, np.array(["a", "b"]), x, "classification", "ridge")
    with pytest.raises(RecipeError, match="no kind 'clustering'"):
        baseline(x, np.array(["a", "b"]), x, "clustering")
    with pytest.raises(RecipeError, match="one class only"):
        baseline(x, np.array(["a", "a"]), x)


@pytest.mark.real
def test_the_stability_baseline_is_the_published_one_without_and_with_target_recordings(data_root: Path) -> None:
    features: dict[str, list[np.ndarray]] = {}
    labels: dict[str, list[str]] = {}
    for path in sorted((data_root / "stability-csi-har" / "03_WINDOWED").glob("D*/*-x.npy")):
        part = path.parent.name
        if part == "D1":
            part = "D1E" if path.name[:3] in ("e09", "e10") else "train"
        windows = np.load(path, allow_pickle=False)
        for window in windows:
            signal = make_signal(times=50, links=1, responses=56).with_(
                values=window.T[:, None, :].astype(np.complex64), valid=None, kind="csi-amplitude", is_real=True
            )
            features.setdefault(part, []).append(hand_features(signal, "invariant"))
        labels.setdefault(part, []).extend(np.load(path.with_name(path.name.replace("-x", "-y")), allow_pickle=False))
    train_x, train_y = np.stack(features.pop("train")), np.array(labels.pop("train"))
    assert len(train_x) == 404
    for part, published in {"D1E": 91.1, "D2": 68.3, "D3": 56.9, "D4": 54.1}.items():
        predicted = baseline(train_x, train_y, np.stack(features[part]), method="svm")
        assert 100 * np.mean(predicted == np.array(labels[part])) == pytest.approx(published, abs=1.5), part
    for part, published in {"D1E": 94.1, "D2": 83.7, "D3": 79.4, "D4": 73.5}.items():
        aligned, test_x = coral(train_x, np.stack(features[part]))
        predicted = baseline(aligned, train_y, test_x, method="svm")
        assert 100 * np.mean(predicted == np.array(labels[part])) == pytest.approx(published, abs=1.5), part
