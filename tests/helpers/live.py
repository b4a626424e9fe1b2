"""Captures that arrive in pieces, and what was decoded of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from foundation.readers.live import Decoder, Part, Piece, decoder_of
from foundation.signal import Signal


def pieces_of(data: bytes, size: int) -> list[Piece]:
    """Pieces of this size, each of which arrives a second after the other."""
    return [Piece(data[at : at + size], float(at // size)) for at in range(0, len(data), size)]


def fed(decoder: Decoder, pieces: Sequence[Piece]) -> list[Part]:
    """All that a decoder makes of pieces that come one at a time."""
    return [part for piece in pieces for part in decoder.feed([piece])] + decoder.end()


def recordings(parts: Sequence[Part]) -> dict[int, Signal]:
    """Number of every recording -> its signal."""
    found: dict[int, Signal] = {}
    for part in parts:
        before = found.get(part.recording)
        found[part.recording] = part.signal if before is None else _joined(before, part.signal)
        assert part.arrived_s.shape == part.signal.time_s.shape
    return found


def decoded(name: str, data: bytes, size: int, path: Path = Path("a.capture")) -> tuple[Decoder, list[Signal]]:
    """The decoder, and the signals of the recordings, the longest first."""
    decoder = decoder_of(name, path, False, {})
    found = recordings(fed(decoder, pieces_of(data, size)))
    return decoder, sorted(found.values(), key=lambda signal: -len(signal.time_s))


def assert_equal(found: Signal, expected: Signal) -> None:
    """To the bit, and all that does not depend on the whole file."""
    assert found.values.shape == expected.values.shape
    for name in ("values", "mask", "time_s", "response"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    for name in ("links", "carrier_hz", "bandwidth_hz", "kind", "device", "session"):
        assert getattr(found, name) == getattr(expected, name)


def _joined(one: Signal, other: Signal) -> Signal:
    values, valid, time_s = (
        np.concatenate([getattr(one, name), getattr(other, name)]) for name in ("values", "mask", "time_s")
    )
    return one.with_(values=values, valid=valid, time_s=time_s)


class Replay:
    """A source of pieces that are there already; its thread waits for those before it to be read."""

    is_datagram = loses = False

    def __init__(self, name: str, pieces: Iterable[Piece]) -> None:
        self.name, self._pieces = name, pieces

    def pieces(self) -> Iterator[Piece | None]:
        yield from self._pieces
