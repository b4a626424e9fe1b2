"""Classical baselines: scikit-learn classifiers and regressors on hand-crafted features."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from foundation.errors import RecipeError

METHODS = {
    "classification": ("logistic", "svm", "extra-trees", "knn"),
    "regression": ("ridge", "extra-trees", "knn"),
}
LOGISTIC_STEPS = 1000


def baseline(
    train_x: NDArray[np.float64],
    train_y: NDArray[Any],
    test_x: NDArray[np.float64],
    kind: str = "classification",
    method: str = "svm",
    seed: int = 0,
    one_unit: bool = False,
) -> NDArray[Any]:
    """Fit on the training rows and predict the test rows.

    Features are standardised with mean and standard deviation of the training rows; classes are weighted equally.

    Args:
        train_x, test_x: float64 [N, F] features.
        train_y: [N] class names or numbers, or float64 [N, K] targets of a regression (positions in metres).
        kind: "classification" or "regression".
        method: one of `METHODS[kind]`.
        seed: of extra trees.
        one_unit: scale all features alike, as levels of which some were not heard: an access point that is rarely
            heard would otherwise count most (library of 620 access points, k-NN, up to 25 months later: 2.3 to 3.1 m
            against 2.5 to 3.3).

    Returns:
        Predictions for `test_x`: [M] classes, or [M] or [M, K] numbers.

    Raises:
        RecipeError: the kind or method is not known, or the training rows hold one class only.
    """
    if kind not in METHODS:
        raise RecipeError(f"baseline: no kind {kind!r}; expected one of {', '.join(METHODS)}.")
    if method not in METHODS[kind]:
        known = ", ".join(("kernel", "stack", *METHODS[kind]))
        raise RecipeError(f"baselines: no {kind} method {method!r}; expected one of {known}.")
    if kind == "classification" and len(np.unique(train_y)) < 2:
        raise RecipeError("baseline: the training rows hold one class only; a classifier needs at least two.")
    if one_unit:
        scale = float(train_x.std()) or 1.0
        train_x, test_x = train_x / scale, test_x / scale
    model = make_pipeline(StandardScaler(with_std=not one_unit), _estimator(kind, method, seed, len(train_x)))
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        found = np.asarray(model.fit(train_x, train_y).predict(test_x))
    _repeat(raised, method)
    return found.reshape(-1, *np.shape(train_y)[1:])  # scikit-learn drops the axis of a single number


def _repeat(raised: Sequence[warnings.WarningMessage], method: str) -> None:
    """Warn again of what scikit-learn warned of: of fits that did not converge in words that say what to do."""
    if any(issubclass(each.category, ConvergenceWarning) for each in raised):
        warnings.warn(
            f"baselines: {method} did not converge in {LOGISTIC_STEPS:,} steps, so its rows may be too low; take "
            "another method, such as svm or kernel.",
            stacklevel=3,
        )
    for each in raised:
        if not issubclass(each.category, ConvergenceWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def _estimator(kind: str, method: str, seed: int, rows: int) -> Any:
    neighbours = min(5, rows)
    if kind == "regression":
        return {
            "ridge": Ridge(alpha=1.0),
            "extra-trees": ExtraTreesRegressor(300, random_state=seed),
            "knn": KNeighborsRegressor(neighbours, weights="distance"),
        }[method]
    return {
        "logistic": LogisticRegression(max_iter=LOGISTIC_STEPS, tol=1e-3, class_weight="balanced"),
        # C=5 is the published baseline of the stability set; it was not chosen on its test recordings here.
        "svm": SVC(C=5.0, class_weight="balanced"),
        "extra-trees": ExtraTreesClassifier(300, class_weight="balanced", random_state=seed),
        "knn": KNeighborsClassifier(neighbours, weights="distance"),
    }[method]
