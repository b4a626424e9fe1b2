"""How sure a fitted model is: probabilities, regions, and a mark for signals unlike the training signals.

All three come from predictions for training samples that were held out of the fit. Probabilities are calibrated by one
temperature (Guo et al. 2017, arXiv 1706.04599). Regions of numbers are those of split conformal prediction (Vovk et al.
2005): a ball around the prediction whose radius is the k-th smallest held-out distance of m, k = ceil(0.9 (m + 1)).
It holds the truth with a probability of 90 % at least where new samples are as exchangeable with the held-out ones as
these are with each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

from foundation.adapt.novelty import Novelty
from foundation.errors import CheckpointError
from foundation.models.weights import check_finite, read_shapes

FILE = "calibration.safetensors"
COVERAGE = 0.9  # of regions
FEWEST = 10  # held-out samples that a temperature is fitted to
_COLDEST, _HOTTEST = 0.02, 50.0


@dataclass(frozen=True)
class Calibration:
    """What held-out training samples say about a fitted model.

    Attributes:
        temperature: that class logits are divided by; None: too few samples were held out, or these are numbers.
        radius: of the 90 % region of numbers, in their unit; None likewise.
        held_out: how many samples were held out.
        novelty: where the training samples lie.
    """

    temperature: float | None
    radius: float | None
    held_out: int
    novelty: Novelty

    @classmethod
    def of(cls, output: np.ndarray, truth: np.ndarray, novelty: Novelty) -> Calibration:
        """
        Args:
            output: of held-out samples, logits or numbers [m, outputs].
            truth: int64 [m] classes or float64 [m, outputs] numbers.
        """
        is_classes = truth.ndim == 1
        temperature = temperature_of(output, truth) if is_classes and len(truth) >= FEWEST else None
        return cls(temperature, None if is_classes else radius_of(output, truth), len(truth), novelty)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """float64 [n, classes]; those of a temperature of 1 where none was fitted."""
        scaled = torch.from_numpy(logits).double() / (self.temperature or 1.0)
        return torch.softmax(scaled, dim=1).numpy()

    def save(self, folder: Path) -> None:
        """Write `FILE` into a folder."""
        numbers = {
            "temperature": self.temperature,
            "radius": self.radius,
            "held_out": float(self.held_out),
            "novelty.limit": self.novelty.limit,
        }
        state = {
            "novelty.mean": self.novelty.mean,
            "novelty.project": self.novelty.project,
            "novelty.samples": self.novelty.samples,
            **{k: torch.tensor(v, dtype=torch.float64) for k, v in numbers.items() if v is not None},
        }
        safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Calibration | None:
        """What `save` wrote; None where there is none, as in adapters of earlier versions.

        Raises:
            CheckpointError: the file is damaged or holds something else.
        """
        path = folder / FILE
        if not path.exists():
            return None
        _check_shapes(path)
        state = safetensors.torch.load_file(path)
        check_finite(path, state)
        value = {name: float(each) for name, each in state.items() if not each.ndim}
        if min(value.values()) < 0 or value.get("temperature") == 0:
            raise CheckpointError(f"{path}: holds a number below 0; fit the adapter again.")
        novelty = Novelty(
            state["novelty.mean"], state["novelty.project"], state["novelty.samples"], value.get("novelty.limit")
        )
        return cls(value.get("temperature"), value.get("radius"), int(value["held_out"]), novelty)


def temperature_of(logits: np.ndarray, truth: np.ndarray) -> float:
    """The temperature of least cross-entropy. Targets are smoothed by 1 / (m + 2) of the probability (Platt 1999): with
    every held-out sample right, certainty would have no limit otherwise."""
    z, y = torch.from_numpy(logits).double(), torch.from_numpy(truth)
    smoothing = 1 / (len(y) + 2)

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(z / math.exp(log_temperature), y, label_smoothing=smoothing))

    best = minimize_scalar(loss, bounds=(math.log(_COLDEST), math.log(_HOTTEST)), method="bounded")
    return math.exp(float(best.x))


def radius_of(predicted: np.ndarray, truth: np.ndarray) -> float | None:
    """The finite-sample quantile of the distances; None where no radius is large enough for so few samples."""
    distance = np.sort(np.linalg.norm(predicted - truth, axis=1))
    rank = math.ceil(COVERAGE * (len(distance) + 1))
    return float(distance[rank - 1]) if rank <= len(distance) else None


def _check_shapes(path: Path) -> None:
    shapes = read_shapes(path)
    mean, project, samples = (shapes.get(f"novelty.{name}", ()) for name in ("mean", "project", "samples"))
    numbers = {"temperature", "radius", "held_out", "novelty.limit"}
    known = {"novelty.mean", "novelty.project", "novelty.samples"}
    fits = len(mean) == 1 and len(project) == len(samples) == 2 and project == (mean[0], samples[1]) and samples[0] > 0
    scalars = {name for name, shape in shapes.items() if not shape}
    if not (fits and "held_out" in scalars and scalars <= numbers and set(shapes) == known | scalars):
        raise CheckpointError(f"{path}: is not what 'wfm finetune' writes; fit the adapter again.")
