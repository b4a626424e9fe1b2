"""Classical baselines: scikit-learn classifiers and regressors, and our kernel head, on hand-crafted features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from foundation.adapt import fit_head
from foundation.errors import RecipeError

METHODS = {
    "classification": ("kernel", "logistic", "svm", "extra-trees", "knn"),
    "regression": ("kernel", "ridge", "extra-trees", "knn"),
}

#: Features whose largest standard deviation is smaller are rescaled by it before the kernel head.
FAINT = 1e-3


def baseline(
    train_x: NDArray[np.float64],
    train_y: NDArray[Any],
    test_x: NDArray[np.float64],
    kind: str = "classification",
    method: str = "svm",
    seed: int = 0,
    sessions: Sequence[str] = (),
) -> NDArray[Any]:
    """Fit on the training rows and predict the test rows.

    Features are standardised with mean and standard deviation of the training rows; classes are weighted equally.

    Args:
        train_x, test_x: float64 [N, F] features.
        train_y: [N] class names or numbers, or float64 [N, K] targets of a regression (positions in metres).
        kind: "classification" or "regression".
        method: one of `METHODS[kind]`; "kernel" is the head that encoders have too, see `foundation.adapt.fit_head`.
        seed: of extra trees, and of the kernel centres, which are subsampled from thousands of rows.
        sessions: of the training rows; "kernel" cross-validates its regularisation over them.

    Returns:
        Predictions for `test_x`: [M] classes, or [M] or [M, K] numbers.

    Raises:
        RecipeError: the kind or method is not known, or the training rows hold one class only.
    """
    if kind not in METHODS:
        raise RecipeError(f"baseline: no kind {kind!r}; expected one of {', '.join(METHODS)}.")
    if method not in METHODS[kind]:
        raise RecipeError(f"baselines: no {kind} method {method!r}; expected one of {', '.join(METHODS[kind])}.")
    if kind == "classification" and len(np.unique(train_y)) < 2:
        raise RecipeError("baseline: the training rows hold one class only; a classifier needs at least two.")
    if method == "kernel":
        return _kernel(train_x, train_y, test_x, seed, sessions or ["one"] * len(train_x))
    model = make_pipeline(StandardScaler(), _estimator(kind, method, seed, len(train_x)))
    found = np.asarray(model.fit(train_x, train_y).predict(test_x))
    return found.reshape(-1, *np.shape(train_y)[1:])  # scikit-learn drops the axis of a single number


def _kernel(
    train_x: NDArray[np.float64], train_y: NDArray[Any], test_x: NDArray[np.float64], seed: int, sessions: Sequence[str]
) -> NDArray[Any]:
    # The head has an output for each class that occurs.
    names = np.unique(train_y) if train_y.dtype.kind in "iuU" else None
    targets: NDArray[Any]
    if names is None:
        targets = np.asarray(train_y, np.float32).reshape(len(train_y), -1)
        outputs = targets.shape[1]
    else:
        targets, outputs = np.asarray(np.searchsorted(names, train_y)), len(names)
    # Amplitudes in the recorder's unit may all be below the head's threshold for rounding errors.
    spread = float(train_x.std(axis=0).max())
    unit = spread if 0 < spread < FAINT else 1.0
    head = fit_head(np.asarray(train_x / unit, np.float32), targets, outputs, sessions, seed)
    with torch.no_grad():
        found: NDArray[Any] = head(torch.from_numpy(np.asarray(test_x / unit, np.float32))).numpy()
    return found.reshape(len(found), *train_y.shape[1:]) if names is None else np.asarray(names[found.argmax(1)])


def _estimator(kind: str, method: str, seed: int, rows: int) -> Any:
    neighbours = min(5, rows)
    if kind == "regression":
        return {
            "ridge": Ridge(alpha=1.0),
            "extra-trees": ExtraTreesRegressor(300, random_state=seed),
            "knn": KNeighborsRegressor(neighbours, weights="distance"),
        }[method]
    return {
        "logistic": LogisticRegression(max_iter=1000, tol=1e-3, class_weight="balanced"),
        # C=5 is the published baseline of the stability set; it was not chosen on its test recordings here.
        "svm": SVC(C=5.0, class_weight="balanced"),
        "extra-trees": ExtraTreesClassifier(300, class_weight="balanced", random_state=seed),
        "knn": KNeighborsClassifier(neighbours, weights="distance"),
    }[method]
