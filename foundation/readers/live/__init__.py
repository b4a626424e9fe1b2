"""Captures that grow: their packets as signals while they come in, by the parsers of `foundation.readers.wifi`.

One module per format, each with a decoder that takes bytes as they arrive. A decoder never stops at what it cannot
read: it counts it and goes on with the next packet. What is decided of a whole file (which links it has, which
subcarriers carry energy, which counter is its clock) is decided on the first packets.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foundation.errors import ReadError
from foundation.readers.live.esp32 import Esp32Decoder
from foundation.readers.live.nexmon import NexmonDecoder
from foundation.readers.live.parts import Decoder, Part, Piece
from foundation.readers.live.picoscenes import PicoScenesDecoder
from foundation.readers.wifi import esp32_csv, nexmon, picoscenes

__all__ = ["DECODERS", "FURTHEST_BYTES", "Decoder", "Part", "Piece", "decoder_of", "detect"]

#: Format, a key of `foundation.readers.READERS`, -> what decodes it.
DECODERS: dict[str, Callable[..., Decoder]] = {
    "nexmon": NexmonDecoder,
    "picoscenes": PicoScenesDecoder,
    "esp32_csv": Esp32Decoder,
}
FURTHEST_BYTES = 1 << 20  # how far into what arrives a format is looked for


def detect(head: bytes, is_datagram: bool) -> str | None:
    """The format of what has arrived so far, or of one datagram; None: it is not known (yet)."""
    if picoscenes.sniff(head):
        return "picoscenes"
    if (is_datagram and head[:2] == nexmon.MAGIC.to_bytes(2, "little")) or (not is_datagram and nexmon.sniff(head)):
        return "nexmon"
    return "esp32_csv" if esp32_csv.sniff(head[:4096]) or esp32_csv.sniff_further(head) else None


def decoder_of(name: str, path: Path, is_datagram: bool, options: dict[str, Any]) -> Decoder:
    """A decoder of a format.

    Args:
        path: of the capture, or a name in its place, for messages and the session of the signals.
        is_datagram: every piece is a datagram.
        options: as of the `read` of the format's module.

    Raises:
        ReadError: there is no decoder of the format, or it has no such option.
    """
    if name not in DECODERS:
        raise ReadError(f"{path}: no {name} can be read while it grows; known are {', '.join(DECODERS)}.")
    kind = DECODERS[name]
    known = list(inspect.signature(kind).parameters)[2:]
    if unknown := [option for option in options if option not in known]:
        raise ReadError(f"format {name} has no option {unknown[0]!r}; it takes {', '.join(known)}.")
    return kind(path, is_datagram, **options)
