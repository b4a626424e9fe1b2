"""Texts of RadHAR: ROS messages as they are printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

BIN = 0.0435769706964


STEP = 0.614668667316


def message(
    point: int, time_s: float, distance: float, velocity: float, intensity: float, y: float = 0.0, z: float = 0.0
) -> str:
    """A message as `rostopic echo` prints it: `nsecs` to the right; its `range` is 1.0653 times the distance."""
    secs, nsecs = divmod(round(time_s * 1e9), 10**9)
    x = max(0.0, distance**2 - y**2 - z**2) ** 0.5 if abs(y) < 99 else 1.0
    return (
        f"header: \n  seq: 1\n  stamp: \n    secs: {1561686032 + secs}\n    nsecs: {nsecs:9d}\n"
        '  frame_id: "ti_mmwave"\n'
        f"point_id: {point}\nx: {x}\ny: {y}\nz: {z}\nrange: {1.0653 * distance}\nvelocity: {velocity}\n"
        f"doppler_bin: {8 + round(velocity / STEP)}\nbearing: -0.0\nintensity: {intensity}\n---\n"
    )


#: Frames of (point_id, seconds, metres, m/s, dB). In the second frame point 0 was lost.
POINTS = [
    (0, 0.9, BIN, 0.0, 30.0),
    (2, 0.9001, 27 * BIN, -3 * STEP, 20.0, -0.3, 1.1),
    (3, 0.9002, 28 * BIN, -3 * STEP, 20.0, -0.4, 1.1),
    (1, 1.0, 127 * BIN, 7 * STEP, 10.0, 3.9, -3.9),
    (0, 1.02, BIN, -8 * STEP, 0.0),
]


TEXT = "".join(message(*point) for point in POINTS)


def written(folder: Path, content: str | bytes, name: str = "a.txt") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


def cloud(frames: int = 5, points: int = 10, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.column_stack(
        [
            rng.uniform(0, 3, (frames * points, 3)),
            rng.integers(-8, 8, frames * points) * STEP,
            rng.uniform(10, 38, frames * points),
        ]
    )
    return np.column_stack([rows, np.repeat(np.arange(frames), points)]).astype(np.float32)


def gathered(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return path
