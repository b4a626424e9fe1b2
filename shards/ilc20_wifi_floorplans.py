"""Indoor Location Competition 2.0, the sample data: Wi-Fi RSSI along walks through two malls of 14 floors.

Origin: https://github.com/location-competition/indoor-location-competition-20. Licence: MIT, the sample data included.
Citation: XYZ10 and Microsoft Research, Indoor Location Competition 2.0, 2020, as at the address above.
Files: `wifi_scans.npz`, 988 of the 1,095 published walks (the longest are missing) as arrays over scans and over
readings. `maps/PLACE_*` hold the floor plans: PLACE, such as site1_F2, is the `environment` of a sample.
Samples: one scan each, the access points of its site with 200 readings or more in training walks: those heard less are
7 to 15 % of the readings but half of the 8,369 access points, which would make samples twice as large. The two sites
share none, so their samples have different sizes.
Labels: `position` (x, y) in metres, interpolated between the points that the surveyor marked; `floor`, such as F2.
Splits: `site-1` and `site-2`, every fifth walk out; `building-1-to-2` and `building-2-to-1`, one site out, for what
carries over to another building (positions cannot). A session is a walk.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import arrays, from_files, parts, runs
from foundation.readers.rssi.scan import scan_signal
from foundation.signal import Label, Link, Signal

NAME = "ilc20-wifi-floorplans"
HOMEPAGE = "https://github.com/location-competition/indoor-location-competition-20"
#: Readings in training walks that an access point needs.
FEWEST = 200
_TEST_EVERY = 5


class _Walk(NamedTuple):
    number: int
    site: str
    floor: str
    scans: slice

    @property
    def session(self) -> str:
        return f"{self.site}_{self.floor}-walk-{self.number:03d}"

    @property
    def is_test(self) -> bool:
        return self.number % _TEST_EVERY == 0


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    path = raw_files(raw, "wifi_scans.npz", name=NAME, homepage=HOMEPAGE)[0]
    return from_files(
        raw,
        {path: partial(_read, path)},
        lambda: _splits(_walks(path)),
        name=NAME,
        title="Indoor Location Competition 2.0: Wi-Fi RSSI walks in two malls",
        licence="MIT",
        citation=f"XYZ10 and Microsoft Research, Indoor Location Competition 2.0, 2020, {HOMEPAGE}",
        homepage=HOMEPAGE,
        tasks={"position": "regression", "floor": "classification"},
        parameters={"fewest_readings": FEWEST},
    )


def _walks(path: Path) -> list[_Walk]:
    """The walks that have a scan, in the order of the file."""
    walk_of, floor_of, names = arrays(path, "scan_trace", "trace_floor", "floor_names")
    found = []
    for number, scans in runs(walk_of):
        site, _, floor = str(names[floor_of[number]]).partition("/")
        found.append(_Walk(number, site, floor, scans))
    return found


def _read(path: Path) -> Iterator[Signal]:
    places, scan, point, strength = arrays(path, "scan_xy", "obs_scan", "obs_ap", "obs_rssi")
    first = np.searchsorted(scan, np.arange(len(places) + 1))
    walks = _walks(path)
    training = {site: [w.scans for w in walks if w.site == site and not w.is_test] for site in {w.site for w in walks}}
    known = {site: _often(parts, first, point) for site, parts in training.items()}
    for walk in walks:
        links = tuple(Link(int(index)) for index in known[walk.site])
        for index in range(walk.scans.start, walk.scans.stop):
            heard = slice(first[index], first[index + 1])
            values, valid = _levels(point[heard], strength[heard], known[walk.site])
            if valid.any():
                x, y = places[index].tolist()
                yield _signal(values, valid, links, walk, {"position": (x, y), "floor": walk.floor})


def _often(scans: list[slice], first: NDArray[np.intp], point: NDArray[Any]) -> NDArray[np.intp]:
    """The access points with enough readings in these scans; `first` is the first reading of each scan."""
    count = np.zeros(int(point.max()) + 1, np.int64)
    for part in scans:
        count += np.bincount(point[first[part.start] : first[part.stop]], minlength=len(count))
    return np.flatnonzero(count >= FEWEST)


def _levels(
    point: NDArray[Any], strength: NDArray[Any], known: NDArray[np.intp]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """RSSI of each known access point, and whether it was heard; of readings (`point`, `strength`) of one scan."""
    at = np.minimum(np.searchsorted(known, point), len(known) - 1)
    found = known[at] == point
    values, valid = np.zeros(len(known), np.float32), np.zeros(len(known), bool)
    values[at[found]], valid[at[found]] = strength[found], True
    return values, valid


def _signal(
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
    links: tuple[Link, ...],
    walk: _Walk,
    labels: dict[str, Label],
) -> Signal:
    described = {"environment": f"{walk.site}_{walk.floor}", "session": walk.session, "labels": labels}
    return scan_signal(values, valid, links, device="phone", **described)


def _splits(walks: list[_Walk]) -> Splits:
    splits: Splits = {}
    sites = sorted({walk.site for walk in walks})
    for site in sites:
        own = {walk.session: "test" if walk.is_test else "train" for walk in walks if walk.site == site}
        splits[site.replace("site", "site-")] = parts(own, ("train", "test"))
    for train, test in itertools.permutations(sites, 2):
        name = f"building-{train.removeprefix('site')}-to-{test.removeprefix('site')}"
        side = {train: "train", test: "test"}
        splits[name] = parts({w.session: side[w.site] for w in walks if w.site in side}, ("train", "test"))
    return splits
