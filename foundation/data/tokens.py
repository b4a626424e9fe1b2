"""Tokenisation: signals to the input tensors of the model, and back.

A token is a patch of (times x responses) of one link, with real and imaginary parts. Signals of more than one time
sample also get one static token per column (link, response patch); its content is computed inside the model, from
visible entries only, see `foundation.nn.decomposition`.

Batch keys (B samples, N tokens padded, E entries): values float32, observed bool [B, N, E]; position float32 [B, N, 6];
link int64 [B, N, 2]; grid int64 [B, N, 3]; column, shape int64, static, exists bool [B, N]; kind int64, logarithmic
bool [B]; radio float32 [B, 3] (log10 of carrier, bandwidth, sampling interval; NaN where not known).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from foundation.data.views import VIEWS, view_of
from foundation.errors import RecipeError, SignalError
from foundation.signal import KINDS, Signal

Batch = dict[str, Tensor]


class TokenSpec(Protocol):
    """The configuration of a model that tokenisation needs; `WfmConfig` has it."""

    patch_shapes: list[list[int]]
    views: dict[str, str]
    links: int
    positions: str


#: With index positions: step of each axis, as of 100 Hz packets of 20 MHz Wi-Fi and taps of 1 ns.
INDEX_STEPS = {"time": 1e-2, "frequency": 312.5e3, "delay": 1e-9}


@dataclass(frozen=True)
class Layout:
    """Patch grid of one signal: patch shape (pt, pr), counts (nt, links, nr), and whether it has static tokens."""

    shape_index: int
    pt: int
    pr: int
    nt: int
    links: int
    nr: int
    static: bool

    @property
    def tokens(self) -> int:
        """Number of patches, plus a static token for every column."""
        return (self.nt + self.static) * self.links * self.nr


def layout_of(shape: tuple[int, ...], spec: TokenSpec) -> Layout:
    """Patch grid of a shape (times, links, responses): the first patch shape not longer in time, else the last."""
    times, links, responses = shape
    index = next((i for i, (pt, _) in enumerate(spec.patch_shapes) if pt <= times), len(spec.patch_shapes) - 1)
    pt, pr = spec.patch_shapes[index]
    return Layout(index, pt, pr, -(-times // pt), links, -(-responses // pr), times > 1)


def tokenize(signals: Signal | Sequence[Signal], spec: TokenSpec) -> Batch:
    """Signals, or one, -> one padded batch.

    Raises:
        SignalError: there is no signal.
        RecipeError: a signal's kind has no view in `spec`, or an antenna is beyond its table.
    """
    signals = [signals] if isinstance(signals, Signal) else signals
    if not len(signals):
        raise SignalError("tokenize: no signals; a recording shorter than one window gives none.")
    return pad([tokenize_one(signal, spec) for signal in signals])


def tokenize_one(signal: Signal, spec: TokenSpec) -> dict[str, np.ndarray]:
    """One signal -> its unpadded arrays (without the batch axis). Raises as `tokenize`."""
    cut = layout_of(signal.values.shape, spec)
    view, physical = view_of(signal, spec.views), spec.positions == "physical"
    entries = 2 * max(pt * pr for pt, pr in spec.patch_shapes)
    real = signal.is_real or view == "log-amplitude"
    values = _patches(VIEWS[view](signal, signal.values), cut, entries)
    parts = np.array([1, 0 if real else 1])
    observed = _patches(signal.mask * (1 + 1j), cut, entries) * np.resize(parts, entries) > 0
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (cut.nt, cut.links, cut.nr)), indexing="ij"), -1).reshape(-1, 3)
    is_static = np.zeros(len(grid), bool)
    if cut.static:
        grid = np.concatenate([grid, grid[: cut.links * cut.nr]])  # rows of the first time patch: one per column
        is_static = np.concatenate([is_static, np.ones(cut.links * cut.nr, bool)])
        values = np.concatenate([values, np.zeros((cut.links * cut.nr, entries), np.float32)])
        observed = np.concatenate([observed, _static_observed(observed, cut)])
    return {
        "values": values,
        "observed": observed,
        "position": _positions(signal, cut, grid, is_static, physical),
        "link": _links(signal, spec)[grid[:, 1]],
        "grid": grid,
        "column": grid[:, 1] * cut.nr + grid[:, 2],
        "shape": np.full(len(grid), cut.shape_index),
        "static": is_static,
        "exists": np.ones(len(grid), bool),
        "kind": np.array(KINDS.index(signal.kind)),
        "logarithmic": np.array(view == "log-amplitude" or signal.kind == "rssi"),
        "radio": _log10([signal.carrier_hz, signal.bandwidth_hz, signal.interval_s] if physical else [0.0, 0.0, 0.0]),
    }


def untokenize(values: np.ndarray, signal: Signal, spec: TokenSpec) -> np.ndarray:
    """Entries [N, E] of one signal's tokens (padding may follow) -> view-unit field complex64 [T, L, R]."""
    cut = layout_of(signal.values.shape, spec)
    used = values[: cut.nt * cut.links * cut.nr, : 2 * cut.pt * cut.pr]
    parts = np.ascontiguousarray(used, np.float32).view(np.complex64)
    field = parts.reshape(cut.nt, cut.links, cut.nr, cut.pt, cut.pr).transpose(0, 3, 1, 2, 4)
    times, _, responses = signal.values.shape
    return field.reshape(cut.nt * cut.pt, cut.links, cut.nr * cut.pr)[:times, :, :responses]


