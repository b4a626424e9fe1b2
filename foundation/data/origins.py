"""Where labelled samples come from: what cross-validation may leave out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from foundation.signal import Signal


class Origin(NamedTuple):
    """Where a sample comes from; "" where that is not known."""

    environment: str
    subject: str
    device: str
    session: str


def origins(signals: Iterable[Signal]) -> list[Origin]:
    """The origin of every signal."""
    return [Origin(each.environment, each.subject, each.device, each.session) for each in signals]
