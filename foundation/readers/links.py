"""Links of an antenna array, in the order in which the readers list them."""

from __future__ import annotations

from foundation.signal import Link


def antenna_links(rx: int, tx: int) -> tuple[Link, ...]:
    """All pairs of `rx` receive and `tx` transmit antennas, ordered (rx, tx) with tx running fastest."""
    return tuple(Link(t, r) for r in range(rx) for t in range(tx))
