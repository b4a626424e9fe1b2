"""Read FMCW radar point clouds of the RadHAR dataset (TI IWR1443, 30 frames per second) as maps over Doppler and space.

Source: Singh et al., "RadHAR", mmNets 2019, https://github.com/nesl/RadHAR. A recording is the text of ROS messages,
one per detected point, separated by `---`; a frame begins where `point_id` restarts. Also read: many recordings in one
`.npz`, an array [points, 6] each (x, y, z in metres, velocity in m/s, intensity in dB, frame), named
`SPLIT|ACTIVITY|RECORDING`.

The maps are those of `point_cloud`: velocity over range, lateral position (y) and height (z). Range is the distance of
(x, y, z) in either form: the field `range` of the messages is 1.0653 times that in every recording, about the 16/15 by
which the 256 bins of a range FFT differ from the 240 samples of a chirp, and is not used. Nearly all power is at zero
velocity, at a range that differs from day to day: what distinguishes activities across positions is how high and how
far aside a person moves, see docs/research/real-recordings.md.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.arrays.npy import parse_npy
from foundation.readers.files import ZIP_MAGIC, plain_text, read_bytes
from foundation.readers.radar.point_cloud import Resolution, point_cloud_signal
from foundation.signal import Signal

#: Steps of the dataset's `range` and `velocity` values. A cell is 8 ranges, 35 cm; 16 of them cover the 5.5 m within
#: which its points lie.
RESOLUTION = Resolution(range_m=0.0435769706964, velocity_m_s=0.614668667316, ranges_per_cell=8)
FRAME_S = 1 / 30
ACTIVITIES = ("boxing", "jack", "jump", "squats", "walk")

#: Fields of a message that are used, in any order; `secs` and `nsecs` are those of its stamp. `rostopic echo` aligns
#: `nsecs` to the right.
_USED = (b"secs", b"nsecs", b"point_id", b"x", b"y", b"z", b"velocity", b"intensity")
_FIELD = re.compile(rb"^[ \t]*(" + b"|".join(_USED) + rb")[ \t]*:[ \t]*(\S+)[ \t]*$", re.MULTILINE)
_MESSAGE_END = re.compile(rb"^(?:---|header:)[ \t]*$", re.MULTILINE)
_MEMBER = re.compile(r"(?:Train|Test)\|(\w+)\|[^|/\\]+\.npy")
#: Byte offset of the name of the first member of a zip archive.
_ZIP_NAME_AT = 30
#: The published recordings compress 6 times and have 15 points a frame or more. Files far from that are rejected before
#: they are decompressed, or rasterised into maps of hundreds of times their size.
_MOST_COMPRESSION, _LEAST_POINTS = 20, 8


def sniff(head: bytes) -> bool:
    """True for text with points of `ti_mmwave`, and for a zip archive whose first member is named as above."""
    if head.startswith(ZIP_MAGIC):
        return _MEMBER.match(head[_ZIP_NAME_AT : _ZIP_NAME_AT + 200].decode("latin-1")) is not None
    text = plain_text(head)
    return b"ti_mmwave" in text and re.search(rb"^[ \t]*point_id[ \t]*:", text, re.MULTILINE) is not None


def read(path: Path) -> list[Signal]:
    """Read every recording of a file, see `stream`."""
    return list(stream(path))


def stream(path: Path) -> Iterator[Signal]:
    """Read one signal per recording.

    `Link.tx` is the projection (0 range, 1 lateral, 2 height), `Link.rx` the Doppler bin (8 is zero velocity, a bin is
    0.61 m/s). The delay axis is twice the range of the centre of a cell over the speed of light; cells of the other two
    projections have the same width, and the first starts 2.8 m to one side of the radar, or below it. The label
    `activity` is in the name of an `.npz` member, or is the folder of a text file as published. Times are those of the
    messages; in an `.npz` they are the frame numbers at 30 per second.

    Points that are not finite or outside the map, and messages without one of their fields (damaged, or cut at the end
    of the file), are dropped, with a warning. Recordings of an
    `.npz` are sorted by session and read one at a time: as maps they are 60 times as large as in the file.

    Yields:
        Signals with values [frames, 48 links, 16 cells], real amplitudes, kind "radar".

    Raises:
        ReadError: the file is missing, empty, damaged or has no point.
    """
    data = read_bytes(path)
    if not data.startswith(ZIP_MAGIC):
        activity = path.resolve().parent.name
        labels = {"activity": activity} if activity in ACTIVITIES else {}
        yield _signal(*_text_points(plain_text(data), path), path.stem, labels, str(path))
        return
    for name, points in _arrays(data, path):
        frames, row = np.unique(points[:, 5].astype(np.float64), return_inverse=True)
        if len(points) < _LEAST_POINTS * len(frames):
            raise ReadError(
                f"{path}: member {name!r} has {len(points)} points in {len(frames)} frames; expected at least "
                f"{_LEAST_POINTS} points a frame on average, so column 6 is not the frame number."
            )
        labels = {"activity": name.split("|")[1]}
        yield _signal(
            points[:, :5].astype(np.float64), row, frames * FRAME_S, _session(name), labels, f"{path}, {name}"
        )


def _signal(
    cloud: NDArray[np.float64],
    row: NDArray[np.int64],
    time_s: NDArray[np.float64],
    session: str,
    labels: dict[str, str],
    where: str,
) -> Signal:
    """Rasterise points [P, 5] (x, y, z, velocity, intensity), given their frames and the times of the frames."""
    with np.errstate(over="ignore"):
        power = 10 ** (cloud[:, 4] / 10)
    found = point_cloud_signal(cloud[:, :3], cloud[:, 3], power, row, time_s, RESOLUTION, where)
    return found.with_(session=session, labels=labels)


def _text_points(text: bytes, path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Parse points [P, 5] (x, y, z, velocity, intensity), their frames, and the times of the frames."""
    *messages, last = _MESSAGE_END.split(text)
    if not last.endswith(b"\n"):
        last = last[: last.rfind(b"\n") + 1]  # its number may be cut
    points = [_point(message) for message in [*messages, last] if message.strip()]
    whole = [point for point in points if point is not None]
    if not whole:
        raise ReadError(
            f"{path}: 0 of {len(points)} messages are complete; expected messages of ti_mmwave with point_id, x, y, z, "
            "velocity and intensity, separated by '---': copy the file again."
        )
    if len(whole) < len(points):
        warnings.warn(
            f"{path}: {len(points) - len(whole)} of {len(points)} messages are truncated or damaged and are dropped",
            stacklevel=3,
        )
    table = np.array(whole)
    with np.errstate(invalid="ignore"):
        starts = np.concatenate([[True], np.diff(table[:, 2]) <= 0])
        clock = table[starts, 0] - table[0, 0] + table[starts, 1] * 1e-9
    return table[:, 3:], np.cumsum(starts) - 1, _increasing(clock, path)


