"""Tokenisation: signals to the input tensors of the model, and back.

A token is a patch of (times x responses) of one link, with real and imaginary parts. Signals of more than one time
sample also get one static token per column (link, response patch); its content is computed inside the model, from
visible entries only, see `foundation.nn.decomposition`.

Batch keys (B samples, N tokens padded, E entries): values float32, observed bool [B, N, E]; position float32 [B, N, 6];
link int64 [B, N, 2]; grid int64 [B, N, 3]; column, shape int64, static, exists, measured bool [B, N]; kind int64,
logarithmic, real bool [B]; radio float32 [B, 3] (log10 of carrier, bandwidth, sampling interval; NaN where not known);
facts float32 [B, F] (NaN where not known), which only pretraining reads.
A collated batch has `fields` instead of values and observed, which `foundation.nn.patches.cut` makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foundation.data.layout import Layout, Place, TokenSpec, layout_of, places_of
from foundation.data.views import VIEWS, view_of
from foundation.errors import RecipeError, SignalError
from foundation.nn.patches import Fields, cut, patch_places
from foundation.signal import KINDS, Signal
from foundation.signal.facts import facts_of

Batch = dict[str, Tensor]
Collated = dict[str, Any]  # not yet cut

#: With index positions: step of each axis, as of 100 Hz packets of 20 MHz Wi-Fi and taps of 1 ns.
INDEX_STEPS = {"time": 1e-2, "frequency": 312.5e3, "delay": 1e-9}


@dataclass(frozen=True)
class Sample:
    """One signal, ready to be collated.

    Attributes:
        field: complex64 [T, L, R] as measured, but for a view that needs the whole field.
        valid: bool [T, L, R]; None where all entries were measured.
        layout: its patch grid.
        position, link: of every token, see above.
        amplitude: the network reads the logarithm of the magnitude.
        facts: see `foundation.signal.facts`.
    """

    field: np.ndarray
    valid: np.ndarray | None
    layout: Layout
    position: np.ndarray
    link: np.ndarray
    kind: int
    logarithmic: bool
    real: bool
    amplitude: bool
    radio: np.ndarray
    facts: np.ndarray


def tokenize(signals: Signal | Sequence[Signal], spec: TokenSpec) -> Batch:
    """Signals, or one, -> one padded batch.

    Raises:
        SignalError: there is no signal.
        RecipeError: a signal's kind has no view in `spec`, or an antenna is beyond its table.
    """
    signals = [signals] if isinstance(signals, Signal) else signals
    if not len(signals):
        raise SignalError("tokenize: no signals; a recording shorter than one window gives none.")
    return cut(collated(signals, spec))


def collated(signals: Sequence[Signal], spec: TokenSpec) -> Collated:
    """As `tokenize`, of one signal at least, not yet cut."""
    return collate([sample_of(signal, spec) for signal in signals], spec)


def sample_of(signal: Signal, spec: TokenSpec) -> Sample:
    """One signal, with everything about its tokens that needs its axes. Raises as `tokenize`."""
    grid = layout_of(signal.values.shape, spec)
    view, physical = view_of(signal, spec.views), spec.positions == "physical"
    amplitude = view == "log-amplitude"
    position, interval_s = _positions(signal, grid, physical)
    links = np.repeat(_links(signal, spec), grid.nr, axis=0)
    return Sample(
        field=signal.values if amplitude else VIEWS[view](signal, signal.values).astype(np.complex64, copy=False),
        valid=None if signal.mask.all() else signal.mask,
        layout=grid,
        position=position,
        link=np.tile(links, (grid.nt + grid.static, 1)),
        kind=KINDS.index(signal.kind),
        logarithmic=amplitude or signal.kind == "rssi",
        real=signal.is_real or amplitude,
        amplitude=amplitude,
        radio=_log10([signal.carrier_hz, signal.bandwidth_hz, interval_s] if physical else [0.0, 0.0, 0.0]),
        facts=facts_of(signal),
    )


def collate(samples: Sequence[Sample], spec: TokenSpec) -> Collated:
    """One batch, not yet cut; shorter samples are padded with tokens whose `exists` and `measured` are False."""
    most = max(sample.layout.tokens for sample in samples)
    places = np.zeros((len(samples), most, len(Place)), np.int32)
    position, link = np.zeros((len(samples), most, 6), np.float32), np.zeros((len(samples), most, 2), np.int64)
    exists = np.zeros((len(samples), most), bool)
    for row, sample in enumerate(samples):
        count = sample.layout.tokens
        places[row, :count] = places_of(sample.field.shape, sample.layout)
        position[row, :count], link[row, :count], exists[row, :count] = sample.position, sample.link, True
    starts, values, valid = _end_to_end(samples)
    places[..., Place.START] += starts[:, None]
    measured = exists if valid is None else exists.copy()
    for row, sample in enumerate(samples):
        if sample.valid is not None:
            measured[row, : sample.layout.tokens] = _measured(sample.valid, sample.layout)
    amplitude = torch.tensor([sample.amplitude for sample in samples])
    whole = torch.from_numpy(places)
    fields = Fields(
        values=torch.from_numpy(values),
        valid=None if valid is None else torch.from_numpy(valid),
        start=whole[..., Place.START],
        times=whole[..., Place.TIMES],
        responses=whole[..., Place.RESPONSES],
        stride=torch.tensor([sample.field[0].size for sample in samples], dtype=torch.int32),
        amplitude=amplitude if bool(amplitude.any()) else None,
        places=patch_places(tuple((pt, pr) for pt, pr in spec.patch_shapes)),
    )
    return {
        "fields": fields,
        "position": torch.from_numpy(position),
        "link": torch.from_numpy(link),
        "grid": whole[..., : Place.COLUMN].long(),
        "column": whole[..., Place.COLUMN].long(),
        "shape": whole[..., Place.SHAPE].long(),
        "static": whole[..., Place.STATIC].bool(),
        "exists": torch.from_numpy(exists),
        "measured": torch.from_numpy(measured),
        "kind": torch.tensor([sample.kind for sample in samples]),
        "logarithmic": torch.tensor([sample.logarithmic for sample in samples]),
        "real": torch.tensor([sample.real for sample in samples]),
        "radio": torch.from_numpy(np.stack([sample.radio for sample in samples])),
        "facts": torch.from_numpy(np.stack([sample.facts for sample in samples])),
    }


def untokenize(values: np.ndarray, signal: Signal, spec: TokenSpec) -> np.ndarray:
    """Entries [N, E] of one signal's tokens (padding may follow) -> view-unit field complex64 [T, L, R]."""
    grid = layout_of(signal.values.shape, spec)
    used = values[: grid.nt * grid.links * grid.nr, : 2 * grid.pt * grid.pr]
    parts = np.ascontiguousarray(used, np.float32).view(np.complex64)
    field = parts.reshape(grid.nt, grid.links, grid.nr, grid.pt, grid.pr).transpose(0, 3, 1, 2, 4)
    times, _, responses = signal.values.shape
    return field.reshape(grid.nt * grid.pt, grid.links, grid.nr * grid.pr)[:times, :, :responses]


