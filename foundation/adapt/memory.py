"""A memory of labelled windows: a few examples of a new room or a new class, without a fit.

Exact search among embeddings of the frozen encoder, standardised by the examples. The class follows from the directions
of all examples about their mean (a kernel density of cosine distances for each class), which was right more often than
Euclidean distance; whether there is any from the Euclidean distance to the nearest, as examples of one class have no
directions.

What lies near no example is told by split conformal prediction (Vovk et al. 2005; for distances to the nearest
neighbour Laxhammar and Falkman 2010): the limit is the k-th smallest of the m distances of every example to its nearest
among the others, k = ceil((1 - rate) (m + 1)). Leaving out every example in turn, with the scale of features computed
without it, takes the place of a second set, which ten examples do not leave (cross-conformal prediction, Vovk 2015):
about `rate` of new windows lie beyond the limit, where they are as exchangeable with the examples as these are with
each other. Of a label with examples of several recordings a whole recording is left out: neighbours in time are nearer
to each other than a new recording is to any.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.special import logsumexp
from torch.nn import functional

from foundation.adapt.calibration import FEWEST, temperature_of
from foundation.data.seen import Seen
from foundation.errors import CheckpointError, SignalError
from foundation.files import write_atomically
from foundation.models.weights import check_finite

FILE = "memory.safetensors"  # the embeddings; what they are of, as JSON, is in its header, so that both change at once
POOLING = "moments"  # which signals of any shape have
FALSE_ALARMS = 0.05  # of windows like the examples, the share that may be told to be none of these
MOST = 50_000  # examples that are searched one by one
SHARPNESS = 8.0  # of the kernel, in cosine distances; a temperature is fitted to the logits after it
CALIBRATED = 1000  # examples, evenly spaced, that are left out to set the limit
SHOWN = 3  # nearest examples that are given as evidence


class Example(BaseModel):
    """One remembered window.

    Attributes:
        label: its class.
        recording: name of what it was cut from.
        start_s, end_s: seconds on the time axis of the recording.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    label: str = Field(min_length=1, max_length=1000)
    recording: str = Field(max_length=4096)
    start_s: float
    end_s: float


