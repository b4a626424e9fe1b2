"""Packets of a capture by their setup: one signal per kind of packet, or the most frequent setup alone."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", bound=Hashable)


def by_kind(kinds: Iterable[Kind | None], what: str, path: Path) -> dict[Kind, NDArray[np.int64]]:
    """Group packets by kind, the largest group first; warns if there is more than one.

    Packets of one kind make one signal: another transmitter, carrier, set of subcarriers or antenna count is another
    channel.

    Args:
        kinds: the kind of every packet, in the order of the file; None leaves a packet out.
        what: the properties that define a kind, for the warning.

    Returns:
        Kind -> indices of its packets, in the order of the file.
    """
    found: dict[Kind, list[int]] = {}
    for packet, kind in enumerate(kinds):
        if kind is not None:
            found.setdefault(kind, []).append(packet)
    groups = {kind: np.asarray(found[kind]) for kind in sorted(found, key=lambda kind: -len(found[kind]))}
    if len(groups) > 1:
        sizes = ", ".join(str(len(packets)) for packets in groups.values())
        warnings.warn(
            f"{path}: the packets differ in {what}; they are returned as {len(groups)} signals of {sizes} packets",
            stacklevel=3,
        )
    return groups


def most_frequent(
    columns: Sequence[NDArray], what: str, setup: str, path: Path
) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """Select the packets of the most frequent setup, of equally frequent ones the first; warns if others are dropped.

    Args:
        columns: the properties that define a setup, non-negative integers [packets] each.
        what: their names, for the warning.
        setup: a format string that describes a setup, with one field per property.

    Returns:
        Indices of the packets, in the order of the file, and the setup.
    """
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        codes = codes * (int(column.max()) + 1) + column
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    _, best = min(zip(-counts, first, strict=True))
    is_kept = codes == codes[best]
    kept, chosen = np.flatnonzero(is_kept), tuple(int(column[best]) for column in columns)
    if len(counts) > 1:
        warnings.warn(
            f"{path}: dropped {len(codes) - len(kept)} of {len(codes)} packets whose {what} differ from the most "
            f"frequent ({setup.format(*chosen)}), the first at packet {int(np.argmin(is_kept))}",
            stacklevel=3,
        )
    return kept, chosen