def _end_to_end(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Where each sample begins, and `values` and `valid` of `Fields`."""
    sizes = [sample.field.size + 2 * sample.layout.static * sample.field[0].size for sample in samples]
    ends = np.cumsum(sizes)
    values = np.empty(ends[-1], np.complex64)
    valid = None if all(sample.valid is None for sample in samples) else np.ones(ends[-1], bool)
    for sample, end, size in zip(samples, ends, sizes, strict=True):
        own = values[end - size : end]
        own[: sample.field.size] = sample.field.reshape(-1)
        own[sample.field.size :] = 0
        if valid is not None and sample.valid is not None:
            mask = valid[end - size : end]
            mask[: sample.field.size] = sample.valid.reshape(-1)
            if sample.layout.static:
                mask[sample.field.size :] = _times_known(sample.valid, sample.layout.pt).reshape(-1)
    return (ends - sizes).astype(np.int32), values, valid


def _times_known(valid: np.ndarray, pt: int) -> np.ndarray:
    """bool [2, L, R]: entries that were measured at any time, and at two neighbouring times of a patch."""
    both = valid[1:] & valid[:-1]
    both[pt - 1 :: pt] = False  # from one patch to the next
    return np.stack([valid.any(0), both.any(0)])


def _measured(valid: np.ndarray, cut: Layout) -> np.ndarray:
    """bool [N]: tokens of which an entry was measured."""
    times, links, responses = valid.shape
    padded = valid
    if (whole := (cut.nt * cut.pt, links, cut.nr * cut.pr)) != valid.shape:
        padded = np.zeros(whole, bool)
        padded[:times, :, :responses] = valid
    patches = padded.reshape(cut.nt, cut.pt, links, cut.nr, cut.pr).any(1).any(-1)  # both at once takes 3 times as long
    columns = patches.any(axis=0, keepdims=True)
    return np.concatenate([patches, columns] if cut.static else [patches]).reshape(-1)


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


def _positions(signal: Signal, cut: Layout, physical: bool) -> tuple[np.ndarray, float]:
    """float32 [N, 6] positions, and the interval between times in seconds."""
    times, responses = signal.time_s - signal.time_s[0], signal.response
    if not physical:
        times = INDEX_STEPS["time"] * np.arange(len(times), dtype=np.float64)
        responses = INDEX_STEPS[signal.domain] * np.arange(len(responses), dtype=np.float64)
    first = 2 if signal.domain == "frequency" else 4
    out = np.zeros((cut.nt + cut.static, cut.links, cut.nr, 6), np.float32)
    along, interval = _axis_patches(times.tobytes(), cut.pt)
    out[: cut.nt, ..., :2] = along[:, None, None]
    if cut.static:
        out[-1, ..., :2] = times[-1] / 2, times[-1] + interval
    out[..., first : first + 2], _ = _axis_patches(responses.tobytes(), cut.pr)
    return out.reshape(-1, 6), interval


@lru_cache(maxsize=256)  # most windows of a recording have the same axes
def _axis_patches(axis: bytes, size: int) -> tuple[np.ndarray, float]:
    """float64 [n, 2], centre and extent of every patch of a float64 axis, of which the last may have fewer entries; and
    the median step."""
    entries = np.frombuffer(axis, np.float64)
    step = float(np.median(np.diff(entries))) if len(entries) > 1 else 0.0
    first = entries[::size]
    last = np.append(entries[size - 1 :: size], entries[-1])[: len(first)]
    return np.stack([(first + last) / 2, last - first + step], axis=1), step


def _log10(values: Sequence[float]) -> np.ndarray:
    return np.array([np.log10(v) if v > 0 else np.nan for v in values], np.float32)
