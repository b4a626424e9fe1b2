"""What the simulator knows of the people in a window, as labels (see `foundation.signal.facts`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from foundation.signal import Label
from foundation.signal.facts import PARTS
from foundation.simulate.people import CHEST, LIMBS
from foundation.simulate.rooms import Array

#: Task types of the labels below.
MOTION_TASKS: dict[str, Literal["classification", "regression"]] = {
    "activity": "classification",
    "people": "classification",
    **dict.fromkeys(("position", "velocity", "torso_speed", "limb_speed", "lift_speed", "path_speed"), "regression"),
}
#: A person in the room: activity, and positions [3, 6, T] of the scatterers in metres.
Present = tuple[str, Array]


def facts_of_people(present: Sequence[Present], time_s: Array, tx_m: Array, rx_m: Array) -> dict[str, Label]:
    """Labels of a window: `people`, how many; `activity`, where all do the same, or `empty`; of one person `position`
    (m) and `velocity` (m/s), means in the horizontal plane; and `motion_profiles`.

    Args:
        time_s: [T].
        tx_m, rx_m: positions [3] of the antennas of a link.
    """
    found: dict[str, Label] = {"people": len(present)}
    if len({activity for activity, _ in present}) < 2:
        found["activity"] = present[0][0] if present else "empty"
    if len(present) == 1 and len(time_s) > 1:
        torso = present[0][1][:, CHEST].mean(axis=1)
        x, y = torso[:2].mean(axis=1)
        vx, vy = (torso[:2, -1] - torso[:2, 0]) / (time_s[-1] - time_s[0])
        found |= {"position": (float(x), float(y)), "velocity": (float(vx), float(vy))}
    return found | motion_profiles([points for _, points in present], time_s, tx_m, rx_m)


def motion_profiles(points_m: Sequence[Array], time_s: Array, tx_m: Array, rx_m: Array) -> dict[str, Label]:
    """Speeds in m/s in each of `PARTS` equal parts of the window, those of the fastest person; 0 in an empty room.

    `torso_speed`, in the horizontal plane; `limb_speed`, root mean square over hands and legs, relative to the torso;
    `lift_speed`, of the torso upwards; `path_speed`, at which the path from transmitter over the torso to receiver
    grows or shrinks, which is the Doppler shift times the wavelength. None of a single time.
    """
    if len(time_s) < 2:
        return {}
    names = ("torso_speed", "limb_speed", "lift_speed", "path_speed")
    nobody = np.zeros((4, len(time_s)))
    each = np.stack([nobody, *(_speeds(points, time_s, tx_m, rx_m) for points in points_m)])
    most = np.take_along_axis(each, np.abs(each).argmax(axis=0)[None], axis=0)[0]
    middle = (np.arange(PARTS) + 0.5) / PARTS * (len(time_s) - 1)
    parts = np.stack(
        [
            np.interp(middle, np.arange(len(time_s)), row)
            if len(time_s) < 2 * PARTS
            else [part.mean() for part in np.array_split(row, PARTS)]
            for row in most
        ]
    )
    return {name: tuple(float(value) for value in row) for name, row in zip(names, parts, strict=True)}


def _speeds(points: Array, time_s: Array, tx_m: Array, rx_m: Array) -> Array:
    """[4, T], of one person with scatterers at [3, 6, T]."""
    torso = points[:, CHEST].mean(axis=1)
    velocity = np.gradient(torso, time_s, axis=1)
    limbs = np.gradient(points[:, LIMBS] - torso[:, None], time_s, axis=2)
    path = sum(np.linalg.norm(torso - end[:, None], axis=0) for end in (tx_m, rx_m))
    return np.stack(
        [
            np.linalg.norm(velocity[:2], axis=0),
            np.sqrt(np.square(limbs).sum(axis=0).mean(axis=0)),
            velocity[2],
            np.abs(np.gradient(path, time_s)),
        ]
    )