class _Header(BaseModel):
    """The JSON in the file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    base_sha256: str = Field(max_length=64)
    false_alarms: float = Field(gt=0, lt=1)
    seen: Seen
    examples: list[Example] = Field(min_length=1, max_length=MOST)


class Answer(NamedTuple):
    """What a memory says of n windows.

    Attributes:
        probabilities: float64 [n, classes].
        distance: float64 [n] to the nearest example.
        nearest: int64 [n, k] examples, the nearest first; `away` float64 [n, k] is how far each is.
        is_none: bool [n], farther than the limit from every example.
    """

    probabilities: np.ndarray
    distance: np.ndarray
    nearest: np.ndarray
    away: np.ndarray
    is_none: np.ndarray


@dataclass(frozen=True)
class Memory:
    """Examples and their embeddings; `add` and `remove` give another memory.

    Attributes:
        features: `POOLING` of the frozen encoder, float32 [m, F].
        examples: m.
        base_sha256: `weights_hash` of the encoder.
        seen: the windows that came first, as which others are cut.
        false_alarms: the rate that is asked for.
    """

    features: np.ndarray
    examples: tuple[Example, ...]
    base_sha256: str
    seen: Seen
    false_alarms: float

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms < 1:
            raise SignalError(f"the rate of false alarms is {self.false_alarms}; expected one between 0 and 1.")
        if not 0 < len(self.examples) <= MOST:
            raise SignalError(f"a memory holds 1 to {MOST:,} examples, not {len(self.examples):,}; fit an adapter.")

    def add(self, features: np.ndarray, examples: Sequence[Example], false_alarms: float | None = None) -> Memory:
        """With further examples, and another rate; an example that is there already (label, recording and time) is
        replaced."""
        again = set(examples)
        kept = self._rows(lambda each: each not in again)
        known = tuple(self.examples[k] for k in kept)
        both = np.concatenate([self.features[kept], features])
        rate = self.false_alarms if false_alarms is None else false_alarms
        return replace(self, features=both, examples=(*known, *examples), false_alarms=rate)

    def remove(self, label: str | None = None, recording: str | None = None) -> Memory | None:
        """Without the examples of a label, of a recording, or of a label in a recording; None: nothing is left.

        Raises:
            SignalError: there is none.
        """
        kept = self._rows(lambda e: label not in (None, e.label) or recording not in (None, e.recording))
        if len(kept) == len(self.examples):
            wanted = " of ".join(repr(each) for each in (label, recording) if each is not None)
            raise SignalError(
                f"no example of {wanted or 'anything'} is remembered; there are labels {', '.join(self.classes)} and "
                f"recordings {', '.join(self.recordings[:10])}."
            )
        if not len(kept):
            return None
        return self._only(kept)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """In order."""
        return tuple(sorted({each.label for each in self.examples}))

    @property
    def recordings(self) -> list[str]:
        """Names, in order."""
        return sorted({each.recording for each in self.examples})

    @property
    def limit(self) -> float | None:
        """The distance beyond which a window is none of these; None of fewer than three examples."""
        return self._calibrated[0]

    @property
    def attained(self) -> float:
        """The rate of false alarms of `limit`: with few examples higher than the one that is asked for."""
        return max(self.false_alarms, 1 / (len(self.examples) + 1))

    def about(self) -> dict[str, Any]:
        """Number of examples by class, the limit and its rate of false alarms, as JSON types."""
        count = Counter(each.label for each in self.examples)
        return {"examples": {k: count[k] for k in self.classes}, "limit": self.limit, "false_alarms": self.attained}

    def in_words(self) -> str:
        """Number of examples by class, and the rate of false alarms."""
        count = ", ".join(f"{label} {number}" for label, number in self.about()["examples"].items())
        rate = "too few for a limit" if self.limit is None else f"{100 * self.attained:.2g} % false alarms"
        return f"{len(self.examples)} windows ({count}; {rate})"

    def answer(self, features: np.ndarray) -> Answer:
        """
        Args:
            features: as those of the examples, float32 [n, F].
        """
        distance, turned = self._compared(features)
        limit, temperature = self._calibrated
        logits = torch.from_numpy(self._logits(turned)) / temperature
        order = np.argsort(distance, axis=1, kind="stable")[:, :SHOWN]
        away = np.take_along_axis(distance, order, axis=1)
        is_none = np.zeros(len(away), bool) if limit is None else away[:, 0] > limit
        return Answer(torch.softmax(logits, 1).numpy(), away[:, 0], order, away, is_none)

    def save(self, folder: Path) -> None:
        """Write `FILE` into a folder, whole or not at all; replaces an earlier one."""
        header = _Header(
            base_sha256=self.base_sha256,
            false_alarms=self.false_alarms,
            seen=self.seen,
            examples=list(self.examples),
        )
        state = {"features": torch.from_numpy(self.features).contiguous()}
        write_atomically(folder / FILE, safetensors.torch.save(state, {"memory": header.model_dump_json()}))

    @classmethod
    def load(cls, folder: Path, base_sha256: str) -> Memory | None:
        """What `save` wrote; None where there is none.

        Raises:
            CheckpointError: it is damaged, holds something else, or is of another encoder.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with safetensors.safe_open(path, "pt") as file:
                header = _Header.model_validate_json((file.metadata() or {}).get("memory", ""))
                features = file.get_tensor("features")
        except (OSError, safetensors.SafetensorError, ValidationError) as error:
            raise CheckpointError(f"{path}: is not what 'wfm adapters remember' writes; remember again.") from error
        if features.dtype != torch.float32 or features.ndim != 2 or len(features) != len(header.examples):
            raise CheckpointError(f"{path}: has {tuple(features.shape)} numbers; expected a row for each example.")
        check_finite(path, {"features": features})
        if header.base_sha256 != base_sha256:
            raise CheckpointError(f"{path}: is of another pretrained model than the one given; remember again.")
        return cls(features.numpy(), tuple(header.examples), base_sha256, header.seen, header.false_alarms)

    def _only(self, kept: np.ndarray) -> Memory:
        return replace(self, features=self.features[kept], examples=tuple(self.examples[k] for k in kept))

    def _rows(self, keep: Callable[[Example], bool]) -> np.ndarray:
        return np.array([k for k, each in enumerate(self.examples) if keep(each)], np.int64)

    @cached_property
    def _codes(self) -> np.ndarray:
        return np.array([self.classes.index(each.label) for each in self.examples])

    @cached_property
    def _scale(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of every feature over the examples."""
        x = torch.from_numpy(self.features).double()
        deviation = x.std(0, correction=0)
        return x.mean(0).float(), torch.where(deviation > 1e-6, deviation, torch.inf).float()

    @cached_property
    def _standardised(self) -> torch.Tensor:
        mean, deviation = self._scale
        return (torch.from_numpy(self.features) - mean) / deviation

    def _compared(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardised features with those of every example: root-mean-square difference, and cosine distance; float64
        [n, m] each."""
        mean, deviation = self._scale
        rows, known = (torch.from_numpy(features) - mean) / deviation, self._standardised
        # By products of matrices the distance of a window from itself would not be 0.
        far = torch.cdist(rows, known, compute_mode="donot_use_mm_for_euclid_dist")
        turned = 1 - functional.normalize(rows, dim=1) @ functional.normalize(known, dim=1).T
        return far.double().numpy() / math.sqrt(features.shape[1]), turned.double().numpy()

    def _logits(self, turned: np.ndarray) -> np.ndarray:
        """float64 [n, classes] from cosine distances [n, m]; -inf of a class whose examples are all left out."""
        own = [turned[:, self._codes == code] for code in range(len(self.classes))]
        return np.stack([logsumexp(-SHARPNESS * each, axis=1) - math.log(each.shape[1]) for each in own], axis=1)

    @cached_property
    def _calibrated(self) -> tuple[float | None, float]:
        """The limit, and the temperature of logits, both from examples that are left out."""
        rows = np.arange(len(self.examples))[:: math.ceil(len(self.examples) / CALIBRATED)]
        left_out = self._left_out(rows)
        if (~left_out).sum(1).min() < 2:
            return None, 1.0
        distance, turned = np.full(left_out.shape, np.inf), np.full(left_out.shape, np.inf)
        for number, (row, out) in enumerate(zip(rows, left_out, strict=True)):
            # Also of the scale: features vary less among those that it was computed from. Many examples give one scale.
            kept = np.flatnonzero(~out)
            others = self._only(kept) if len(self.examples) <= CALIBRATED else self
            found = [each[0] for each in others._compared(self.features[[row]])]
            found = found if others is not self else [each[kept] for each in found]
            distance[number, kept], turned[number, kept] = found
        nearest = np.sort(distance.min(1))
        rank = min(len(rows), math.ceil((1 - self.false_alarms) * (len(rows) + 1)))
        logits, truth = self._logits(turned), self._codes[rows]
        known = np.isfinite(logits).all(1)
        few = known.sum() < FEWEST or len(self.classes) < 2
        return float(nearest[rank - 1]), 1.0 if few else temperature_of(logits[known], truth[known])

    def _left_out(self, rows: np.ndarray) -> np.ndarray:
        """bool [rows, m]: of every example, itself; and of a label with several recordings, those of its recording."""
        names = np.unique([each.recording for each in self.examples], return_inverse=True)[1]
        several = np.array([len(np.unique(names[self._codes == code])) > 1 for code in range(len(self.classes))])
        together = (names[rows, None] == names) & several[self._codes[rows], None]
        return np.asarray(together | (rows[:, None] == np.arange(len(names))))
