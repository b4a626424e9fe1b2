"""How well hidden tokens are imputed in, and how real generated signals look: figures and the pictures beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foundation.evaluate.statistics.metrics import sample_distances
from foundation.generate import impute, sample_like
from foundation.generate.nmse import nmse
from foundation.models import WfmForMaskedModeling
from foundation.results.rows import Row, summarise
from foundation.signal import Signal

MODEL = "wfm"  # what the model under test is called in rows
MASKS = ("random", "time", "response")


def reconstruction_rows(
    model: WfmForMaskedModeling, signals: Sequence[Signal], *, set_name: str, split: str, command: str, seeds: int = 3
) -> list[Row]:
    """NMSE of hidden entries in dB, by mask kind, for the model and for linear interpolation; seeds draw the masks.

    The mean over signals of each one's own NMSE, as in channel prediction (gains differ a hundredfold between windows,
    and the loudest must not own the figure). Truth is clean where the signals carry it, and as measured elsewhere.
    """
    rows = []
    for kind in MASKS:
        found: dict[str, list[float]] = {MODEL: [], "linear interpolation": []}
        for seed in range(seeds):
            imputed = impute(model, signals, kind, torch.Generator().manual_seed(seed))
            for method, name in ((MODEL, "prediction"), ("linear interpolation", "interpolated")):
                each = [nmse(f.truth, getattr(f, name), f.hidden) for f in imputed]
                found[method].append(float(10 * np.log10(np.mean(each))))
        rows += [
            summarise(
                values,
                set=set_name,
                split=split,
                method=method,
                mode=f"{kind} mask",
                fraction=1.0,
                metric="nmse_db",
                n=len(signals),
                command=command,
            )
            for method, values in found.items()
        ]
    return rows


def decoder_rows(
    model: WfmForMaskedModeling, signals: Sequence[Signal], *, set_name: str, split: str, command: str
) -> list[Row]:
    """Reconstruction and generation in one: `reconstruction_rows`, and `sample_rows` over `comparisons`."""
    imputed = reconstruction_rows(model, signals, set_name=set_name, split=split, command=command)
    made = sample_rows(comparisons(model, signals), set_name=set_name, split=split, command=command)
    return imputed + made


def comparisons(model: WfmForMaskedModeling, signals: Sequence[Signal], seeds: int = 3) -> list[SampleComparison]:
    """Generated beside held-out samples, one comparison per seed, on the signals that share the first one's radio."""
    first = signals[0]
    alike = [s for s in signals if s.carrier_hz == first.carrier_hz and s.values.shape == first.values.shape]
    return [sample_comparison(model, alike, "held-out sessions", seed) for seed in range(seeds)]


def sample_comparison(
    model: WfmForMaskedModeling, held_out: Sequence[Signal], name: str, seed: int
) -> SampleComparison:
    """Generated signals beside held-out ones and Gaussian noise of matched mean and variance; first link, amplitude.

    All held-out signals must share their axes.
    """
    generator = torch.Generator().manual_seed(seed)
    real = np.stack([np.abs(signal.values[:, 0]) for signal in held_out])
    made = np.concatenate(
        [
            np.stack([np.abs(s.values[:, 0]) for s in sample_like(model, held_out[i : i + 64], generator)])
            for i in range(0, len(held_out), 64)
        ]
    )
    rng = np.random.default_rng(seed)
    mean, std = real.mean(axis=(1, 2), keepdims=True), real.std(axis=(1, 2), keepdims=True)
    gaussian = np.abs(mean + std * rng.standard_normal(real.shape))
    axes = held_out[0].time_s, held_out[0].frequency_hz
    return SampleComparison(name, _unit_power(real), _unit_power(made), _unit_power(gaussian), *axes)


def _unit_power(windows: np.ndarray) -> np.ndarray:
    """Each window [T, R] at mean power 1: gains differ a hundredfold, and one colour scale has to show them all."""
    return np.asarray(windows / np.sqrt(np.mean(windows**2, axis=(1, 2), keepdims=True)))


def sample_rows(found: Sequence[SampleComparison], *, set_name: str, split: str, command: str) -> list[Row]:
    """Distances of generated and Gaussian samples from held-out ones, over one comparison per seed."""
    rows: list[Row] = []
    for method, field in ((f"{MODEL}, from pure noise", "generated"), ("Gaussian noise, matched", "gaussian")):
        measured = [sample_distances(c.held_out, getattr(c, field)) for c in found]
        rows += [
            summarise(
                [values[metric] for values in measured],
                set=set_name,
                split=split,
                method=method,
                mode="generation",
                fraction=1.0,
                metric=metric,
                n=len(found[0].held_out),
                command=command,
            )
            for metric in measured[0]
        ]
    return rows


@dataclass(frozen=True)
class SampleComparison:
    """Generated windows beside real ones that no training saw, and beside Gaussian noise of matched mean and variance.

    All [N, T, R] of the same T and R; complex arrays are shown by their amplitude.
    """

    name: str
    held_out: NDArray[Any]
    generated: NDArray[Any]
    gaussian: NDArray[Any]
    time_s: NDArray[np.float64] | None = None
    frequency_hz: NDArray[np.float64] | None = None
