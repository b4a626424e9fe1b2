"""`load`: a pretrained encoder, alone or with a fitted adapter, that predicts and embeds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from scipy.special import softmax

from foundation.adapt import Adapter, load_adapter, pooled_features
from foundation.adapt.adapter_files import adapter_folder, base_of
from foundation.adapt.novelty import POOLING
from foundation.adapt.select_pooling import POOLINGS, possible_poolings
from foundation.checkpoints.load import load_encoder
from foundation.data.cutter import Cut, Cutter
from foundation.data.labelled import Target, TokenSet
from foundation.data.seen import Seen
from foundation.data.windows import WindowShape
from foundation.errors import CheckpointError, SignalError
from foundation.machine import on_device
from foundation.models import WfmModel, pool
from foundation.models.config import WfmConfig
from foundation.predict.prediction import Prediction
from foundation.progress import StepProgress
from foundation.signal import Signal

DEFAULT = "wfm-small"
TOGETHER = 128  # windows between two looks at the progress


def load(name_or_folder: str | Path | None = None, adapter: str | Path | None = None, device: str = "auto") -> Model:
    """An encoder in evaluation mode, with an adapter where one is named.

    Args:
        name_or_folder: a released name such as "wfm-small", an exported folder, a training checkpoint (.ckpt) or an
            org/name on the Hub; None: what the adapter was fitted to, or "wfm-small" without an adapter.
        adapter: a folder that `wfm finetune` wrote, or an org/name on the Hub.
        device: auto, cpu, cuda, cuda:1 or mps; auto: the first GPU, else the CPU.

    Raises:
        CheckpointError: there is none, it is damaged, or the adapter was fitted to another encoder.
        RecipeError: there is no such device.
    """
    if adapter is None:
        return Model(on_device(load_encoder(name_or_folder or DEFAULT), device))
    folder = adapter_folder(adapter)
    encoder = load_encoder(name_or_folder) if name_or_folder is not None else _own_base(folder)
    found = load_adapter(folder, encoder)
    on_device(found.model, device)
    return Model(encoder, found)


def _own_base(folder: Path) -> WfmModel:
    base = base_of(folder)
    try:
        return load_encoder(base)
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder}: the model that it was fitted to is not to be had ({str(error).rstrip('.')}); name where it "
            "lies now as name_or_folder= (--base)."
        ) from error


class Model:
    """An encoder and, where one was loaded, an adapter with its head.

    Attributes:
        encoder: the pretrained network, which an adapter changes in place.
        adapter: the fitted model, its target and its calibration; None: there is none.
    """

    def __init__(self, encoder: WfmModel, adapter: Adapter | None = None) -> None:
        self.encoder, self.adapter = encoder, adapter

    @property
    def config(self) -> WfmConfig:
        """Of the encoder; `foundation.tokenize` takes it."""
        return self.encoder.config

    @property
    def target(self) -> Target:
        """What is predicted: the name of the label and its classes (None: numbers).

        Raises:
            CheckpointError: there is no adapter.
        """
        return self._fitted().target

    def about(self) -> dict[str, Any]:
        """What is predicted and how it was calibrated, as JSON types."""
        fitted = self._fitted()
        known = fitted.calibration
        return {
            "label": fitted.target.label,
            "classes": None if fitted.target.classes is None else list(fitted.target.classes),
            "held_out_samples": known.held_out if known else 0,
            "temperature": known.temperature if known else None,
            "radius_90": known.radius if known else None,
            "distance_limit": known.novelty.limit if known else None,
        }

    def predict(
        self, signals: Signal | Sequence[Signal], hop_s: float | None = None, progress: str | None = None
    ) -> list[Prediction]:
        """Predictions for every window of these signals, cut as the training windows were (`foundation.data.windows`).

        Args:
            signals: recordings of any length and rate, of the kind that the adapter was fitted to.
            hop_s: seconds from the beginning of a window to that of the next; None: its duration.
            progress: show progress under this name; None: quietly.

        Raises:
            CheckpointError: there is no adapter.
            SignalError: there are no signals, they are of another kind, have other links or responses where the head
                needs those of the training samples, or none is as long as a window.
        """
        fitted = self._fitted()
        given = [signals] if isinstance(signals, Signal) else list(signals)
        if not given:
            raise SignalError("predict: no signals were given.")
        if fitted.model.seen is not None:
            fitted.model.seen.check_kinds(given)  # before they are cut, at whatever rate
        cuts = self._cut(given, hop_s)
        windows = [cut.window for _, cut in cuts]
        if fitted.model.seen is not None:
            fitted.model.seen.check(windows)
        found: list[Prediction] = []
        with StepProgress(quiet=progress is None, transient=True) as bar:
            task = bar.add_task(progress or "", total=len(cuts))
            for start in range(0, len(cuts), TOGETHER):
                found += self.answer(cuts[start : start + TOGETHER])
                bar.advance(task, len(found) - start)
        return found

    def answer(self, cuts: Sequence[tuple[int, Cut]]) -> list[Prediction]:
        """Predictions for windows (number of their signal, window) that a `cutter` of this model cut.

        Raises:
            CheckpointError: there is no adapter.
        """
        fitted = self._fitted()
        output, features = self._outputs([cut.window for _, cut in cuts])
        known, classes = fitted.calibration, fitted.target.classes
        distance = known.novelty.distance(features) if known and features is not None else None
        if classes is not None:
            chances = known.probabilities(output) if known else softmax(output, axis=1)
        found = []
        for row, (index, cut) in enumerate(cuts):
            said: dict[str, Any] = {}
            if classes is None:
                said = {"value": tuple(output[row].tolist()), "radius": known.radius if known else None}
            else:
                best = int(chances[row].argmax())
                said = {"label": classes[best], "probability": float(chances[row, best])}
                said["probabilities"] = dict(zip(classes, chances[row].tolist(), strict=True))
            if known and distance is not None:
                limit = known.novelty.limit
                said["distance"] = float(distance[row])
                said["outside"] = None if limit is None else bool(distance[row] > limit)
            found.append(Prediction(index, cut.window.session, cut.start_s, cut.end_s, **said))
        return found

    def cutter(self, hop_s: float | None = None) -> Cutter:
        """What cuts a recording that arrives in parts as the training windows were cut.

        Raises:
            CheckpointError: there is no adapter, or it does not say how these were cut.
            SignalError: the hop is no time between two windows.
        """
        return Cutter(self._shape(), self.config.views, hop_s)

    @property
    def interval_s(self) -> float:
        """Seconds between two samples of a training window.

        Raises:
            CheckpointError: as `cutter`.
        """
        return self._shape().interval_s

    def check(self, window: Signal) -> None:
        """Refuse a window of another kind than those of training; warn of another shape, carrier or bandwidth.

        Raises:
            CheckpointError: there is no adapter.
            SignalError: names both kinds.
        """
        seen = self._fitted().model.seen
        if seen is not None:
            seen.check([window])

    def _shape(self) -> WindowShape:
        seen: Seen | None = self._fitted().model.seen
        if seen is None or seen.window is None:
            raise CheckpointError(
                "the adapter does not say how its training windows were cut, as an earlier version saved it; fit it "
                "again with 'wfm finetune'."
            )
        return seen.window

    def embed(self, signals: Signal | Sequence[Signal], pooling: str = "moments") -> np.ndarray:
        """Features, float32 [n, F], one row per signal, which is not cut; of the adapted encoder where there is an
        adapter.

        Args:
            pooling: one of, or several joined by `+` (lengths for a width of H): `moments` (6 H; of signals of any
                shape), `context` (2 H), `columns`, `timeline` (8 H), `facts`; in closed form `invariant`, `response`,
                `statistics`, `doppler`, `envelope`. `foundation.models.pooling.pool` says what each is.

        Raises:
            SignalError: there are no signals, or no such pooling for signals of these shapes.
        """
        given = [signals] if isinstance(signals, Signal) else list(signals)
        if not given:
            raise SignalError("embed: no signals were given.")
        possible = possible_poolings({signal.values.shape for signal in given}, self.config)
        names = pooling.split("+")
        if wrong := [name for name in names if name not in possible]:
            why = "the signals differ in shape or are short, or the model lacks it" if wrong[0] in POOLINGS else ""
            raise SignalError(
                f"embed: no pooling {wrong[0]!r} here{f' ({why})' if why else ''}; possible: {', '.join(possible)}."
            )
        encoder = self.encoder if self.adapter is None else self.adapter.model.encoder
        features = pooled_features(encoder, TokenSet(given, self.config), names)
        return np.concatenate([features[name] for name in names], axis=1)

    def _fitted(self) -> Adapter:
        if self.adapter is None:
            raise CheckpointError(
                "the model has no adapter, and so nothing to predict; fit one with 'wfm finetune', and load it with "
                "foundation.load(adapter=FOLDER)."
            )
        return self.adapter

    def _cut(self, signals: Sequence[Signal], hop_s: float | None) -> list[tuple[int, Cut]]:
        """(index of the signal, window) of all signals; with a warning, where some have none."""
        seen = self._fitted().model.seen
        if seen is None or seen.window is None:
            warnings.warn(
                "the adapter does not say how its training windows were cut, as an earlier version saved it: every "
                "signal is taken as one window; fit it again to have recordings cut.",
                stacklevel=3,
            )
            return [(k, Cut(float(s.time_s[0]), float(s.time_s[-1]) + s.interval_s, s)) for k, s in enumerate(signals)]
        cuts: list[tuple[int, Cut]] = []
        problems: list[SignalError] = []
        for index, signal in enumerate(signals):
            try:
                cuts += [(index, cut) for cut in seen.window.cut(signal, self.config.views, hop_s)]
            except SignalError as error:
                problems.append(error)
        if not cuts:
            raise problems[0]
        if problems:
            warnings.warn(f"{len(problems)} of {len(signals)} signals are left out: {problems[0]}", stacklevel=3)
        return cuts

    @torch.no_grad()
    def _outputs(self, windows: Sequence[Signal]) -> tuple[np.ndarray, np.ndarray | None]:
        """Outputs of the head [n, outputs], and features of the encoder without its adapter, if those are needed."""
        fitted = self._fitted()
        model, encoder = fitted.model, cast(Any, fitted.model.encoder)  # which PEFT has wrapped
        outputs, features = [], []
        for batch in TokenSet(windows, self.config).batches():
            inputs = model.inputs(batch)
            outputs.append(model(**inputs))
            if fitted.calibration is not None:
                with encoder.disable_adapter():
                    plain = encoder(return_dict=True, **inputs)
                    features.append(pool(encoder, plain, inputs, POOLING).float())
        output = torch.cat(outputs)
        output = output.float() if output.element_size() < 4 else output
        return output.cpu().numpy(), torch.cat(features).cpu().numpy() if features else None
