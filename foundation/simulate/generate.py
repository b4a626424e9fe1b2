"""Generate simulated Wi-Fi CSI by sessions, and splits by session and by room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from foundation.errors import RecipeError
from foundation.signal import Link, Signal
from foundation.simulate.channel import Field, moving_response, shadow, static_response
from foundation.simulate.config import SimulationConfig
from foundation.simulate.facts import Present, facts_of_people
from foundation.simulate.impairments import Device, draw_noise, draw_packets, draw_valid, make_device
from foundation.simulate.people import CHEST, Person, make_person, move
from foundation.simulate.rooms import Room, make_room

#: Standard deviation by which furniture is displaced between recordings.
CLUTTER_SHIFT_M = 0.02
_HELD_OUT_EVERY = 5


@dataclass(frozen=True)
class Recording:
    """Windows of a session: values and their noise-free truth, complex64 [B, T, links, F]; valid bool [B, T, 1, 1]."""

    values: Field
    clean: Field
    valid: NDArray[np.bool_]


def simulate(count: int, seed: int, config: SimulationConfig | None = None, *, first: int = 0) -> Iterator[Signal]:
    """Generate `count` windows of CSI with ground truth, starting at window `first`.

    Window i depends on (seed, i, config) only. `clean` has the impairments of `values` but neither thermal noise nor
    lost packets. Labels: see `foundation.simulate.facts`. The subject of an empty room is "".

    Args:
        count: number of windows; `config.windows_per_session` consecutive windows form a session.

    Raises:
        RecipeError: `count`, `seed` or `first` is negative.
    """
    for name, number in (("count", count), ("seed", seed), ("first", first)):
        if number < 0:
            raise RecipeError(f"simulate: {name} is {number}; expected a whole number >= 0.")
    return _windows(first, first + count, seed, config or SimulationConfig())


def simulated_splits(count: int, seed: int, config: SimulationConfig | None = None) -> dict[str, dict[str, list[str]]]:
    """Session names of `simulate(count, seed, config)` by split and part.

    `room`: the last `test_rooms` rooms are the test part. `recording`: within the training rooms, every fifth recording
    of each room is the test part, with a different offset per room. Names do not depend on the seed, which appears in
    error messages only.

    Raises:
        RecipeError: `count` is too small for every part to have a session.
    """
    config = config or SimulationConfig()
    parts: dict[str, dict[str, list[str]]] = {s: {"train": [], "test": []} for s in ("room", "recording")}
    for session in range(-(-count // config.windows_per_session)):
        name, room = session_name(session, config), session % config.rooms
        if room >= config.rooms - config.test_rooms:
            parts["room"]["test"].append(name)
            continue
        parts["room"]["train"].append(name)
        held_out = (session // config.rooms + room) % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
        parts["recording"]["test" if held_out else "train"].append(name)
    for split, by_part in parts.items():
        for part, names in by_part.items():
            if not names:
                enough = config.windows_per_session * config.rooms * _HELD_OUT_EVERY
                raise RecipeError(
                    f"simulated_splits: count {count} leaves {split}/{part} without a session; "
                    f"request at least {enough} windows (seed {seed})."
                )
    return parts


def session_name(session: int, config: SimulationConfig) -> str:
    """Name of a session; rooms alternate, so that all have about the same number of sessions."""
    return f"room-{session % config.rooms}/rec-{session:04d}"


def _windows(first: int, stop: int, seed: int, config: SimulationConfig) -> Iterator[Signal]:
    size = config.windows_per_session
    for session in range(first // size, -(-stop // size)):
        start = session * size
        yield from _session(seed, session, config)[max(0, first - start) : stop - start]


def record(rng: np.random.Generator, field: Field, device: Device, config: SimulationConfig) -> Recording:
    """Apply the receiver impairments to the channels [B, T, links, F] of a session; `field` is overwritten."""
    field *= device.response
    packets = draw_packets(rng, device, len(field), config)
    snr = 10 ** (rng.uniform(*config.snr_db) / 10)
    noise = draw_noise(rng, field.shape, float(np.mean(field.real**2 + field.imag**2)) / snr)
    clean = field * packets.factor(config.frequency_hz)
    # Thermal noise enters before the gain control; its phase is already uniform.
    noise *= packets.gain.astype(np.float32)[:, :, None, None]
    noise += clean
    return Recording(noise, clean, draw_valid(rng, len(field), config)[:, :, None, None])


def occupied_channel(
    rng: np.random.Generator,
    room: Room,
    people: Sequence[tuple[Person, Sequence[str]]],
    carrier: float,
    config: SimulationConfig,
) -> tuple[Field, list[list[Present]]]:
    """The channel of B windows, complex64 [B, T, links, F], and the people in each.

    Args:
        people: each with one activity per window, `empty` if absent.
    """
    sight, rest = static_response(room, carrier, config.frequency_hz)
    windows = len(people[0][1])
    field = np.empty((windows, config.times, *sight.shape), np.complex64)
    field[:] = sight + rest
    present: list[list[Present]] = [[] for _ in range(windows)]
    for person, activities in people:
        inside = [i for i, activity in enumerate(activities) if activity != "empty"]
        if not inside:
            continue
        points, rcs = move(rng, [activities[i] for i in inside], person, room.size_m, config)
        moving = moving_response(room, points, rcs, carrier, config.frequency_hz)
        moving += (shadow(room, points[:, :, CHEST].mean(axis=2)) - 1)[..., None] * sight
        field[inside] += moving
        for i, own in zip(inside, points, strict=True):
            present[i].append((activities[i], own))
    return field, present


def _session(seed: int, session: int, config: SimulationConfig) -> list[Signal]:
    rng = np.random.default_rng((seed, session))
    room = make_room(seed, session % config.rooms, config)
    room = replace(room, clutter_m=room.clutter_m + rng.normal(0, CLUTTER_SHIFT_M, room.clutter_m.shape))
    device_index, person_index = int(rng.integers(config.devices)), int(rng.integers(config.people))
    device = make_device(seed, device_index, config)
    carrier = float(rng.choice(config.carriers_hz))
    activities = [str(a) for a in rng.choice(config.activities, config.windows_per_session)]
    field, present = occupied_channel(rng, room, [(make_person(seed, person_index), activities)], carrier, config)
    recording = record(rng, field, device, config)
    links = links_of(room)
    return [
        Signal(
            values=recording.values[i],
            clean=recording.clean[i],
            valid=recording.valid[i],
            time_s=config.time_s,
            frequency_hz=config.frequency_hz,
            links=links,
            kind="csi",
            carrier_hz=carrier,
            bandwidth_hz=config.bandwidth_hz,
            device=f"sim-{device_index}",
            environment=f"room-{session % config.rooms}",
            subject="" if activity == "empty" else f"person-{person_index}",
            session=session_name(session, config),
            source="foundation.simulate",
            licence="CC0-1.0",
            labels=facts_of_people(present[i], config.time_s, room.tx_m[0], room.rx_m[0]),
        )
        for i, activity in enumerate(activities)
    ]


def links_of(room: Room) -> tuple[Link, ...]:
    """The links of a room's antennas with their positions, tx-major."""
    return tuple(
        Link(a, b, (float(tx[0]), float(tx[1]), float(tx[2])), (float(rx[0]), float(rx[1]), float(rx[2])))
        for a, tx in enumerate(room.tx_m)
        for b, rx in enumerate(room.rx_m)
    )
