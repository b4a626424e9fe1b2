"""Random draws shared by the kinds of the corpus: sizes, bands, rooms with antennas, people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from foundation.signal import SPEED_OF_LIGHT
from foundation.simulate.config import ALL_ACTIVITIES, SimulationConfig
from foundation.simulate.people import Person, make_person
from foundation.simulate.rooms import Array, Room, make_room

#: Windows per session, which has one room and one pair of devices.
WINDOWS = 4
#: Patches (times, responses) by which tokens are counted; token limits of most samples and of a share of large ones.
PATCHES = ((16, 8), (4, 8), (1, 16))
TOKENS, MOST_TOKENS, LARGE_SHARE = 150, 330, 0.03
#: Number of antennas that the network distinguishes by default: the limit on links.
LINKS = 64
#: Probability that a room is empty for a whole recording.
NOBODY = 0.08
#: Largest length of an antenna array.
ARRAY_M = 1.5
#: Carriers and their bandwidths: IEEE 802.11ah, b to ax (2.4 GHz, 5 and 6 GHz), cellular millimetre wave, 802.11ay.
Band = tuple[tuple[float, float], tuple[float, float]]
_BANDS: tuple[Band, ...] = (
    ((0.9e9, 0.93e9), (1e6, 16e6)),
    ((2.4e9, 2.484e9), (20e6, 40e6)),
    ((5.15e9, 7.1e9), (20e6, 320e6)),
    ((26e9, 30e9), (50e6, 400e6)),
    ((57e9, 71e9), (100e6, 1760e6)),
)
WIFI = _BANDS[1:3]
_RATE_HZ, _USUAL_RATE_HZ = (5.0, 4000.0), (20.0, 400.0)

#: People, each with an activity per window.
People = list[tuple[Person, list[str]]]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number from `low` to `high`, uniform in its logarithm."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def whole(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high`, uniform in its logarithm."""
    return min(high, int(log_uniform(rng, low, high + 1)))


def tokens_of(times: int, links: int, responses: int) -> int:
    """Number of tokens of a signal with `PATCHES`, including one static token per column."""
    pt, pr = next((patch for patch in PATCHES if patch[0] <= times), PATCHES[-1])
    return (-(-times // pt) + (times > 1)) * links * -(-responses // pr)


@dataclass(frozen=True)
class Sizes:
    """Shape of a window: times, transmit and receive antennas, responses."""

    times: int
    tx: int
    rx: int
    responses: int


def draw_sizes(
    rng: np.random.Generator,
    times: tuple[int, int],
    tx: tuple[int, int],
    rx: tuple[int, int],
    responses: tuple[int, int],
) -> Sizes:
    """Draw sizes from these ranges, repeatedly until they satisfy the limits on tokens and links."""
    most = MOST_TOKENS if rng.random() < LARGE_SHARE else TOKENS
    while True:
        drawn = Sizes(whole(rng, *times), whole(rng, *tx), whole(rng, *rx), whole(rng, *responses))
        links = drawn.tx * drawn.rx
        if links <= LINKS and tokens_of(drawn.times, links, drawn.responses) <= most:
            return drawn


def draw_band(rng: np.random.Generator, bands: Sequence[Band] | None = None) -> tuple[float, float]:
    """Draw carrier and bandwidth in hertz: of these bands; by default of a standard, or any from 0.9 to 77 GHz."""
    if bands is not None or rng.random() < 0.6:
        bands = bands or _BANDS
        carriers, widths = bands[int(rng.integers(len(bands)))]
        return float(rng.uniform(*carriers)), log_uniform(rng, *widths)
    carrier = log_uniform(rng, 0.9e9, 77e9)
    return carrier, log_uniform(rng, 1e6, min(400e6, carrier / 8))


def draw_interval(rng: np.random.Generator) -> float:
    """Draw the interval between samples in slow time, seconds."""
    return 1 / log_uniform(rng, *(_USUAL_RATE_HZ if rng.random() < 0.7 else _RATE_HZ))


def draw_room(
    rng: np.random.Generator, seed: int, session: int, carrier_hz: float, tx: int = 1, rx: int = 1, most_m: float = 9.0
) -> Room:
    """Draw a room of its own for a session, with linear arrays of about half a wavelength spacing."""
    room = make_room(seed, session, SimulationConfig(tx_antennas=1, rx_antennas=1, room_size_m=(3.0, most_m)))
    return replace(
        room,
        tx_m=antennas(rng, room.tx_m[0], tx, carrier_hz),
        rx_m=antennas(rng, room.rx_m[0], rx, carrier_hz),
    )


def antennas(rng: np.random.Generator, centre_m: Array, count: int, carrier_hz: float) -> Array:
    """Antenna positions [count, 3] of a horizontal linear array about a point."""
    angle = rng.uniform(0, 2 * np.pi)
    step = min(rng.uniform(0.4, 1.0) * SPEED_OF_LIGHT / carrier_hz, ARRAY_M / count)
    along = step * np.array([np.cos(angle), np.sin(angle), 0.0])
    return np.asarray(centre_m + (np.arange(count)[:, None] - (count - 1) / 2) * along)


def draw_people(rng: np.random.Generator, seed: int, most: int = 3, windows: int = WINDOWS) -> People:
    """Draw up to `most` people with one activity per window; an empty room is one person who is always absent."""
    count = 0 if rng.random() < NOBODY else int(rng.integers(1, most + 1))
    return [
        (
            make_person(seed, int(rng.integers(1_000_000))),
            [str(a) for a in rng.choice(ALL_ACTIVITIES, windows)] if count else ["empty"] * windows,
        )
        for _ in range(max(1, count))
    ]
