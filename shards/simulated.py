"""Simulated Wi-Fi channel state information of people moving in furnished rooms, with the noise-free truth.

Origin: `foundation.simulate`; no file is needed. Licence: CC0-1.0.
Labels: `activity`; `people`, how many; `position` (x, y) and `velocity` (vx, vy) of the person, in metres and metres
per second; `torso_speed`, `limb_speed`, `lift_speed` and `path_speed`, in eight parts of the window, likewise.
Splits: `room` (rooms that training never saw) and `recording` (other recordings in the training rooms).
"""

from __future__ import annotations

from foundation.data.shards.spec import Dataset
from foundation.datasets.common import simulated_pieces
from foundation.simulate.facts import MOTION_TASKS
from foundation.simulate.generate import simulate, simulated_splits

PIECE = 64  # windows, 8 sessions: about 8 MB


def build(count: int, seed: int = 0) -> Dataset:
    """`count` windows drawn from `seed`; the first windows of a longer set are those of a shorter one."""
    return Dataset(
        name="simulated",
        title="Simulated Wi-Fi CSI of people moving in furnished rooms, with noise-free truth",
        licence="CC0-1.0",
        citation="foundation.simulate",
        homepage="",
        tasks=MOTION_TASKS,
        pieces=simulated_pieces(simulate, "sim", count, seed, PIECE),
        splits=lambda: simulated_splits(count, seed),
        parameters={"count": count, "seed": seed},
    )