def _point(message: bytes) -> list[float] | None:
    """The numbers of `_USED` in a message; None if one is missing or no number."""
    found = dict(_FIELD.findall(message))
    try:
        return [float(found[name]) for name in _USED]
    except (KeyError, ValueError):
        return None


def _increasing(clock: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    """Seconds from the first frame, strictly increasing; warns where a step was replaced."""
    steps = np.diff(clock)
    bad = ~((steps > 0) & (steps < 1e6))
    if bad.any():
        steps[bad] = FRAME_S
        warnings.warn(
            f"{path}: the clock stands still or jumps at {int(bad.sum())} of {len(clock)} frames, the first at frame "
            f"{int(np.argmax(bad)) + 1}; these steps are replaced by 1/30 s",
            stacklevel=4,
        )
    return np.concatenate([[0.0], np.cumsum(steps)])


def _arrays(data: bytes, path: Path) -> Iterator[tuple[str, NDArray]]:
    """Yield (name without .npy, points [P, 6]) of every member, sorted by session."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = sorted(archive.infolist(), key=lambda member: _session(member.filename))
            if sum(member.file_size for member in members) > _MOST_COMPRESSION * len(data):
                raise ReadError(
                    f"{path}: claims more than {_MOST_COMPRESSION} times its size decompressed; it is damaged."
                )
            for member in members:
                yield member.filename.removesuffix(".npy"), _points(archive.read(member), member.filename, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ReadError(f"{path}: is not an intact .npz file ({error}); copy it again.") from error


def _session(name: str) -> str:
    return name.removesuffix(".npy").replace("|", "/")


def _points(content: bytes, name: str, path: Path) -> NDArray:
    if _MEMBER.fullmatch(name) is None:
        raise ReadError(f"{path}: has a member {name[:80]!r}; expected SPLIT|ACTIVITY|RECORDING.npy for each.")
    points = parse_npy(content, f"{path}: member {name!r}")
    if points.dtype.kind != "f" or points.ndim != 2 or points.shape[1] != 6 or len(points) < 1:
        raise ReadError(
            f"{path}: member {name!r} has shape {points.shape} of {points.dtype}; expected floats [points, 6]."
        )
    if not np.isfinite(points[:, 5]).all():
        raise ReadError(f"{path}: member {name!r} has a frame number that is not finite; copy the file again.")
    return points
