"""MARS: ten rehabilitation movements of four people, mmWave radar point clouds with the joints that a Kinect saw.

Origin: https://github.com/SizheAn/MARS (TI IWR1443, about 10 frames per second). Licence: MIT.
Citation: An and Ogras, MARS: mmWave-based Assistive Rehabilitation System for Smart Healthcare, ACM TECS 20, 2021.
Files: `mars.npz`, 40,022 of the published frames (the version without outliers), arrays over points and over frames.
Samples: non-overlapping windows of 30 frames, as fields of velocity over range, side and height. Frames without a point
are gaps in time.
Labels: `movement`, 10 classes; `pose`, the 25 joints of the middle frame in metres: all x (to the side), all y (ahead),
all z (up); none where the Kinect's are missing (60 % of subject 1).
Splits: `subject-N`, leave one person out. The published split is not given: the same person in the same recording,
later. A session is a movement of a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import arrays, from_files, leave_out, runs, windows
from foundation.readers.radar.point_cloud import Resolution, point_cloud_signal
from foundation.signal import Label, Signal

NAME = "mars-mmwave-pointcloud"
HOMEPAGE = "https://github.com/SizheAn/MARS"
FRAMES, FRAME_S = 30, 0.1
#: Steps of the ranges and velocities in the data. A cell of 7 ranges, 20.5 cm: 16 of them cover the 3.28 m of the data.
RESOLUTION = Resolution(range_m=0.0293, velocity_m_s=0.356, ranges_per_cell=7)
#: In the order of their numbers.
MOVEMENTS = (
    *("left-upper-limb-extension", "right-upper-limb-extension", "both-upper-limb-extension"),
    *("left-front-lunge", "right-front-lunge", "squat", "left-side-lunge", "right-side-lunge"),
    *("left-limb-extension", "right-limb-extension"),
)


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    path = raw_files(raw, "mars.npz", name=NAME, homepage=HOMEPAGE)[0]
    return from_files(
        raw,
        {path: partial(_read, path)},
        lambda: leave_out("subject", _subjects(path)),
        name=NAME,
        title="MARS: rehabilitation movements from radar point clouds, with joints",
        licence="MIT",
        citation="An and Ogras, MARS, ACM Transactions on Embedded Computing Systems 20, 2021, doi:10.1145/3477003",
        homepage=HOMEPAGE,
        tasks={"movement": "classification", "pose": "regression"},
        parameters={"frames": FRAMES},
    )


def _recordings(path: Path) -> list[tuple[str, str, str, slice]]:
    """Session, person, movement and frames of each recording with a window, in the order of the file."""
    subject, movement = arrays(path, "subject", "movement")
    found = []
    for _, frames in runs(len(MOVEMENTS) * subject.astype(np.int64) + movement - 1):
        person, name = f"subject-{subject[frames.start]}", MOVEMENTS[movement[frames.start] - 1]
        if frames.stop - frames.start >= FRAMES:
            found.append((f"{person}/{name}", person, name, frames))
    return found


def _subjects(path: Path) -> dict[str, str]:
    return {session: person.removeprefix("subject-") for session, person, *_ in _recordings(path)}


def _read(path: Path) -> Iterator[Signal]:
    points, velocity, intensity, count, number = arrays(path, "xyz_q", "doppler", "intensity", "n_points", "frame")
    joints, has_joints = arrays(path, "joints_mm", "has_joints")
    first = np.concatenate([[0], np.cumsum(count, dtype=np.int64)])
    for session, person, movement, frames in _recordings(path):
        part = slice(first[frames.start], first[frames.stop])
        recording = point_cloud_signal(
            points[part][:, [1, 0, 2]] / 2048.0,  # x is to the side, y ahead
            velocity[part].astype(np.float64),
            intensity[part].astype(np.float64),
            np.repeat(np.arange(frames.stop - frames.start), count[frames]),
            number[frames] * FRAME_S,
            RESOLUTION,
            f"{path}, {session}",
        ).with_(session=session, subject=person)
        for index, window in enumerate(windows(recording, FRAMES)):
            middle = frames.start + index * FRAMES + FRAMES // 2
            pose = _pose(joints[middle]) if has_joints[middle] else {}
            yield window.with_(labels={"movement": movement, **pose})


def _pose(joints_mm: NDArray[Any]) -> dict[str, Label]:
    return {"pose": tuple((joints_mm.astype(np.float64) / 1000).tolist())}
