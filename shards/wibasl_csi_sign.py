"""WiBaSL: signs of Bangladeshi sign language by seven volunteers, Intel 5300.

Origin: https://github.com/mwnafee/WiBaSL (20 MHz, 2 streams, about 20 packets per second). Licence: GPL-2.0, of the
whole repository. Citation: Nafee, WiBaSL, 2024, as at the address above.
Files: `wibasl_signs10.npz`, 816 of the published recordings: ten signs, arrays over recordings; see `_NEEDED`.
Samples: one sign of 10 s, 200 packets; shorter recordings end with packets that were not measured. Of the three
antennas of the card two received each packet, which ones changes from packet to packet, and the file holds the first
two ports: of most packets one antenna is there, the other not measured. Volunteer 5 was recorded at 1 kHz, of which the
file holds the first second: these 30 recordings are left out.
Labels: `sign`, 10 classes: food, help, hungry, sleep and water are group A, the others group B. The groups were
recorded on different days, so no split mixes them; within a day the signs of a group alternate.
Splits: `A-user-N` and `B-user-N`, leave one person out, of those with 40 recordings or more; `A-same-users` and
`B-same-users`, every fifth repetition out, which shows what the change of person costs; `B-day-1-to-2` and
`B-day-2-to-1`, the two days of volunteer 2. A session is a fifth of the repetitions of a person in a group and on a
day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import arrays, from_files, leave_out, parts
from foundation.readers.links import antenna_links
from foundation.readers.wifi.intel5300 import INDICES_20MHZ
from foundation.readers.wifi.ofdm import SPACING_HZ
from foundation.signal import Signal

NAME = "wibasl-csi-sign"
HOMEPAGE = "https://github.com/mwnafee/WiBaSL"
#: Signs of group A come first in the names.
GROUP_A = 5
#: Shorter recordings are of volunteer 5 and cover a second.
SHORTEST_S = 5.0
#: Recordings that a person needs to be tested alone; smaller ones only train.
FEWEST = 40
INTERVAL_S = 0.0506
_NEEDED = ("sign_names", "sign", "volunteer", "epoch", "repetition", "n_packets", "t_ms")


class _Recording(NamedTuple):
    row: int
    group: str
    user: int
    day: str
    fifth: int
    sign: str
    packets: int

    @property
    def session(self) -> str:
        return f"{self.group}-user-{self.user}-{self.day}-{self.fifth}"


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    path = raw_files(raw, "wibasl_signs10.npz", name=NAME, homepage=HOMEPAGE)[0]
    return from_files(
        raw,
        {path: partial(_read, path)},
        lambda: _splits(_recordings(path)),
        name=NAME,
        title="WiBaSL: signs of Bangladeshi sign language, Intel 5300 CSI",
        licence="GPL-2.0",
        citation="Nafee, WiBaSL, 2024, https://github.com/mwnafee/WiBaSL",
        homepage=HOMEPAGE,
        tasks={"sign": "classification"},
    )


def _recordings(path: Path) -> list[_Recording]:
    """The recordings of whole signs, by session and time."""
    names, sign, user, epoch, repetition, packets, clock = arrays(path, *_NEEDED)
    found = [
        _Recording(
            row,
            "A" if sign[row] < GROUP_A else "B",
            int(user[row]),
            datetime.fromtimestamp(int(epoch[row]), UTC).strftime("%Y%m%d"),
            int(repetition[row]) % 5,
            str(names[sign[row]]),
            int(packets[row]),
        )
        for row in np.argsort(epoch, kind="stable")
        if clock[row, packets[row] - 1] >= 1e3 * SHORTEST_S
    ]
    return sorted(found, key=lambda each: each.session)


def _read(path: Path) -> Iterator[Signal]:
    csi, clock = arrays(path, "csi", "t_ms")
    for recording in _recordings(path):
        yield _signal(csi[recording.row], clock[recording.row], recording)


def _signal(csi: np.ndarray, clock_ms: np.ndarray, recording: _Recording) -> Signal:
    """The signal of int8 [packets, 30, rx, tx, 2]; the clock has whole milliseconds, in which two packets may fall."""
    measured = csi.transpose(0, 2, 3, 1, 4).astype(np.float32)
    values = (measured[..., 0] + 1j * measured[..., 1]).reshape(len(csi), -1, len(INDICES_20MHZ))
    time_s = np.arange(len(csi), dtype=np.float64) * INTERVAL_S
    heard = clock_ms[: recording.packets] * 1e-3 + np.arange(recording.packets) * 1e-6
    time_s[: recording.packets] = heard - heard[0]
    time_s[recording.packets :] += time_s[recording.packets - 1] - (recording.packets - 1) * INTERVAL_S
    return Signal(
        values=values,
        valid=(np.arange(len(csi)) < recording.packets)[:, None, None] & values.any(axis=2, keepdims=True),
        time_s=time_s,
        links=antenna_links(2, 2),
        frequency_hz=INDICES_20MHZ * SPACING_HZ,
        kind="csi",
        carrier_hz=0.0,
        bandwidth_hz=20e6,
        device="Intel 5300",
        subject=f"volunteer-{recording.user}",
        session=recording.session,
        labels={"sign": recording.sign},
    )


def _splits(recordings: list[_Recording]) -> Splits:
    splits: Splits = {}
    for group in ("A", "B"):
        found = [each for each in recordings if each.group == group]
        count = Counter(each.user for each in found)
        users = leave_out("user", {each.session: str(each.user) for each in found})
        splits |= {f"{group}-{name}": users[name] for name in users if count[int(name.split("-")[1])] >= FEWEST}
        same = {each.session: "test" if each.fifth == 4 else "train" for each in found}
        splits[f"{group}-same-users"] = parts(same, ("train", "test"))
    first = {each.session: each.day for each in recordings if (each.group, each.user) == ("B", 2)}
    days = sorted(set(first.values()))
    if len(days) == 2:
        for name, day in (("B-day-1-to-2", days[1]), ("B-day-2-to-1", days[0])):
            splits[name] = parts({s: "test" if first[s] == day else "train" for s in first}, ("train", "test"))
    return splits