def pad(samples: Sequence[dict[str, np.ndarray]]) -> Batch:
    """Stack samples; shorter ones are padded with tokens whose `exists` and `observed` are False."""
    count = max(len(sample["exists"]) for sample in samples)
    batch: Batch = {}
    for name, first in samples[0].items():
        if first.ndim == 0 or name == "radio":
            batch[name] = torch.from_numpy(np.stack([sample[name] for sample in samples]))
            continue
        out = np.zeros((len(samples), count, *first.shape[1:]), first.dtype)
        for row, sample in zip(out, samples, strict=True):
            row[: len(sample[name])] = sample[name]
        batch[name] = torch.from_numpy(out)
    return batch


def _patches(field: np.ndarray, cut: Layout, entries: int) -> np.ndarray:
    """[T, L, R] -> float32 [nt * L * nr, E], zero beyond the signal's end and beyond the patch's area."""
    times, links, responses = field.shape
    full = np.zeros((cut.nt * cut.pt, links, cut.nr * cut.pr), np.complex64)
    full[:times, :, :responses] = field
    grid = full.reshape(cut.nt, cut.pt, links, cut.nr, cut.pr).transpose(0, 2, 3, 1, 4)
    flat = np.ascontiguousarray(grid).view(np.float32).reshape(cut.nt * links * cut.nr, -1)
    out = np.zeros((len(flat), entries), np.float32)
    out[:, : flat.shape[1]] = flat
    return out


def _links(signal: Signal, spec: TokenSpec) -> np.ndarray:
    """int64 [L, 2]: transmit and receive antenna of every link."""
    links = np.array([(link.tx, link.rx) for link in signal.links], np.int64)
    if links.max() >= spec.links**2:
        raise RecipeError(
            f"model.links: the network distinguishes {spec.links**2} antennas, and {signal.source or 'a signal'} "
            f"(session {signal.session!r}) has number {links.max()}; pretrain one with "
            f"model.links={isqrt(links.max()) + 1} or more."
        )
    return links


def _static_observed(observed: np.ndarray, cut: Layout) -> np.ndarray:
    """bool [L * nr, E]: which statistics of its column (see `foundation.nn.decomposition`) a static token has: those of
    entries measured at any time; the change, where two neighbouring times of a patch were measured."""
    width = 2 * cut.pr
    grid = observed[:, : cut.pt * width].reshape(cut.nt, cut.links * cut.nr, cut.pt, width)
    ever = grid.any(axis=(0, 2))
    twice = (grid[:, :, 1:] & grid[:, :, :-1]).any(axis=(0, 2))
    known = np.concatenate([ever, ever, twice, ever], axis=1)  # mean, deviation, change, trend
    return np.pad(known, [(0, 0), (0, observed.shape[1])])[:, : observed.shape[1]]


def _positions(signal: Signal, cut: Layout, grid: np.ndarray, static: np.ndarray, physical: bool) -> np.ndarray:
    times, responses, interval = signal.time_s - signal.time_s[0], signal.response, signal.interval_s
    if not physical:
        interval = INDEX_STEPS["time"]
        times = interval * np.arange(len(times), dtype=np.float64)
        responses = INDEX_STEPS[signal.domain] * np.arange(len(responses), dtype=np.float64)
    time, covered = _axis_patches(times, cut.pt, cut.nt)
    response, width = _axis_patches(responses, cut.pr, cut.nr)
    out = np.zeros((len(grid), 6), np.float32)
    out[:, 0] = np.where(static, times[-1] / 2, time[grid[:, 0]])
    out[:, 1] = np.where(static, times[-1] + interval, covered[grid[:, 0]])
    first = 2 if signal.domain == "frequency" else 4
    out[:, first] = response[grid[:, 2]]
    out[:, first + 1] = width[grid[:, 2]]
    return out


def _axis_patches(axis: np.ndarray, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre and extent of every patch of an axis; the last patch may have fewer entries than the others."""
    step = float(np.median(np.diff(axis))) if len(axis) > 1 else 0.0
    first = axis[np.arange(count) * size]
    last = axis[np.minimum(np.arange(1, count + 1) * size, len(axis)) - 1]
    return (first + last) / 2, last - first + step


def _log10(values: Sequence[float]) -> np.ndarray:
    return np.array([np.log10(v) if v > 0 else np.nan for v in values], np.float32)
