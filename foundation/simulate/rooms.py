"""Random rectangular rooms, and the image method for wall reflections."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from foundation.simulate.config import ROOM, SimulationConfig

Array = NDArray[np.float64]
#: Number of reflections of each of the five images per axis, and the image indices of every path, direct path first.
_REFLECTIONS = np.array([0, 1, 1, 2, 2])
_CHOICES = np.array(sorted(product(range(5), repeat=3), key=lambda choice: int(_REFLECTIONS[list(choice)].sum())))


@dataclass(frozen=True)
class Room:
    """A box with one corner at the origin, its furniture, and the antennas of the radio link.

    Attributes:
        size_m: [3] length, width, height.
        reflection: [3, 2] amplitude reflection coefficient of the two walls across each axis (low, high side).
        los_gain: amplitude of the line of sight relative to free space; below 1 if furniture obstructs it.
        tx_m, rx_m: [antennas, 3] antenna positions.
        clutter_m, clutter_rcs_m2: [C, 3] positions and [C] radar cross sections of the furniture.
    """

    size_m: Array
    reflection: Array
    los_gain: float
    tx_m: Array
    rx_m: Array
    clutter_m: Array
    clutter_rcs_m2: Array


def make_room(seed: int, index: int, config: SimulationConfig) -> Room:
    """Room `index`, identical for all sessions except for small displacements of the furniture."""
    rng = np.random.default_rng((seed, index, ROOM))
    size = np.array([*rng.uniform(*config.room_size_m, 2), rng.uniform(2.4, 3.2)])
    # From plasterboard (0.2) to concrete and metal (0.8); negative: phase reversal at a denser medium.
    reflection = -rng.uniform(0.2, 0.8, (3, 2))
    tx, rx = _far_apart(rng, size)
    clutter = int(rng.integers(3, 13))
    return Room(
        size_m=size,
        reflection=reflection,
        los_gain=1.0 if rng.random() < 0.7 else float(rng.uniform(0.1, 0.6)),
        tx_m=_antenna_array(rng, tx, config.tx_antennas),
        rx_m=_antenna_array(rng, rx, config.rx_antennas),
        clutter_m=rng.uniform(0.1, 0.9, (clutter, 3)) * size * [1, 1, 0.6],
        clutter_rcs_m2=rng.uniform(0.05, 2.0, clutter),
    )


def images(points_m: Array, size_m: Array, reflection: Array, order: int) -> tuple[Array, Array]:
    """The points and their mirror images after up to `order` (at most 2) wall reflections.

    The image method: Allen and Berkley, J. Acoust. Soc. Am. 65(4), 1979. The points themselves come first.

    Args:
        points_m: [N, 3].

    Returns:
        positions [I, N, 3] in metres and amplitude gains [I].
    """
    # Per axis: the point itself; its image in the low wall, the high wall; after high then low, after low then high.
    mirrored = np.stack([points_m, -points_m, 2 * size_m - points_m, points_m - 2 * size_m, points_m + 2 * size_m])
    both = reflection[:, 0] * reflection[:, 1]
    factors = np.stack([np.ones(3), reflection[:, 0], reflection[:, 1], both, both])
    choices = _CHOICES[_REFLECTIONS[_CHOICES].sum(axis=1) <= order]
    positions = np.stack([mirrored[choices[:, axis], :, axis] for axis in range(3)], axis=-1)
    return positions, factors[choices, np.arange(3)].prod(axis=1)


def _far_apart(rng: np.random.Generator, size: Array) -> tuple[Array, Array]:
    """Two device positions in opposite halves of the longer dimension, at least 0.4 of its length apart."""
    ends = np.stack([rng.uniform(0.08, 0.92, 3), rng.uniform(0.08, 0.92, 3)]) * size
    longest = int(np.argmax(size[:2]))
    ends[0, longest] = rng.uniform(0.05, 0.3) * size[longest]
    ends[1, longest] = rng.uniform(0.7, 0.95) * size[longest]
    ends[:, 2] = rng.uniform(0.7, 2.0, 2)
    return ends[0], ends[1]


def _antenna_array(rng: np.random.Generator, centre: Array, count: int) -> Array:
    """A horizontal line of antennas, 3 to 6 cm apart."""
    angle = rng.uniform(0, np.pi)
    step = rng.uniform(0.03, 0.06) * np.array([np.cos(angle), np.sin(angle), 0.0])
    return np.asarray(centre + (np.arange(count)[:, None] - (count - 1) / 2) * step)
