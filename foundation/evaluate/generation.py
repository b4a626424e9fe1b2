"""Evaluation of the decoder: error of imputation, and distance of generated samples from held-out ones."""

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

MODEL = "wfm"  # name of the evaluated model in rows
MASKS = ("random", "time", "response")


def reconstruction_rows(
    model: WfmForMaskedModeling, signals: Sequence[Signal], *, set_name: str, split: str, command: str, seeds: int = 3
) -> list[Row]:
    """NMSE of hidden entries in dB, by mask kind, of the model and of linear interpolation; seeds draw the masks.

    The mean over signals of each signal's NMSE, as in channel prediction: gains differ a hundredfold between windows,
    and the strongest would dominate. The truth is the clean field if the signals have one, else the measured one.
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
    """All rows of a decoder: `reconstruction_rows`, and `sample_rows` of `comparisons`."""
    imputed = reconstruction_rows(model, signals, set_name=set_name, split=split, command=command)
    made = sample_rows(comparisons(model, signals), set_name=set_name, split=split, command=command)
    return imputed + made


def comparisons(model: WfmForMaskedModeling, signals: Sequence[Signal], seeds: int = 3) -> list[SampleComparison]:
    """Generated and held-out samples, one comparison per seed, of the signals with the first one's carrier and
    shape."""
    first = signals[0]
    alike = [s for s in signals if s.carrier_hz == first.carrier_hz and s.values.shape == first.values.shape]
    return [sample_comparison(model, alike, "held-out sessions", seed) for seed in range(seeds)]


def sample_comparison(
    model: WfmForMaskedModeling, held_out: Sequence[Signal], name: str, seed: int
) -> SampleComparison:
    """Amplitudes of the first link: held-out signals, generated ones, and Gaussian noise of equal mean and variance.

    All held-out signals must have the same axes.
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
    """Scale each window [T, R] to mean power 1, so that one colour scale shows windows of all gains."""
    return np.asarray(windows / np.sqrt(np.mean(windows**2, axis=(1, 2), keepdims=True)))


def sample_rows(found: Sequence[SampleComparison], *, set_name: str, split: str, command: str) -> list[Row]:
    """Distances of generated and of Gaussian samples from held-out ones; one comparison per seed."""
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
    """Held-out windows, generated ones, and Gaussian noise of equal mean and variance; amplitudes [N, T, R]."""

    name: str
    held_out: NDArray[Any]
    generated: NDArray[Any]
    gaussian: NDArray[Any]
    time_s: NDArray[np.float64] | None = None
    frequency_hz: NDArray[np.float64] | None = None
