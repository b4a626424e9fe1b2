"""Windows of people moving in front of a radar: positions, radar cross sections, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from foundation.signal import Label
from foundation.simulate.config import SimulationConfig
from foundation.simulate.corpus.draw import WINDOWS, antennas, draw_people, draw_room
from foundation.simulate.facts import facts_of_people
from foundation.simulate.people import move
from foundation.simulate.rooms import Array, Room


class Scene(NamedTuple):
    """One window.

    Attributes:
        people: of each person that is there, positions [3, S, T] (m) and radar cross sections [S] (m2) of scatterers.
        labels: see `foundation.simulate.facts`.
    """

    people: list[tuple[Array, Array]]
    labels: dict[str, Label]


def scenes(rng: np.random.Generator, seed: int, room: Room, times: int, interval: float) -> Iterator[Scene]:
    """`WINDOWS` windows of a room, each with its own people."""
    config = SimulationConfig(times=times, interval_s=interval)
    for _ in range(WINDOWS):
        people = draw_people(rng, seed, most=2, windows=1)
        inside = [(person, doing[0]) for person, doing in people if doing[0] != "empty"]
        moved = [move(rng, [doing], person, room.size_m, config) for person, doing in inside]
        present = [(doing, points[0]) for (_, doing), (points, _) in zip(inside, moved, strict=True)]
        labels = facts_of_people(present, config.time_s, room.tx_m[0], room.rx_m[0])
        yield Scene([(points[0], rcs[0]) for points, rcs in moved], labels)


def radar_room(rng: np.random.Generator, seed: int, session: int, carrier: float, tx: int, rx: int) -> Room:
    """A room with transmit and receive array in one device."""
    room = draw_room(rng, seed, session, carrier, tx, rx)
    return replace(room, rx_m=antennas(rng, room.tx_m.mean(axis=0) + np.array([0, 0, 0.03]), rx, carrier))
