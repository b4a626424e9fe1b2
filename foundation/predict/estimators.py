"""scikit-learn estimators on a pretrained encoder: for `GridSearchCV`, `GroupKFold`, pipelines and what is built on it.

Their parameters are plain names. X is a list of `Signal`s, or an array whose axes the parameters describe, see
`foundation.predict.arrays.Axes`: a plain 2-D array is a batch of amplitudes over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
from pydantic import ValidationError
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d, validate_data

from foundation.adapt import fit_calibrated, predict, save_adapter
from foundation.adapt.adapter_files import weights_hash
from foundation.checkpoints.load import load_encoder
from foundation.config import TuneSection
from foundation.data.labelled import Target, TokenSet
from foundation.data.seen import Seen
from foundation.errors import RecipeError, SignalError
from foundation.machine import on_device
from foundation.models import WfmModel
from foundation.predict.arrays import POSITIVE, REAL, Axes, are_signals
from foundation.predict.model import DEFAULT, Model
from foundation.signal import Signal

_TUNE = TuneSection()
Mode = Literal["lora", "probe"]


@lru_cache(maxsize=2)
def _encoder(base: str, device: str) -> WfmModel:
    """Loaded once for all fits of a search; no fit changes it."""
    return on_device(load_encoder(base), device)


class _Wireless(BaseEstimator):
    """What the estimators share: parameters of the encoder and of arrays, and signals from X."""

    def __init__(
        self,
        base: str = DEFAULT,
        *,
        kind: str = "csi-amplitude",
        sample_rate_hz: float = 100.0,
        carrier_hz: float = 0.0,
        bandwidth_hz: float = 0.0,
        device: str = "auto",
    ) -> None:
        self.base, self.device = base, device
        self.kind, self.sample_rate_hz = kind, sample_rate_hz
        self.carrier_hz, self.bandwidth_hz = carrier_hz, bandwidth_hz

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = self.kind in POSITIVE
        return tags

    def _signals(self, X: Any, *, reset: bool) -> list[Signal]:  # noqa: N803
        """X as signals; remembers, or compares with, the shape of an array.

        Raises:
            SignalError, ValueError: it is neither, has another shape than in `fit`, or values that its kind cannot
                have.
        """
        if are_signals(X):
            if other := next((each for each in X if not isinstance(each, Signal)), None):
                raise SignalError(f"X begins with a Signal and holds {type(other).__name__} too; give Signals alone.")
            return list(X)
        values = np.asarray(X) if not hasattr(X, "dtype") and not hasattr(X, "toarray") else X
        if np.iscomplexobj(values) and self.kind not in REAL:
            validate_data(self, np.abs(values), reset=reset, allow_nd=True)
        else:
            values = validate_data(self, X, reset=reset, allow_nd=True, dtype=[np.float64, np.float32])
        if reset:
            self.sample_shape_ = values.shape[1:]
        elif values.shape[1:] != self.sample_shape_:
            raise SignalError(f"X has samples of {values.shape[1:]}, and those of fit had {self.sample_shape_}.")
        if self.kind in POSITIVE and values.min() < 0:
            raise ValueError(  # scikit-learn looks for its own words
                f"Negative values in data passed to {type(self).__name__}: an amplitude is 0 at least; set kind='iq' "
                "for a field that has a sign."
            )
        axes = Axes(self.kind, self.sample_rate_hz, self.carrier_hz, self.bandwidth_hz)
        return axes.signals(values)


class WirelessEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Wireless):
    """Features of the frozen encoder, float32 [n, F], for the estimators of others.

    Args:
        base: a released name such as "wfm-small", an exported folder, or an org/name on the Hub.
        pooling: as of `Model.embed`; "moments" is of signals of any shape.
        kind, sample_rate_hz, carrier_hz, bandwidth_hz: of arrays; a Signal has its own.
        device: auto, cpu, cuda, cuda:1 or mps.
    """

    def __init__(
        self,
        base: str = DEFAULT,
        *,
        pooling: str = "moments",
        kind: str = "csi-amplitude",
        sample_rate_hz: float = 100.0,
        carrier_hz: float = 0.0,
        bandwidth_hz: float = 0.0,
        device: str = "auto",
    ) -> None:
        super().__init__(
            base,
            kind=kind,
            sample_rate_hz=sample_rate_hz,
            carrier_hz=carrier_hz,
            bandwidth_hz=bandwidth_hz,
            device=device,
        )
        self.pooling = pooling

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # which every X becomes
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Load the encoder; nothing is fitted."""
        first = self._signals(X, reset=True)[:1]
        self.model_ = Model(_encoder(self.base, self.device))
        self._n_features_out = self.model_.embed(first, self.pooling).shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """One row per signal, which is not cut."""
        check_is_fitted(self)
        return self.model_.embed(self._signals(X, reset=False), self.pooling)


