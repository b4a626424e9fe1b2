"""The metric history of a run: the rows of `logs/version_N/metrics.csv`, one file per start of the run."""

from __future__ import annotations

import csv
from pathlib import Path

TAIL = 1 << 16  # bytes at the end of a log that `last_values` reads


def log_files(run: Path) -> list[Path]:
    """The logs in a run directory, oldest first."""
    found = [
        (int(number), path)
        for path in (run / "logs").glob("version_*/metrics.csv")
        if (number := path.parent.name.removeprefix("version_")).isdecimal()
    ]
    return [path for _, path in sorted(found)]


def read_history(run: Path) -> list[dict[str, float]]:
    """Metric name -> value of every logged step, by step (counted from 0); empty cells are left out.

    A step that was logged twice, because the run resumed before it, has the values of the later log.

    Raises:
        ValueError: a cell is not a number.
    """
    rows: dict[float, dict[str, float]] = {}
    for path in log_files(run):
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                row = {name: float(value) for name, value in line.items() if name and value}
                rows[row["step"]] = {**rows.get(row["step"], {}), **row}
    return [rows[step] for step in sorted(rows)]


def last_values(path: Path, *names: str) -> tuple[int, list[float]] | None:
    """(step, values) of the last complete row of a log that has all these metrics, from its last `TAIL` bytes; None if
    there is none."""
    with path.open("rb") as file:
        head = file.readline().decode(errors="replace").strip().split(",")
        file.seek(max(file.tell(), path.stat().st_size - TAIL))
        lines = file.read().decode(errors="replace").replace("\0", "").splitlines(keepends=True)
    for row in reversed(list(csv.reader(line for line in lines if line.endswith("\n")))):
        cells = dict(zip(head, row, strict=False))
        try:
            return int(cells["step"]), [float(cells[name]) for name in names]
        except (KeyError, ValueError):
            continue
    return None
