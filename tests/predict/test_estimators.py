"""The estimators in scikit-learn: its own checks, searches, folds and pipelines, on arrays and on signals."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import foundation
from foundation import WirelessClassifier, WirelessEmbedder, WirelessRegressor
from foundation.data.shards.corpus import read_part
from foundation.errors import CheckpointError, RecipeError, SignalError
from foundation.signal import Signal


@pytest.fixture(scope="module")
def base(trained: Path) -> str:
    return str(trained / "model")


@pytest.fixture(scope="module")
def signals(shards_dir: Path) -> list[Signal]:
    return read_part(shards_dir, "room", "train")[::4][:40]


@pytest.fixture(scope="module")
def activity_of(signals: list[Signal]) -> np.ndarray:
    return np.array([str(each.labels["activity"]) for each in signals])


#: Checks of scikit-learn that may fail, and why.
ROUNDING = "what is computed of a window in single precision depends on its batch in the last digits"
MAY_FAIL = dict.fromkeys(("check_methods_subset_invariance", "check_methods_sample_order_invariance"), ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [WirelessClassifier, WirelessRegressor, WirelessEmbedder])
def test_scikit_learn_finds_nothing_to_object_to(estimator: type, base: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(estimator(base, pooling="moments"), expected_failed_checks=MAY_FAIL, on_skip=None)


def test_a_classifier_takes_signals_and_its_probabilities_are_calibrated(
    base: str, signals: list[Signal], activity_of: np.ndarray
) -> None:
    fitted = WirelessClassifier(base, pooling="moments").fit(signals, activity_of)
    chances = fitted.predict_proba(signals)
    assert list(fitted.classes_) == sorted(set(activity_of))
    assert np.array_equal(fitted.classes_[chances.argmax(1)], fitted.predict(signals))
    assert np.allclose(chances.sum(1), 1, atol=1e-5)
    assert fitted.calibration_.temperature is not None
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(signals), chances)
    with pytest.raises(SignalError, match="is csi-amplitude, and the head was fitted to csi"):
        fitted.predict([signals[0].with_(values=np.abs(signals[0].values), kind="csi-amplitude", clean=None)])


def test_searches_folds_and_pipelines(base: str, signals: list[Signal], activity_of: np.ndarray) -> None:
    groups = np.arange(len(signals)) % 3
    search = GridSearchCV(
        WirelessClassifier(base), {"pooling": ["moments", "context"]}, cv=GroupKFold(3), error_score="raise"
    )
    search.fit(signals, activity_of, groups=groups)
    assert search.best_params_["pooling"] in ("moments", "context")
    steps = make_pipeline(WirelessEmbedder(base), StandardScaler(), LogisticRegression())
    assert cross_val_score(steps, signals, activity_of, cv=GroupKFold(3), groups=groups).shape == (3,)
    assert cross_val_predict(clone(search.best_estimator_), signals, activity_of, cv=3).shape == (40,)


def test_an_embedder_gives_what_a_model_embeds(base: str, signals: list[Signal]) -> None:
    embedder = WirelessEmbedder(base, pooling="moments+context")
    found = embedder.fit_transform(signals)
    assert np.array_equal(found, foundation.load(base).embed(signals, "moments+context"))
    assert len(embedder.get_feature_names_out()) == found.shape[1]


def test_a_regressor_gives_positions(base: str, shards_dir: Path) -> None:
    placed = [each for each in read_part(shards_dir, "room", "train") if "position" in each.labels][:60]
    places = np.array([each.labels["position"] for each in placed])
    fitted = WirelessRegressor(base, pooling="moments").fit(placed, places)
    assert fitted.predict(placed).shape == places.shape
    assert fitted.score(placed, places) > 0.2
    assert fitted.calibration_.radius is not None
    assert WirelessRegressor(base, pooling="moments").fit(placed, places[:, 0]).predict(placed).shape == (60,)


def test_lora_is_saved_as_an_adapter(base: str, signals: list[Signal], activity_of: np.ndarray, tmp_path: Path) -> None:
    fitted = WirelessClassifier(base, lora=True, steps=2, pooling="moments").fit(signals, activity_of)
    fitted.save(tmp_path / "adapter")
    loaded = foundation.load(adapter=tmp_path / "adapter")
    assert [one.label for one in loaded.predict(signals)] == list(fitted.predict(signals))
    with pytest.raises(CheckpointError, match="only a model fitted with mode 'lora'"):
        WirelessClassifier(base, pooling="moments").fit(signals, activity_of).save(tmp_path / "probe")


@pytest.mark.parametrize(
    ("shape", "given"),
    [((9, 16), {}), ((9, 16, 6), {"kind": "csi"}), ((9, 16, 2, 6), {"kind": "csi", "bandwidth_hz": 20e6})],
)
def test_arrays_of_any_axes(base: str, shape: tuple[int, ...], given: dict[str, object]) -> None:
    rng = np.random.default_rng(0)
    values = np.abs(rng.standard_normal(shape)) + (1j * rng.standard_normal(shape) if given else 0)
    fitted = WirelessClassifier(base, pooling="moments", **given).fit(values, np.arange(9) % 3)  # type: ignore[arg-type]
    assert fitted.predict(values).shape == (9,)
    with pytest.raises((SignalError, ValueError), match="X has"):
        fitted.predict(values[:, :8])


def test_mistakes_are_one_sentence(base: str, signals: list[Signal], activity_of: np.ndarray) -> None:
    x, y = np.ones((6, 8)), np.arange(6) % 2
    for wrong, error, text in [
        ({"kind": "wifi"}, SignalError, "kind is 'wifi'; expected one of csi, "),
        ({"sample_rate_hz": 0.0}, SignalError, "sample_rate_hz is 0.0; expected a number above 0"),
        ({"kind": "cir"}, SignalError, "give bandwidth_hz"),
        ({"steps": 0}, RecipeError, "steps is 0: Input should be greater than"),
        ({"pooling": "mean"}, RecipeError, "pooling is 'mean'"),
    ]:
        with pytest.raises(error, match=text):
            WirelessClassifier(base, **wrong).fit(x, y)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Negative values in data passed to WirelessClassifier"):
        WirelessClassifier(base).fit(-x, y)
    with pytest.raises(SignalError, match="begins with a Signal and holds int too"):
        WirelessClassifier(base).fit([*signals, 3], np.arange(41) % 2)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        WirelessClassifier(base).fit(signals, activity_of[:-1])


def test_mapie_makes_prediction_sets(base: str) -> None:
    mapie = pytest.importorskip("mapie.classification", reason="mapie, of the extra dev, is not installed")
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = np.abs(1 + np.sin(np.arange(64) * (0.2 + 0.3 * y[:, None])) + 0.3 * rng.standard_normal((90, 64)))
    fitted = WirelessClassifier(base).fit(x[:45], y[:45])
    sets = mapie.SplitConformalClassifier(fitted, confidence_level=0.9, prefit=True).conformalize(x[45:75], y[45:75])
    predicted, inside = sets.predict_set(x[75:])
    assert predicted.shape == (15,)
    assert inside[np.arange(15), y[75:], 0].mean() > 0.6