class _Fitted(_Wireless):
    """What classifier and regressor share: a head on the frozen encoder, or LoRA and a head, both calibrated.

    Args:
        base: a released name such as "wfm-small", an exported folder, or an org/name on the Hub.
        lora: adapt the encoder too, in `steps` optimizer steps; False: a head on its frozen features, in seconds.
        pooling: as `tune.pooling` of recipes; "auto": a stack of all, weighted on held-out sessions.
        steps, learning_rate, rank: of LoRA.
        augment: standard deviation of a random device response on training samples, in nepers.
        kind, sample_rate_hz, carrier_hz, bandwidth_hz: of arrays; a Signal has its own.
        device: auto, cpu, cuda, cuda:1 or mps.
        random_state: of the fit.

    Attributes:
        adapted_: the fitted encoder and head (`foundation.models.TaskModel`).
        calibration_: how sure they are, `foundation.adapt.Calibration`.
        target_: what is predicted.
    """

    def __init__(
        self,
        base: str = DEFAULT,
        *,
        lora: bool = False,
        pooling: str = _TUNE.pooling,
        steps: int = _TUNE.steps,
        learning_rate: float = _TUNE.learning_rate,
        rank: int = _TUNE.lora_rank,
        augment: float = _TUNE.augment,
        kind: str = "csi-amplitude",
        sample_rate_hz: float = 100.0,
        carrier_hz: float = 0.0,
        bandwidth_hz: float = 0.0,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        super().__init__(
            base,
            kind=kind,
            sample_rate_hz=sample_rate_hz,
            carrier_hz=carrier_hz,
            bandwidth_hz=bandwidth_hz,
            device=device,
        )
        self.lora, self.pooling, self.steps, self.learning_rate = lora, pooling, steps, learning_rate
        self.rank, self.augment, self.random_state = rank, augment, random_state

    def save(self, folder: str | Path) -> None:
        """Write an adapter folder, which `foundation.load` and `wfm predict` read.

        Raises:
            CheckpointError: the folder exists, or `lora` is False: an adapter folder holds LoRA matrices.
        """
        check_is_fitted(self)
        base = weights_hash(_encoder(self.base, self.device))
        save_adapter(
            self.adapted_, self.target_, self.base, base, Path(folder), self.adapted_.seen, self.calibration_.save
        )

    def _fit(self, signals: Sequence[Signal], targets: np.ndarray, classes: tuple[str, ...] | None) -> None:
        """Fit to int64 [n] classes or float64 [n, size] numbers."""
        check_consistent_length(signals, targets)
        size = targets.shape[1] if classes is None else len(classes)
        self.target_ = Target("y", classes, size)
        encoder, rows = _encoder(self.base, self.device), np.arange(len(signals))
        data, seed = TokenSet(signals, encoder.config), int(check_random_state(self.random_state).randint(2**31))
        mode: Mode = "lora" if self.lora else "probe"
        self.adapted_, self.calibration_ = fit_calibrated(
            encoder, data, rows, targets, self.target_, self._tune(), seed, loaded_on=encoder, mode=mode
        )
        self.adapted_.seen = Seen.of(signals)

    def _tune(self) -> TuneSection:
        """
        Raises:
            RecipeError: a parameter has a value that it cannot have.
        """
        own = {name: getattr(self, name) for name in ("pooling", "steps", "learning_rate", "augment")}
        try:
            return TuneSection.model_validate(own | {"lora_rank": self.rank})
        except ValidationError as error:
            first = error.errors()[0]
            raise RecipeError(f"{first['loc'][0]} is {first['input']!r}: {first['msg']}.") from None

    def _outputs(self, X: Any) -> np.ndarray:  # noqa: N803
        check_is_fitted(self)
        return predict(self.adapted_, TokenSet(self._signals(X, reset=False), cast(Any, self.adapted_.encoder).config))


class WirelessClassifier(ClassifierMixin, _Fitted):
    """A classifier of signals: a head on the frozen encoder, or LoRA and a head.

    Parameters and further attributes are those of `_Fitted`.

    Attributes:
        classes_: in the order of the columns of `predict_proba`.
    """

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Fit to a class for each signal, of any type that scikit-learn takes.

        Raises:
            ValueError: X or y are not such, or have one class alone.
            WfmError: a parameter has a value that it cannot have.
        """
        signals = self._signals(X, reset=True)
        known = column_or_1d(_checked(self, y), warn=True)
        check_classification_targets(known)
        self.classes_, codes = np.unique(known, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class, {self.classes_[0]!r}; a classifier needs two at least.")
        self._fit(signals, codes.astype(np.int64), tuple(map(str, self.classes_)))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Probabilities float32 [n, classes], calibrated where enough training samples could be held out."""
        outputs = self._outputs(X)  # first: it says what is wrong before `fit`
        return self.calibration_.probabilities(outputs).astype(np.float32)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The most probable class of every signal."""
        best = self._outputs(X).argmax(1)
        return np.asarray(self.classes_[best])


class WirelessRegressor(RegressorMixin, _Fitted):
    """Numbers of signals, such as positions: a head on the frozen encoder, or LoRA and a head. `calibration_.radius` is
    the distance within which the truth lies in 90 % of cases (split conformal; None: too few samples).

    Parameters and attributes are those of `_Fitted`.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Fit to a number, or a row of numbers, for each signal.

        Raises:
            ValueError: X or y are not such.
            WfmError: a parameter has a value that it cannot have.
        """
        signals = self._signals(X, reset=True)
        known = np.asarray(_checked(self, y), np.float64)
        self._is_flat = known.ndim == 1
        self._fit(signals, known.reshape(len(known), -1), None)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """float64 [n] or [n, numbers], as y was."""
        found = self._outputs(X)
        return found[:, 0] if self._is_flat else found


def _checked(estimator: BaseEstimator, y: Any) -> np.ndarray:
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    return np.asarray(check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=estimator))
