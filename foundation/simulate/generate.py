"""Sessions of simulated Wi-Fi channel state information, and the splits that never cut one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from foundation.errors import RecipeError
from foundation.signal import Label, Link, Signal
from foundation.simulate.channel import Field, moving_response, shadow, static_response
from foundation.simulate.config import SimulationConfig
from foundation.simulate.impairments import draw_noise, draw_packets, draw_valid, make_device
from foundation.simulate.people import make_person, move
from foundation.simulate.rooms import Array, Room, make_room

#: Furniture is put back a little differently before every recording.
CLUTTER_SHIFT_M = 0.02
_HELD_OUT_EVERY = 5


def simulate(count: int, seed: int, config: SimulationConfig | None = None, *, first: int = 0) -> Iterator[Signal]:
    """`count` windows of CSI from window `first` on, with their truth, session after session.

    Window i depends on (seed, i, config) alone, whatever `count` is. `clean` carries the same impairments as `values`
    but neither thermal noise nor lost packets. Labels: `activity`; and unless the room is empty `position` (x, y), the
    torso's mean in metres, and `velocity` (vx, vy), its mean in metres per second. An empty room has no subject.

    Raises:
        RecipeError: `count`, `seed` or `first` is negative.
    """
    for name, number in (("count", count), ("seed", seed), ("first", first)):
        if number < 0:
            raise RecipeError(f"simulate: {name} is {number}; expected a whole number >= 0.")
    return _windows(first, first + count, seed, config or SimulationConfig())


def simulated_splits(count: int, seed: int, config: SimulationConfig | None = None) -> dict[str, dict[str, list[str]]]:
    """The sessions of `simulate(count, seed, config)` by split and part.

    `room`: trained in the first rooms, tested in the last `test_rooms`. `recording`: within the training rooms,
    every fifth recording of each room is tested, a different fifth from room to room. The rooms and the sessions' names
    do not depend on the seed; it is taken so that a data set is named by the same three arguments everywhere.

    Raises:
        RecipeError: `count` is too small for every part to hold a session.
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
                    f"ask for at least {enough} windows (seed {seed})."
                )
    return parts


def session_name(session: int, config: SimulationConfig) -> str:
    """Rooms take turns, so that all of them are filled alike."""
    return f"room-{session % config.rooms}/rec-{session:04d}"


def _windows(first: int, stop: int, seed: int, config: SimulationConfig) -> Iterator[Signal]:
    size = config.windows_per_session
    for session in range(first // size, -(-stop // size)):
        start = session * size
        yield from _session(seed, session, config)[max(0, first - start) : stop - start]


def _session(seed: int, session: int, config: SimulationConfig) -> list[Signal]:
    rng = np.random.default_rng((seed, session))
    room = make_room(seed, session % config.rooms, config)
    room = replace(room, clutter_m=room.clutter_m + rng.normal(0, CLUTTER_SHIFT_M, room.clutter_m.shape))
    device_index, person_index = int(rng.integers(config.devices)), int(rng.integers(config.people))
    device = make_device(seed, device_index, config)
    carrier = float(rng.choice(config.carriers_hz))
    activities = [str(a) for a in rng.choice(config.activities, config.windows_per_session)]
    field, labels = _channel(rng, seed, room, person_index, carrier, activities, config)
    field *= device.response
    packets = draw_packets(rng, device, len(activities), config)
    snr = 10 ** (rng.uniform(*config.snr_db) / 10)
    noise = draw_noise(rng, field.shape, float(np.mean(field.real**2 + field.imag**2)) / snr)
    clean = field * packets.factor(config.frequency_hz)
    # Noise enters before the gain control, and its phase is uniform already.
    noise *= packets.gain.astype(np.float32)[:, :, None, None]
    noise += clean
    valid = draw_valid(rng, len(activities), config)
    links = _links(room)
    return [
        Signal(
            values=noise[i],
            clean=clean[i],
            valid=valid[i, :, None, None],
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
            labels=labels[i],
        )
        for i, activity in enumerate(activities)
    ]


def _channel(
    rng: np.random.Generator,
    seed: int,
    room: Room,
    person_index: int,
    carrier: float,
    activities: list[str],
    config: SimulationConfig,
) -> tuple[Field, list[dict[str, Label]]]:
    """The channel of every window, complex64 [B, T, links, F], and its labels."""
    sight, rest = static_response(room, carrier, config.frequency_hz)
    field = np.empty((len(activities), config.times, *sight.shape), np.complex64)
    field[:] = sight + rest
    labels: list[dict[str, Label]] = [{"activity": activity} for activity in activities]
    occupied = [i for i, activity in enumerate(activities) if activity != "empty"]
    if occupied:
        person = make_person(seed, person_index)
        points, rcs = move(rng, [activities[i] for i in occupied], person, room.size_m, config)
        torso = points[:, :, :2].mean(axis=2)
        moving = moving_response(room, points, rcs, carrier, config.frequency_hz)
        moving += (shadow(room, torso) - 1)[..., None] * sight
        field[occupied] += moving
        for i, way in zip(occupied, torso, strict=True):
            labels[i].update(_motion_labels(way, config.time_s))
    return field, labels


def _motion_labels(torso_m: Array, time_s: Array) -> dict[str, Label]:
    """Mean position and mean velocity in the horizontal plane; torso_m is [3, T]."""
    x, y = torso_m[:2].mean(axis=1)
    vx, vy = (torso_m[:2, -1] - torso_m[:2, 0]) / (time_s[-1] - time_s[0])
    return {"position": (float(x), float(y)), "velocity": (float(vx), float(vy))}


def _links(room: Room) -> tuple[Link, ...]:
    return tuple(
        Link(a, b, (float(tx[0]), float(tx[1]), float(tx[2])), (float(rx[0]), float(rx[1]), float(rx[2])))
        for a, tx in enumerate(room.tx_m)
        for b, rx in enumerate(room.rx_m)
    )
