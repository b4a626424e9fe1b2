"""One signal per kind of packet, for captures of whatever was in the air."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", bound=Hashable)


def by_kind(kinds: Iterable[Kind | None], what: str, path: Path) -> dict[Kind, NDArray[np.int64]]:
    """The packets of each kind, the largest kind first; with a warning if there is more than one.

    Packets of one kind make one signal: another transmitter, carrier, tone plan or antenna count is another channel.

    Args:
        kinds: the kind of every packet, in the order of the file; None leaves a packet out.
        what: the properties that make a kind, for the warning.
    """
    found: dict[Kind, list[int]] = {}
    for packet, kind in enumerate(kinds):
        if kind is not None:
            found.setdefault(kind, []).append(packet)
    groups = {kind: np.asarray(found[kind]) for kind in sorted(found, key=lambda kind: -len(found[kind]))}
    if len(groups) > 1:
        sizes = ", ".join(str(len(packets)) for packets in groups.values())
        warnings.warn(
            f"{path}: its packets differ in {what}; they become {len(groups)} signals of {sizes} packets",
            stacklevel=3,
        )
    return groups
