"""Numpy arrays as signals: what an array does not say is given beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foundation.errors import SignalError
from foundation.signal import KINDS, Link, Signal

#: Kinds of which no phase is measured; their arrays are real. Power and amplitude are 0 at least, dBm are not.
REAL = ("csi-amplitude", "spectrogram", "rssi")
POSITIVE = ("csi-amplitude", "spectrogram")
SPACING_HZ = 312.5e3  # between responses where no bandwidth is given: that of subcarriers in Wi-Fi up to 802.11ac


@dataclass(frozen=True)
class Axes:
    """The physical axes of arrays.

    Attributes:
        kind: of `foundation.signal.KINDS`.
        sample_rate_hz: times a second.
        carrier_hz, bandwidth_hz: 0 if unknown.
    """

    kind: str
    sample_rate_hz: float
    carrier_hz: float
    bandwidth_hz: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SignalError(f"kind is {self.kind!r}; expected one of {', '.join(KINDS)}.")
        if not 0 < self.sample_rate_hz < np.inf:
            raise SignalError(f"sample_rate_hz is {self.sample_rate_hz}; expected a number above 0.")
        if self.kind == "cir" and not self.bandwidth_hz > 0:
            raise SignalError("the delays of kind 'cir' follow from its bandwidth; give bandwidth_hz.")

    def signals(self, values: np.ndarray) -> list[Signal]:
        """
        Args:
            values: [n, times], [n, times, responses] or [n, times, links, responses]; of a delay domain ("cir") the
                responses are taps.

        Raises:
            SignalError: another number of axes.
        """
        if not 2 <= values.ndim <= 4:
            raise SignalError(
                f"X has shape {values.shape}; expected [samples, times], [samples, times, responses] or [samples, "
                "times, links, responses], or a list of Signals."
            )
        fields = values.reshape(*values.shape[:2], *((1, 1, *values.shape[2:])[values.ndim - 2 :]))
        _, times, links, responses = fields.shape
        spacing = self.bandwidth_hz / responses or SPACING_HZ
        is_delay = self.kind == "cir"
        return [
            Signal(
                values=each.astype(np.complex64),
                time_s=np.arange(times) / self.sample_rate_hz,
                links=tuple(Link(0, number) for number in range(links)),
                kind=self.kind,
                carrier_hz=self.carrier_hz,
                bandwidth_hz=self.bandwidth_hz,
                frequency_hz=None if is_delay else (np.arange(responses) - (responses - 1) / 2) * spacing,
                delay_s=np.arange(responses) / self.bandwidth_hz if is_delay else None,
                is_real=not np.iscomplexobj(values),
            )
            for each in fields
        ]


def are_signals(X: object) -> bool:  # noqa: N803  scikit-learn's name
    """Whether this is a list, or an array of objects, that begins with a Signal."""
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1 and len(X) > 0 and isinstance(X[0], Signal)
    return isinstance(X, Sequence) and len(X) > 0 and isinstance(X[0], Signal)
