"""Configuration of a simulated data set, and the seeds of its random streams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.errors import RecipeError

#: What a data set has by default, and all that people can do.
ACTIVITIES: tuple[str, ...] = ("empty", "still", "walk", "run", "wave", "sit_down", "turn")
ALL_ACTIVITIES: tuple[str, ...] = (
    *ACTIVITIES,
    *("stand_up", "fall", "push", "swipe", "circle", "clap", "raise_arms", "shake", "type", "kick", "jump"),
    *("squat", "bend"),
)

# Third word of the seed of rooms, people and devices, which persist across sessions. Never 0: NumPy pads seeds with
# zeros, so that (seed, s, 0) would be the stream of session s.
ROOM, PERSON, DEVICE = 1, 2, 3


@dataclass(frozen=True)
class SimulationConfig:
    """Sizes and ranges of a simulated data set; a pair is a range of a uniform distribution.

    Attributes:
        rooms: number of rooms; the last `test_rooms` of them are the test part of the split by room.
        windows_per_session: windows of one recording, which has one room, one device, one carrier and one person.
        times, interval_s: packets of a window and the seconds between them.
        tx_antennas, rx_antennas: a window has tx_antennas * rx_antennas links.
        bandwidth_hz: divided among `subcarriers` equally spaced subcarriers, symmetric about the carrier.
        room_size_m: range of length and width in metres.
        snr_db: range of the signal-to-noise ratio of a recording (mean signal power over thermal noise).
        packet_loss: probability that a packet is lost.
        activities: one per window, drawn with equal probability.

    Raises:
        RecipeError: a number is out of range or an activity is unknown.
    """

    rooms: int = 8
    test_rooms: int = 2
    people: int = 12
    devices: int = 6
    windows_per_session: int = 8
    times: int = 128
    interval_s: float = 0.01
    tx_antennas: int = 1
    rx_antennas: int = 2
    subcarriers: int = 32
    bandwidth_hz: float = 20e6
    carriers_hz: tuple[float, ...] = (2.437e9, 5.18e9)
    room_size_m: tuple[float, float] = (3.0, 9.0)
    snr_db: tuple[float, float] = (15.0, 30.0)
    packet_loss: float = 0.02
    activities: tuple[str, ...] = ACTIVITIES

    def __post_init__(self) -> None:
        smallest = {"rooms": 2, "test_rooms": 1, "times": 2}
        counts = ("people", "devices", "windows_per_session", "tx_antennas", "rx_antennas", "subcarriers")
        smallest.update(dict.fromkeys(counts, 1))
        for name, least in smallest.items():
            self._require(name, getattr(self, name) >= least, f"a whole number >= {least}")
        self._require("test_rooms", self.test_rooms < self.rooms, f"fewer than the {self.rooms} rooms")
        self._require("interval_s", self.interval_s > 0, "seconds > 0")
        self._require("bandwidth_hz", self.bandwidth_hz > 0, "hertz > 0")
        lowest = max(self.bandwidth_hz, 1e8)
        carriers_fit = bool(self.carriers_hz) and all(c >= lowest for c in self.carriers_hz)
        self._require("carriers_hz", carriers_fit, f"at least one carrier, each >= {lowest:g} Hz")
        low, high = self.room_size_m
        self._require("room_size_m", 2.5 <= low <= high, "an increasing pair of metres, each >= 2.5")
        self._require("snr_db", self.snr_db[0] <= self.snr_db[1], "an increasing pair of decibels")
        self._require("packet_loss", 0 <= self.packet_loss < 1, "a probability >= 0 and < 1")
        known = bool(self.activities) and set(self.activities) <= set(ALL_ACTIVITIES)
        self._require("activities", known, f"some of {', '.join(ALL_ACTIVITIES)}")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise RecipeError(f"SimulationConfig.{name} is {getattr(self, name)!r}; expected {expected}.")

    @property
    def frequency_hz(self) -> NDArray[np.float64]:
        """Offsets of the subcarriers from the carrier, [subcarriers]."""
        middle = (self.subcarriers - 1) / 2
        return np.asarray((np.arange(self.subcarriers) - middle) * (self.bandwidth_hz / self.subcarriers))

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Time of the packets from the start of a window, [times]."""
        return np.asarray(np.arange(self.times) * self.interval_s)
