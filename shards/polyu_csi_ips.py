"""PolyU CSI-IPS: indoor positioning from an Intel 5300 in one office, over 27 days of five months.

Origin: https://github.com/iVANET-PolyU/CSI_IPS_2020-21 (an office of the Hong Kong Polytechnic University, November
2020 to April 2021; a ping every 0.5 s).
Licence: MIT. Citation: Reyes et al., Expert Systems with Applications, 2024, https://doi.org/10.1016/j.eswa.2024.125802.
Files: `captures/dDD/dDD_pPP_lLL.dat` (day, collection period, location) and `datasetSummary.csv`.
Samples: non-overlapping windows of 10 packets, 3 receive antennas x 2 transmit streams, 30 subcarriers of 40 MHz.
The 2 % of packets with one stream (or 20 MHz) are left out; links 0, 2 and 4 are the first stream, which all have.
Labels: `location`, l01 to l08.
Splits: the authors' A, B and C (parts train, valid, test; C has no valid), by day; `rest` holds the days that a split
leaves out, which pretraining may use without their labels. A session is a day. Of day d23,
A uses 2 of the 4 collection periods; the authors do not say which, so it is the first two, and d23 alone is cut into
two sessions, d23a (the first two periods) and d23b. The channel that was used is not published: the carrier is 0.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, Sample, Splits, fingerprint, raw_files
from foundation.errors import ShardError
from foundation.readers.wifi import intel5300

NAME = "polyu-csi-ips"
HOMEPAGE = "https://github.com/iVANET-PolyU/CSI_IPS_2020-21"
PACKETS = 10

#: first column of each split in datasetSummary.csv ("Used", the number of periods), and its parts, in the columns after
_COLUMNS = {"A": (6, ("train", "valid", "test")), "B": (11, ("train", "valid", "test")), "C": (16, ("train", "test"))}


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `captures/` and `datasetSummary.csv`."""
    files = raw_files(raw, "captures/d*/d*_p*_l*.dat", name=NAME, homepage=HOMEPAGE)
    days = _read_days(raw_files(raw, "datasetSummary.csv", name=NAME, homepage=HOMEPAGE)[0])
    sessions = _sessions_of_periods(files, days)
    return Dataset(
        name=NAME,
        title="PolyU Wi-Fi CSI for indoor positioning (Intel 5300, 8 locations, 27 days)",
        licence="MIT",
        citation="Reyes et al., Expert Systems with Applications, 2024, doi:10.1016/j.eswa.2024.125802",
        homepage=HOMEPAGE,
        tasks={"location": "classification"},
        pieces=[partial(_samples, path, sessions[_day_and_period(path)]) for path in files],
        splits=lambda: _splits(days),
        parameters={"raw": fingerprint(raw, files)},
    )


def _samples(path: Path, session: str) -> Iterator[Sample]:
    recording = intel5300.read(path)[0].with_(
        session=session,
        environment="polyu-room-621",
        source=NAME,
        licence="MIT",
        labels={"location": path.stem.split("_")[2]},
    )
    for window in range(len(recording.time_s) // PACKETS):
        yield f"{path.stem}_{window:04d}", recording.window(window * PACKETS, PACKETS)


def _day_and_period(path: Path) -> tuple[str, str]:
    day, period, _ = path.stem.split("_")
    return day, period


def _read_days(summary: Path) -> dict[str, list[str]]:
    """day -> its row of datasetSummary.csv."""
    with summary.open(newline="", encoding="utf-8-sig") as file:
        days = {
            row[2]: row for row in csv.reader(file) if len(row) > 18 and row[2].startswith("d") and row[3].isdigit()
        }
    if not days:
        raise ShardError(f"{summary}: has no row for any day; expected the authors' table of days and splits A, B, C.")
    return days


def _cut(row: list[str]) -> int:
    """Number of periods before the cut of a day into two sessions; 0 where every split takes all or none."""
    partial = {int(row[used]) for used, _ in _COLUMNS.values()} - {0, int(row[3])}
    return min(partial, default=0)


def _sessions_of_periods(files: list[Path], days: dict[str, list[str]]) -> dict[tuple[str, str], str]:
    sessions = {}
    for day in sorted({path.parent.name for path in files}):
        if day not in days:
            raise ShardError(
                f"{NAME}: day {day} has captures but no row in datasetSummary.csv; complete the raw folder."
            )
        cut = _cut(days[day])
        periods = sorted({_day_and_period(path)[1] for path in files if path.parent.name == day})
        for index, period in enumerate(periods):
            sessions[day, period] = day if not cut else day + ("a" if index < cut else "b")
    return sessions


def _splits(days: dict[str, list[str]]) -> Splits:
    splits: Splits = {}
    for split, (used, parts) in _COLUMNS.items():
        splits[split] = {part: [] for part in (*parts, "rest")}
        for day, row in days.items():
            whole = [day] if not _cut(row) else [day + "a", day + "b"]
            count = 0 if row[used] == "0" else len(whole) if row[used] == row[3] else 1
            sessions = whole[:count]
            splits[split]["rest"] += [] if count else whole  # never the other half of a day that is used
            for column, part in enumerate(parts, start=used + 1):
                if row[column] == "TRUE":
                    splits[split][part] += sessions
    return splits
