"""One scan of signal strengths as a signal: of every transmitter the level, or that it was not heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.signal import Link, Signal


def scan_signal(strength: NDArray[Any], heard: NDArray[np.bool_], links: Sequence[Link], **described: Any) -> Signal:
    """The signal of a scan at one time, of unknown carrier.

    Args:
        strength: of every link in dBm; `heard`: which are measured.
        described: further fields of `Signal`, such as session and labels.
    """
    return Signal(
        values=strength[None, :, None].astype(np.complex64),
        valid=heard[None, :, None],
        time_s=np.zeros(1),
        links=tuple(links),
        frequency_hz=np.zeros(1),
        kind="rssi",
        carrier_hz=0.0,
        is_real=True,
        **described,
    )
