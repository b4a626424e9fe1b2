"""What is inside a capture file, in numbers: the report behind `wfm inspect`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from foundation import readers
from foundation.signal import Signal

#: An interval above this many medians is a gap: at least one packet is missing in a regular recording.
GAP_FACTOR = 1.5
#: A recording is regular if this part of its intervals lies within 25 % of their median.
REGULAR_PART = 2 / 3


def inspect(path: Path) -> dict[str, Any]:
    """Read a file of any known format and describe it; JSON-serialisable.

    Keys: `format`; `signals` (count); `frames` (times, over all signals); `shape` [T, L, R] of the first signal;
    `kind`; `carrier_hz` and `bandwidth_hz` (0: not known); `interval_s` (median); `duration_s` (first to last frame,
    summed over signals); `gaps` (intervals above 1.5 medians); `loss` (missing over missing plus received frames, where
    a gap of k medians counts k - 1 missing; None where the frames come at no regular rate, so that none can be said to
    be missing); `valid_fraction`; `is_real`; `warnings` (what the reader had to say).

    Raises:
        ReadError: as `foundation.readers.read`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        name = readers.detect(path)
        signals = readers.read(path)
    first = signals[0]
    frames = sum(len(signal.time_s) for signal in signals)
    interval, gaps, loss = _regularity(signals)
    return {
        "format": name,
        "signals": len(signals),
        "frames": frames,
        "shape": list(first.values.shape),
        "kind": first.kind,
        "carrier_hz": float(first.carrier_hz),
        "bandwidth_hz": float(first.bandwidth_hz),
        "interval_s": interval,
        "duration_s": float(sum(signal.time_s[-1] - signal.time_s[0] for signal in signals)),
        "gaps": gaps,
        "loss": loss,
        "valid_fraction": float(sum(int(s.mask.sum()) for s in signals) / sum(s.mask.size for s in signals)),
        "is_real": first.is_real,
        "warnings": [str(warning.message) for warning in caught],
    }


def print_summary(report: dict[str, Any], console: Console | None = None) -> None:
    """Print a report of `inspect` as a table, and the reader's warnings below it."""
    console = console or Console()
    table = Table(show_header=False, box=None)
    times, links, responses = report["shape"]
    loss = "no regular rate" if report["loss"] is None else f"about {report['loss']:.1%} of the frames missing"
    rows = {
        "format": f"{report['format']}, kind {report['kind']}{', real-valued' if report['is_real'] else ''}",
        "signals": f"{report['signals']} with {report['frames']} frames in all",
        "shape": f"{times} times x {links} links x {responses} responses",
        "carrier": _hertz(report["carrier_hz"]),
        "bandwidth": _hertz(report["bandwidth_hz"]),
        "duration": f"{report['duration_s']:.3f} s, one frame every {report['interval_s'] * 1e3:.3f} ms (median)",
        "gaps": f"{report['gaps']}, {loss}",
        "valid": f"{report['valid_fraction']:.2%} of the entries",
    }
    for name, text in rows.items():
        table.add_row(f"[bold]{name}[/bold]", text)
    console.print(table)
    for warning in report["warnings"]:
        console.print(f"warning: {warning}", style="yellow", markup=False)


def _regularity(signals: list[Signal]) -> tuple[float, int, float | None]:
    """Median interval in seconds, number of gaps, estimated part of the frames that is missing."""
    steps = np.concatenate([np.diff(signal.time_s) for signal in signals])
    if len(steps) == 0:
        return 0.0, 0, None
    median = float(np.median(steps))
    ratio = steps[steps > GAP_FACTOR * median] / median
    missing = float(np.sum(np.round(ratio) - 1))
    regular = np.mean(np.abs(steps - median) < 0.25 * median) >= REGULAR_PART
    received = sum(len(signal.time_s) for signal in signals)
    return median, len(ratio), missing / (missing + received) if regular else None


def _hertz(value: float) -> str:
    return f"{value / 1e6:.3f} MHz" if value > 0 else "not in the file"
