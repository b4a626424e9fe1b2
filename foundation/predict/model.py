"""`load`: a pretrained encoder, alone or with a fitted adapter or a memory of examples, that predicts and embeds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from foundation.adapt import Adapter, load_adapter, pooled_features
from foundation.adapt.adapter_files import adapter_folder, base_of, read_task, weights_hash
from foundation.adapt.memory import FALSE_ALARMS, Memory
from foundation.adapt.memory import FILE as MEMORY
from foundation.adapt.memory import POOLING as REMEMBERED
from foundation.adapt.novelty import POOLINGS as NOVELTY
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
from foundation.models.structure import inputs_of
from foundation.predict.answers import by_head, by_memory, cuts_of, examples_of
from foundation.predict.prediction import Prediction
from foundation.progress import StepProgress
from foundation.signal import Signal

DEFAULT = "wfm-small"
TOGETHER = 128  # windows between two looks at the progress


def load(
    name_or_folder: str | Path | None = None,
    adapter: str | Path | None = None,
    device: str = "auto",
    memory: str | Path | None = None,
) -> Model:
    """An encoder in evaluation mode, with an adapter and a memory where they are named.

    Args:
        name_or_folder: a released name such as "wfm-small", an exported folder, a training checkpoint (.ckpt) or an
            org/name on the Hub; None: what the adapter was fitted to, or "wfm-small" without an adapter.
        adapter: a folder that `wfm finetune` wrote, or an org/name on the Hub.
        device: auto, cpu, cuda, cuda:1 or mps; auto: the first GPU, else the CPU.
        memory: a folder that `Model.save_memory` wrote; None: that of the adapter, where it has one.

    Raises:
        CheckpointError: there is none, it is damaged, or the adapter or memory is of another encoder.
        RecipeError: there is no such device.
    """
    if adapter is None:
        encoder = load_encoder(name_or_folder or DEFAULT)
        base, found, where = "" if memory is None else weights_hash(encoder), None, None
    else:
        where = adapter_folder(adapter)
        encoder = load_encoder(name_or_folder) if name_or_folder is not None else _own_base(where)
        base, found = read_task(where).base_sha256, load_adapter(where, encoder)
    if memory is not None and not ((where := Path(memory)) / MEMORY).is_file():
        raise CheckpointError(f"{memory}: holds no {MEMORY}; Model.save_memory writes it.")
    on_device(encoder if found is None else found.model, device)
    return Model(encoder, found, None if where is None else Memory.load(where, base), base)


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
    """An encoder and, where they were loaded, an adapter with its head and a memory of examples.

    Args:
        base: `weights_hash` of the encoder without its adapter; "": of an encoder alone, computed where it is needed.

    Attributes:
        encoder: the pretrained network, which an adapter changes in place.
        adapter: the fitted model, its target and its calibration; None: there is none.
        memory: labelled windows, see `remember`; None: there is none.
    """

    def __init__(
        self, encoder: WfmModel, adapter: Adapter | None = None, memory: Memory | None = None, base: str = ""
    ) -> None:
        self.encoder, self.adapter, self.memory = encoder, adapter, memory
        self._base = base

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
            "memory": None if self.memory is None else self.memory.about(),
            "held_out_samples": known.held_out if known else 0,
            "temperature": known.temperature if known else None,
            "radius_90": known.radius if known else None,
            "distance_limit": known.novelty.limit if known else None,
        }

    def predict(
        self, signals: Signal | Sequence[Signal], hop_s: float | None = None, progress: str | None = None
    ) -> list[Prediction]:
        """Predictions for every window of these signals, cut as the training windows were (`foundation.data.windows`).

        With a memory, a window that lies near an example, within the limit of the memory, has its answer from there,
        and every other one from the head of the adapter; without an adapter it is `foundation.predict.NONE`.

        Args:
            signals: recordings of any length and rate, of the kind that the adapter was fitted to.
            hop_s: seconds from the beginning of a window to that of the next; None: its duration.
            progress: show progress under this name; None: quietly.

        Raises:
            CheckpointError: there is neither an adapter nor a memory.
            SignalError: there are no signals, they are of another kind, have other links or responses where the head
                needs those of the training samples, or none is as long as a window.
        """
        seen = self._seen()
        given = _given(signals, "predict")
        if seen is not None:
            seen.check_kinds(given)  # before they are cut, at whatever rate
        cuts = cuts_of(given, seen, self.config.views, hop_s)
        if seen is not None:
            seen.check([cut.window for _, cut in cuts])
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
            CheckpointError: there is neither an adapter nor a memory.
        """
        self._seen()
        output, features = self._outputs([cut.window for _, cut in cuts])
        said: list[dict[str, Any]] = [{} for _ in cuts]
        if self.adapter is not None and output is not None:
            said = by_head(self.adapter, output, features)
        if self.memory is not None:
            classes = () if self.adapter is None else self.adapter.target.classes or ()
            said = by_memory(self.memory, features[REMEMBERED], said, classes)
        return [
            Prediction(index, cut.window.session, cut.start_s, cut.end_s, **own)
            for (index, cut), own in zip(cuts, said, strict=True)
        ]

    def cutter(self, hop_s: float | None = None) -> Cutter:
        """What cuts a recording that arrives in parts as the training windows were cut.

        Raises:
            CheckpointError: there is neither an adapter nor a memory, or it does not say how these were cut.
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
            CheckpointError: there is neither an adapter nor a memory.
            SignalError: names both kinds.
        """
        if (seen := self._seen()) is not None:
            seen.check([window])

    def _shape(self) -> WindowShape:
        seen = self._seen()
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
        given = _given(signals, "embed")
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

    def remember(
        self,
        signals: Signal | Sequence[Signal],
        labels: str | Sequence[str],
        recordings: str | Sequence[str] | None = None,
        false_alarms: float | None = None,
    ) -> int:
        """Add labelled examples to the memory, cut as for `predict`; without an adapter, the first windows that are
        remembered say how later ones are cut. `save_memory` keeps them beyond this process.

        Args:
            labels: one for all signals, or one for each; also classes that the adapter does not have.
            recordings: names, one for all signals or one for each, by which evidence is shown and `forget` finds them;
                None: their sessions.
            false_alarms: share of windows like the examples that may be told not to be near them; None: as before,
                at first 5 %.

        Returns:
            The number of windows.

        Raises:
            CheckpointError: the adapter predicts numbers.
            SignalError: as `predict`, or a label is not text.
        """
        given = _given(signals, "remember")
        if self.adapter is not None and self.adapter.target.classes is None:
            raise CheckpointError(f"the adapter predicts {self.adapter.target.label} as numbers; a memory has classes.")
        seen = Seen.of(given) if self.adapter is None and self.memory is None else self._seen()
        if seen is not None:
            seen.check_kinds(given)
        cuts = cuts_of(given, seen, self.config.views)
        examples = examples_of(given, cuts, labels, recordings)
        windows = [cut.window for _, cut in cuts]
        parts = (self._outputs(windows[k : k + TOGETHER])[1] for k in range(0, len(cuts), TOGETHER))
        features = np.concatenate([each[REMEMBERED] for each in parts])
        if self.memory is None:
            rate = FALSE_ALARMS if false_alarms is None else false_alarms
            self.memory = Memory(
                features, tuple(examples), self._base or weights_hash(self.encoder), seen or Seen.of(windows), rate
            )
        else:
            self.memory = self.memory.add(features, examples, false_alarms)
        return len(cuts)

    def forget(self, label: str | None = None, recording: str | None = None) -> int:
        """Remove the examples of a label, of a recording or of both together from the memory.

        Returns:
            The number of windows.

        Raises:
            SignalError: there is none.
        """
        if self.memory is None:
            raise SignalError("forget: nothing is remembered.")
        before = len(self.memory.examples)
        self.memory = self.memory.remove(label, recording)
        return before - (len(self.memory.examples) if self.memory else 0)

    def save_memory(self, folder: str | Path) -> None:
        """Write the memory into the folder of an adapter, from where `load` takes it, or any other; an empty one is
        deleted there."""
        if self.memory is None:
            (Path(folder) / MEMORY).unlink(missing_ok=True)
        else:
            self.memory.save(Path(folder))

    def _fitted(self) -> Adapter:
        if self.adapter is None:
            raise CheckpointError(
                "the model has no adapter, and so nothing to predict; fit one with 'wfm finetune', and load it with "
                "foundation.load(adapter=FOLDER), or give examples with Model.remember."
            )
        return self.adapter

    def _seen(self) -> Seen | None:
        """The windows that are predicted; None: an adapter of an earlier version does not say.

        Raises:
            CheckpointError: there is neither an adapter nor a memory.
        """
        if self.adapter is None and self.memory is not None:
            return self.memory.seen
        return cast(Seen | None, self._fitted().model.seen)

    @torch.no_grad()
    def _outputs(self, windows: Sequence[Signal]) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
        """Outputs of the head [n, outputs], if there is one, and of the encoder without its adapter features [n, F] by
        pooling."""
        outputs: list[torch.Tensor] = []
        features: dict[str, list[torch.Tensor]] = {pooling: [] for pooling in (*NOVELTY, REMEMBERED)}
        network: Any = self.encoder if self.adapter is None else self.adapter.model.encoder  # which PEFT has wrapped
        for batch in TokenSet(windows, self.config).batches():
            inputs = inputs_of(batch, len(self.config.patch_shapes), self.encoder.device)
            if self.adapter is not None:
                outputs.append(self.adapter.model(**inputs))
            with nullcontext() if self.adapter is None else network.disable_adapter():
                plain = network(return_dict=True, **inputs)
                for pooling, parts in features.items():
                    parts.append(pool(network, plain, inputs, pooling).float())
        found = {pooling: torch.cat(parts).cpu().numpy() for pooling, parts in features.items()}
        if not outputs:
            return None, found
        output = torch.cat(outputs)
        output = output.float() if output.element_size() < 4 else output
        return output.cpu().numpy(), found


def _given(signals: Signal | Sequence[Signal], name: str) -> list[Signal]:
    given = [signals] if isinstance(signals, Signal) else list(signals)
    if not given:
        raise SignalError(f"{name}: no signals were given.")
    return given
