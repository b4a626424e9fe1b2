"""Packets of a capture by their setup: one signal per kind of packet."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Sized
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


def transmitter_label(address: str, groups: Sized) -> dict[str, str]:
    """The label `transmitter` of a signal where a capture gives several; none if it gives one or has no address."""
    return {"transmitter": address} if address and len(groups) > 1 else {}
