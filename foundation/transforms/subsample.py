"""Subsample a recording to fewer packets, fewer tones, half the band or one antenna, as another radio would measure it.

Entries are selected without filtering, and axes stay physical. A packet or tone samples the channel within
microseconds; a receiver with half the packet rate has no anti-aliasing filter, so motion faster than half the new rate
aliases here as it does there.
"""

from __future__ import annotations

import numpy as np

from foundation.errors import SignalError
from foundation.signal import Signal


def half_rate(signal: Signal) -> Signal:
    """Every second packet, starting with the first: half the packet rate over the same duration.

    Raises:
        SignalError: there are fewer than 4 times.
    """
    if len(signal.time_s) < 4:
        raise SignalError(f"half_rate needs at least 4 times; this signal has {len(signal.time_s)}.")
    return signal.part(times=slice(0, None, 2))


def half_subcarriers(signal: Signal) -> Signal:
    """Every second subcarrier, starting with the first: the same band at twice the spacing.

    Raises:
        SignalError: the response axis is delay, or there are fewer than 4 subcarriers.
    """
    return signal.part(responses=slice(0, _subcarriers(signal, "half_subcarriers"), 2))


def half_band(signal: Signal) -> Signal:
    """The middle half of the subcarriers: half the bandwidth at the same carrier and spacing.

    Raises:
        SignalError: the response axis is delay, or there are fewer than 4 subcarriers.
    """
    count = _subcarriers(signal, "half_band")
    first = (count - count // 2) // 2
    return signal.part(responses=slice(first, first + count // 2)).with_(bandwidth_hz=signal.bandwidth_hz / 2)


def one_antenna(signal: Signal) -> Signal:
    """The links of the first receive antenna, or of the first transmit antenna if there is one receive antenna.

    Raises:
        SignalError: there is a single link.
    """
    for end in ("rx", "tx"):
        antennas = np.array([getattr(link, end) for link in signal.links])
        chosen = np.flatnonzero(antennas == antennas[0])
        if len(chosen) < len(antennas):
            return signal.part(links=chosen)
    raise SignalError("one_antenna needs a signal of two antennas or more at one end; this one has a single link.")


def _subcarriers(signal: Signal, name: str) -> int:
    if signal.frequency_hz is None or len(signal.frequency_hz) < 4:
        found = f"{len(signal.response)} responses over {signal.domain}"
        raise SignalError(f"{name} needs at least 4 subcarriers; this signal has {found}.")
    return len(signal.frequency_hz)
