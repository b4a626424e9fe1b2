"""`Signal`, the data type of all radio measurements, and its byte format. Depends on NumPy only."""

from foundation.signal.codec import decode, encode, stored_shape
from foundation.signal.domain import to_delay, to_frequency
from foundation.signal.kinds import KINDS
from foundation.signal.signal import SPEED_OF_LIGHT, Label, Link, Signal

__all__ = [
    "KINDS",
    "SPEED_OF_LIGHT",
    "Label",
    "Link",
    "Signal",
    "decode",
    "encode",
    "stored_shape",
    "to_delay",
    "to_frequency",
]
