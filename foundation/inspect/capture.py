"""Summary and picture of a capture file, as `wfm inspect` prints and draws them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from foundation import readers
from foundation.inspect.options import parse_options
from foundation.inspect.raster import GAP_FACTOR, is_regular
from foundation.inspect.units import in_words
from foundation.results.terminal import print_facts
from foundation.signal import Signal


@dataclass(frozen=True)
class Capture:
    """The signals of a capture file and the warnings of its reader."""

    path: Path
    format: str
    signals: list[Signal]
    warnings: list[str]


def load(path: Path, format: str | None = None, options: Sequence[str] = ()) -> Capture:
    """Read a file of any supported format.

    Args:
        format: a format name of `foundation.readers`; by default it is detected from the content.
        options: reader options as `name=value`, for what the file does not store, such as `carrier_hz=5.18e9`.

    Raises:
        ReadError: the file cannot be read (see `foundation.readers.read`), or an option is unknown or has a wrong type.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        name = format or readers.detect(path)
        signals = readers.read(path, name, **parse_options(name, options))
    return Capture(path, name, signals, [str(warning.message) for warning in caught])


def inspect(path: Path) -> dict[str, Any]:
    """Read a file whose format can be detected, and describe it (see `describe` for the keys).

    Raises:
        ReadError: the file cannot be read.
    """
    return describe(load(path))


def describe(capture: Capture) -> dict[str, Any]:
    """JSON-serialisable summary of a capture.

    Keys: `format`; `signals` (count); `frames` (times, over all signals); `shape` [T, L, R] of the first signal;
    `kind`; `carrier_hz` and `bandwidth_hz` (0: unknown); `interval_s` (median); `duration_s` (first to last frame,
    summed over signals); `gaps` (intervals above 1.5 medians); `loss` (share of missing frames, a gap of k medians
    being k - 1 missing frames; None for an irregular frame rate, for which it is undefined); `valid_fraction`;
    `is_real`; `warnings` (of the reader).
    """
    signals, first = capture.signals, capture.signals[0]
    frames = sum(len(signal.time_s) for signal in signals)
    interval, gaps, loss = _regularity(signals)
    return {
        "format": capture.format,
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
        "warnings": capture.warnings,
    }


def draw(capture: Capture) -> bytes:
    """PNG of the longest signal of a capture; the first link with a valid entry is shown.

    See `foundation.inspect.figure.picture`.
    """
    from foundation.inspect.figure import picture
    from foundation.inspect.panels import links_of

    longest = max(range(len(capture.signals)), key=lambda i: len(capture.signals[i].time_s))
    signal = capture.signals[longest]
    first = int(np.argmax(np.any(signal.mask, axis=(0, 2))))
    link, count = signal.links[first], len(signal.links)
    signal = links_of(signal, list(range(first, count)))
    facts = [
        f"signal {longest + 1} of {len(capture.signals)}" * (len(capture.signals) > 1),
        f"{capture.format}, {signal.kind}",
        f"carrier {_hertz(signal.carrier_hz)}, bandwidth {_hertz(signal.bandwidth_hz)}",
        f"link tx {link.tx}, rx {link.rx} ({first + 1} of {count})",
        f"{len(signal.time_s)} frames in {in_words(signal.time_s[-1] - signal.time_s[0], 's')}"
        if len(signal.time_s) > 1
        else "one frame",
        f"{signal.mask.mean():.2%} of the entries measured" * (not signal.mask.all()),
    ]
    return picture(signal, capture.path.name, "  ·  ".join(fact for fact in facts if fact))


def print_summary(report: dict[str, Any], console: Console | None = None) -> None:
    """Print a summary made by `describe` as a table, followed by the warnings of the reader."""
    console = console or Console()
    times, links, responses = report["shape"]
    loss = "no regular rate" if report["loss"] is None else f"about {report['loss']:.1%} of the frames missing"
    rows = {
        "format": f"{report['format']}, kind {report['kind']}{', real-valued' if report['is_real'] else ''}",
        "signals": f"{report['signals']} with {report['frames']} frames in all",
        "shape": f"{times} times x {links} links x {responses} responses",
        "carrier": _hertz(report["carrier_hz"]),
        "bandwidth": _hertz(report["bandwidth_hz"]),
        "duration": f"{report['duration_s']:.3f} s, one frame every {in_words(report['interval_s'], 's')} (median)",
        "gaps": f"{report['gaps']}, {loss}",
        "valid": f"{report['valid_fraction']:.2%} of the entries",
    }
    print_facts(rows, console)
    for warning in report["warnings"]:
        console.print(f"warning: {warning}", style="yellow", markup=False)


def _regularity(signals: list[Signal]) -> tuple[float, int, float | None]:
    """Median interval in seconds, number of gaps, estimated share of missing frames (None: irregular frame rate)."""
    steps = np.concatenate([np.diff(signal.time_s) for signal in signals])
    if len(steps) == 0:
        return 0.0, 0, None
    median = float(np.median(steps))
    ratio = steps[steps > GAP_FACTOR * median] / median
    missing = float(np.sum(np.round(ratio) - 1))
    received = sum(len(signal.time_s) for signal in signals)
    return median, len(ratio), missing / (missing + received) if is_regular(steps) else None


def _hertz(value: float) -> str:
    return f"{value / 1e6:.3f} MHz" if value > 0 else "not in the file"
