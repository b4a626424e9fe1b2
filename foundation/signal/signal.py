"""`Signal`: one radio measurement, a complex array over (time, link, response) with physical axes.

The response axis is frequency for most kinds and delay for impulse responses; exactly one of `frequency_hz` and
`delay_s` is given. Units are seconds, hertz and metres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.signal.kinds import KINDS

#: In a vacuum, metres per second (exact: the definition of the metre).
SPEED_OF_LIGHT = 299_792_458.0

_MOST_ANTENNAS = 2**31

Label = str | int | float | tuple[float, ...]
Index = slice | NDArray[np.intp]


@dataclass(frozen=True)
class Link:
    """One transmitter-receiver antenna pair.

    Attributes:
        tx, rx: antenna indices from 0.
        tx_position_m, rx_position_m: (x, y, z) in metres in the coordinate frame of the environment, or None if the
            geometry was not recorded.
    """

    tx: int = 0
    rx: int = 0
    tx_position_m: tuple[float, float, float] | None = None
    rx_position_m: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Signal:
    """A radio measurement with its physical axes and its provenance. T times, L links, R entries of the response axis.

    Attributes:
        values: complex64 [T, L, R], linear units (dBm for kind "rssi"). Real-valued signals have imaginary part 0 and
            set `is_real`.
        time_s: float64 [T], seconds from the start of the recording, strictly increasing.
        links: L antenna pairs.
        kind: one of `KINDS`.
        carrier_hz, bandwidth_hz: hertz; 0 if unknown.
        frequency_hz: float64 [R], offsets from the carrier, strictly increasing; None for delay-domain signals.
        delay_s: float64 [R], uniformly spaced, 0 at the first path if it is known; None for frequency-domain signals.
        valid: bool [T, L, R] or broadcastable; False where nothing was measured (lost packet, null subcarrier). Values
            there are 0.
        clean: complex64 [T, L, R], noise-free ground truth of `values` if known (simulation), else None.
        is_real: the values are real-valued.
        device, environment, subject, source, licence: provenance as free text.
        session: recording, geometry or day; train and test parts never share one.
        is_complete: every entry is valid.
        labels: task name -> class name, number or tuple of numbers (such as a position in metres). NumPy types are
            converted to Python's.

    Raises:
        SignalError: shapes disagree, an axis does not increase, the kind is unknown, an antenna has no number from 0,
            or a valid entry is not finite.
    """

    values: NDArray[np.complex64]
    time_s: NDArray[np.float64]
    links: tuple[Link, ...]
    kind: str
    carrier_hz: float
    bandwidth_hz: float = 0.0
    frequency_hz: NDArray[np.float64] | None = None
    delay_s: NDArray[np.float64] | None = None
    valid: NDArray[np.bool_] | None = None
    clean: NDArray[np.complex64] | None = None
    is_real: bool = False
    device: str = ""
    environment: str = ""
    subject: str = ""
    session: str = ""
    source: str = ""
    licence: str = ""
    labels: Mapping[str, Label] = field(default_factory=dict)
    is_complete: bool = field(init=False)

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.complex64)
        if values.ndim != 3 or 0 in values.shape:
            raise SignalError(f"Signal.values has shape {values.shape}; expected non-empty [time, link, response].")
        self._set("values", values)
        self._set("time_s", self._axis("time_s", self.time_s, values.shape[0]))
        self._set("links", tuple(self.links))
        if len(self.links) != values.shape[1]:
            raise SignalError(f"Signal.links has {len(self.links)} entries but values has {values.shape[1]} links.")
        for link in self.links:
            if not (_is_antenna(link.tx) and _is_antenna(link.rx)):
                raise SignalError(f"Signal.links has {link.tx!r} to {link.rx!r}; expected antennas counted from 0.")
        if (self.frequency_hz is None) == (self.delay_s is None):
            raise SignalError("Signal needs exactly one response axis: frequency_hz or delay_s.")
        name = "frequency_hz" if self.delay_s is None else "delay_s"
        self._set(name, self._axis(name, getattr(self, name), values.shape[2]))
        if self.kind not in KINDS:
            raise SignalError(f"Signal.kind is {self.kind!r}; expected one of {', '.join(KINDS)}.")
        self._set("labels", {name: _plain(label) for name, label in self.labels.items()})
        for scalar in ("carrier_hz", "bandwidth_hz"):
            if not 0 <= getattr(self, scalar) < math.inf:
                raise SignalError(
                    f"Signal.{scalar} is {getattr(self, scalar)}; expected a finite number >= 0 in hertz."
                )
        self._check_entries()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen dataclass: fields are set during construction only

    @staticmethod
    def _axis(name: str, axis: Any, length: int) -> NDArray[np.float64]:
        array = np.asarray(axis, dtype=np.float64)
        if array.shape != (length,):
            raise SignalError(f"Signal.{name} has shape {array.shape} but values needs ({length},).")
        rising = array[1:] > array[:-1]  # False at NaN: where it holds and both ends are finite, all are
        if not (math.isfinite(array[0]) and math.isfinite(array[-1]) and rising.all()):
            if not (finite := np.isfinite(array)).all():
                raise SignalError(f"Signal.{name} has a non-finite entry at index {int(np.argmin(finite))}.")
            at = int(np.argmin(rising)) + 1
            raise SignalError(f"Signal.{name} does not increase at index {at}: {array[at - 1]} then {array[at]}.")
        return array

    def _check_entries(self) -> None:
        valid = _everywhere(self.values.shape) if self.valid is None else np.asarray(self.valid, dtype=bool)
        self._set("is_complete", self.valid is None or bool(valid.all()))
        if valid.shape != self.values.shape:
            try:
                valid = np.broadcast_to(valid, self.values.shape)  # a view
            except ValueError:
                raise SignalError(
                    f"Signal.valid has shape {valid.shape}, which does not broadcast to {self.values.shape}."
                ) from None
        if not self.is_complete and not valid.any():
            raise SignalError(
                f"Signal.valid is False everywhere (session {self.session!r}): nothing was measured; leave it out."
            )
        if not all_finite(self.values) and (bad := ~np.isfinite(self.values) & valid).any():
            raise SignalError(
                f"Signal.values is not finite at [time, link, response] = {_first(bad)}; mark it invalid or drop it."
            )
        if self.is_real and (imaginary := (self.values.imag != 0) & valid).any():
            raise SignalError(
                f"Signal.is_real is set but values is complex at [time, link, response] = {_first(imaginary)}."
            )
        if not self.is_complete:
            self._set("values", np.where(valid, self.values, np.complex64(0)))
        self._set("valid", valid)
        if self.clean is not None:
            clean = np.asarray(self.clean, dtype=np.complex64)
            if clean.shape != self.values.shape:
                raise SignalError(f"Signal.clean has shape {clean.shape}; expected {self.values.shape} as values has.")
            if not all_finite(clean):
                raise SignalError(
                    f"Signal.clean is not finite at [time, link, response] = {_first(~np.isfinite(clean))}."
                )
            self._set("clean", clean)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """bool [T, L, R]: `valid`, which is never None after construction."""
        assert self.valid is not None
        return self.valid

    @property
    def response(self) -> NDArray[np.float64]:
        """float64 [R]: the response axis in hertz or seconds, see `domain`."""
        axis = self.frequency_hz if self.frequency_hz is not None else self.delay_s
        assert axis is not None
        return axis

    @property
    def domain(self) -> str:
        """Domain of the response axis: "frequency" or "delay"."""
        return "delay" if self.frequency_hz is None else "frequency"

    @property
    def interval_s(self) -> float:
        """Median sampling interval in seconds; 0 for a single snapshot."""
        return float(np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else 0.0

    def with_(self, **changes: Any) -> Signal:
        """A validated copy with some fields replaced."""
        return replace(self, **changes)

    def window(self, start: int, length: int) -> Signal:
        """The samples `start:start+length` in time; `time_s` starts at 0.

        Raises:
            SignalError: the window exceeds the signal.
        """
        if start < 0 or length < 1 or start + length > len(self.time_s):
            raise SignalError(
                f"window [{start}, {start + length}) lies outside a signal of {len(self.time_s)} samples."
            )
        part = self.part(times=slice(start, start + length))
        return part.with_(time_s=part.time_s - self.time_s[start])

    def part(self, times: Index = slice(None), links: Index = slice(None), responses: Index = slice(None)) -> Signal:
        """The entries at these indices of each axis, in order; axes keep their units and origin.

        Raises:
            SignalError: none of the selected entries is valid.
        """
        return replace(
            self,
            values=self.values[times][:, links][:, :, responses],
            valid=self.mask[times][:, links][:, :, responses],
            clean=None if self.clean is None else self.clean[times][:, links][:, :, responses],
            time_s=self.time_s[times],
            links=tuple(self.links[i] for i in np.arange(len(self.links))[links]),
            frequency_hz=None if self.frequency_hz is None else self.frequency_hz[responses],
            delay_s=None if self.delay_s is None else self.delay_s[responses],
        )


def all_finite(values: NDArray) -> bool:
    """Whether no entry of a real or complex array is infinite or NaN."""
    # Of complex numbers numpy looks at each part with a branch, which takes three times as long.
    parts = values.view(values.real.dtype) if values.flags.c_contiguous and values.ndim else values
    return bool(np.isfinite(parts).all())


@lru_cache(maxsize=256)
def _everywhere(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """True in this shape, as a view that takes no memory."""
    return np.broadcast_to(np.asarray(True), shape)


def _is_antenna(end: object) -> bool:
    return isinstance(end, (int, np.integer)) and bool(0 <= end < _MOST_ANTENNAS)


def _plain(label: Any) -> Any:
    """A label as a JSON type: arrays become tuples, NumPy scalars Python numbers."""
    if isinstance(label, (str, int, float)) and not isinstance(label, np.generic):
        return label
    found = label.tolist() if isinstance(label, np.ndarray | np.generic) else label
    return tuple(_plain(part) for part in found) if isinstance(found, list | tuple) else found


def _first(where: NDArray[np.bool_]) -> list[int]:
    """Index of the first True entry."""
    return [int(i) for i in np.argwhere(where)[0]]
