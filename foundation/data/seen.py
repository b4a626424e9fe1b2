"""What signals a head was fitted to, and whether others are like them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from foundation.data.windows import WindowShape
from foundation.errors import SignalError
from foundation.signal import KINDS, Signal

#: Ratio of carriers that counts as one band: 5.2 and 5.8 GHz are one, 2.4 and 5.2 GHz are two.
ONE_BAND = 1.25
_Size = Annotated[int, Field(ge=1, le=10**9)]


class Seen(BaseModel):
    """Kinds, shapes, carriers and windows of the training signals.

    Attributes:
        kinds: of `foundation.signal.KINDS`.
        times: smallest and largest number of time samples.
        grids: (links, responses) of every shape.
        carriers_hz: smallest and largest of those that are known; None: none is.
        window: how long and how fast they were; None of adapters saved by earlier versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kinds: list[str] = Field(min_length=1, max_length=len(KINDS))
    times: tuple[_Size, _Size]
    grids: list[tuple[_Size, _Size]] = Field(min_length=1)
    carriers_hz: tuple[float, float] | None
    window: WindowShape | None = None

    @classmethod
    def of(cls, signals: Sequence[Signal]) -> Seen:
        times = [len(signal.values) for signal in signals]
        carriers = [signal.carrier_hz for signal in signals if signal.carrier_hz > 0]
        return cls(
            kinds=sorted({signal.kind for signal in signals}),
            times=(min(times), max(times)),
            grids=sorted({(signal.values.shape[1], signal.values.shape[2]) for signal in signals}),
            carriers_hz=(min(carriers), max(carriers)) if carriers else None,
            window=WindowShape.of(signals),
        )

    def check(self, signals: Sequence[Signal]) -> None:
        """Refuse signals of another kind, as `check_kinds`; warn of other shapes and bands."""
        self.check_kinds(signals)
        strange = next((text for signal in signals if (text := self._strange(signal))), None)
        if strange:
            warnings.warn(f"{strange}; what the head says of such signals was never tested.", stacklevel=3)

    def check_kinds(self, signals: Sequence[Signal]) -> None:
        """Refuse signals of another kind, whose outputs would mean nothing.

        Raises:
            SignalError: names the session and both kinds.
        """
        other = next((signal for signal in signals if signal.kind not in self.kinds), None)
        if other is not None:
            raise SignalError(
                f"session {other.session!r} is {other.kind}, and the head was fitted to {', '.join(self.kinds)}; give "
                "signals of that kind, or fit an adapter to this one."
            )

    def _strange(self, signal: Signal) -> str:
        """How a signal differs from all that were seen; "" if it does not."""
        times, links, responses = signal.values.shape
        if (links, responses) not in self.grids or not self.times[0] <= times <= self.times[1]:
            shapes = " or ".join(f"{a} x {b}" for a, b in self.grids[:3])
            return (
                f"session {signal.session!r} has {times} times x {links} links x {responses} responses, and the head "
                f"was fitted to {' to '.join(map(str, dict.fromkeys(self.times)))} times x {shapes}"
            )
        bandwidths = self.window.bandwidths_hz if self.window else None
        if text := _beside(signal.carrier_hz, self.carriers_hz, 1e9, "GHz"):
            return f"session {signal.session!r} is at {text}"
        if text := _beside(signal.bandwidth_hz, bandwidths, 1e6, "MHz"):
            return f"session {signal.session!r} has a bandwidth of {text}"
        return ""


def _beside(hertz: float, seen: tuple[float, float] | None, unit: float, name: str) -> str:
    """A frequency that lies outside of what was seen, and what was; "" for one that does not, or is not known."""
    low, high = seen or (0.0, float("inf"))
    if hertz <= 0 or low / ONE_BAND <= hertz <= high * ONE_BAND:
        return ""
    span = " to ".join(f"{each / unit:.2f}" for each in dict.fromkeys((low, high)))
    return f"{hertz / unit:.2f} {name}, and the head was fitted at {span} {name}"
