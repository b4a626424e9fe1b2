"""Labels and splits of Widar3.0 from its file names: by room, person, location and facing direction.

The same number means another gesture on another day, and sometimes for another person: the tables below are those of
the README that comes with the data, as users of the set repeat them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import NOT_STATED, from_files, leave_out
from foundation.errors import ShardError
from foundation.signal import Signal

HOMEPAGE = "https://tns.thss.tsinghua.edu.cn/widar3.0/"
CARRIER_HZ = 5.825e9

_BASIC = ("push-pull", "sweep", "clap", "slide")
_ACROSS = ("draw-o-h", "draw-zigzag-h", "draw-n-h", "draw-triangle-h", "draw-rectangle-h")
_UPRIGHT = (*_BASIC[:3], "draw-o-v", "draw-zigzag-v", "draw-n-v")
#: day, or day and person -> gestures 1, 2, ...
_GESTURES = {
    "20181109": (*_BASIC, "draw-zigzag-v", "draw-n-v"),
    "20181112": tuple(f"draw-{digit}" for digit in range(1, 10)),
    "20181115": _UPRIGHT,
    "20181117": _UPRIGHT,
    "20181118": _UPRIGHT,
    "20181121": ("slide", *_ACROSS),
    "20181127": ("slide", *_ACROSS),
    "20181128": (*_BASIC[:3], *_ACROSS[:3]),
    "20181130": (*_BASIC, *_ACROSS),
    "20181204": (*_BASIC, *_ACROSS),
    "20181205-user2": _ACROSS,
    "20181205-user3": ("slide", *_ACROSS),
    "20181208-user2": _BASIC,
    "20181208-user3": _BASIC[:3],
    "20181209-user2": _BASIC[:1],
    "20181209-user6": (*_BASIC, *_ACROSS[:2]),
    "20181211": (*_BASIC, *_ACROSS[:2]),
}
#: The days of each room: a classroom, a hall and an office.
_ROOMS = {
    "1": ("20181109", "20181112", "20181115", "20181121", "20181130"),
    "2": ("20181117", "20181118", "20181127", "20181128", "20181204", "20181205", "20181208", "20181209"),
    "3": ("20181211",),
}
_PATH = re.compile(r"(2018\d{4}).*/(user\d+)-(\d+)-(\d+)-(\d+)-(\d+)-?([^/]*)\.(?:dat|mat)")


@dataclass(frozen=True, order=True)
class Clip:
    """One file. Clips of a session (person, day, location and facing direction) sort next to each other."""

    day: str
    user: str
    location: int
    facing: int
    gesture: int
    repetition: int
    suffix: str
    path: Path

    @property
    def session(self) -> str:
        return f"{self.day}-{self.user}-location-{self.location}-facing-{self.facing}"

    @property
    def room(self) -> str:
        return next(room for room, days in _ROOMS.items() if self.day in days)

    @property
    def label(self) -> dict[str, str]:
        """The gesture; no label, with a warning, where it is not in the tables."""
        names = _GESTURES.get(self.day) or _GESTURES.get(f"{self.day}-{self.user}", ())
        digits = self.day == "20181112" and self.gesture == 0
        if digits or 1 <= self.gesture <= len(names):
            return {"gesture": "draw-0" if digits else names[self.gesture - 1]}
        warnings.warn(f"{self.path}: gesture {self.gesture} of that day is in no table; it gets no label", stacklevel=2)
        return {}


def widar(raw: Path, pattern: str, read: Callable[[Path], Iterable[Signal]], *, name: str, title: str) -> Dataset:
    """The files that match a pattern, read by `read` and labelled by their names."""
    clips = sorted(_clip(path) for path in raw_files(raw, pattern, name=name, homepage=HOMEPAGE))

    def splits() -> Splits:
        return {
            **leave_out("room", {clip.session: clip.room for clip in clips}),
            **leave_out("person", {clip.session: clip.user for clip in clips}),
            **leave_out("location", {clip.session: str(clip.location) for clip in clips}),
            **leave_out("facing", {clip.session: str(clip.facing) for clip in clips}),
        }

    return from_files(
        raw,
        {clip.path: partial(_labelled, clip, read) for clip in clips},
        splits,
        name=name,
        title=title,
        licence=NOT_STATED,
        citation="Zhang et al., Widar3.0, IEEE TPAMI, 2021, doi:10.1109/TPAMI.2021.3105387",
        homepage=HOMEPAGE,
        tasks={"gesture": "classification"},
    )


def _labelled(clip: Clip, read: Callable[[Path], Iterable[Signal]]) -> Iterator[Signal]:
    for signal in read(clip.path):
        yield signal.with_(
            session=clip.session, environment=f"widar-room-{clip.room}", subject=clip.user, labels=clip.label
        )


def _clip(path: Path) -> Clip:
    match = _PATH.search(path.as_posix())
    if match is None or not any(match[1] in days for days in _ROOMS.values()):
        raise ShardError(
            f"{path}: expected a folder named like one of the days {', '.join(sorted(sum(_ROOMS.values(), ())))} and a "
            "file named like user1-2-3-4-5-r1.dat; keep the folders as published and leave other days out."
        )
    gesture, location, facing, repetition = (int(match[group]) for group in (3, 4, 5, 6))
    return Clip(match[1], match[2], location, facing, gesture, repetition, match[7], path)
