"""Shared fixtures: where the real recordings are, and a small signal to work on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from foundation.signal import Link, Signal

pytest_plugins = ["hub_server"]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real recordings, or a skip that says how to provide it."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    root = Path(os.environ.get("WFM_DATA", default)).resolve()
    if not (root / "README.md").exists():
        pytest.skip(f"real recordings are absent: no {root}; set WFM_DATA to the folder that holds them")
    return root


def make_signal(seed: int = 0, times: int = 32, links: int = 2, responses: int = 16, **changes: object) -> Signal:
    """A random complex CSI signal; `changes` are passed to Signal."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((times, links, responses)) + 1j * rng.standard_normal((times, links, responses))
    fields: dict[str, object] = {
        "values": values.astype(np.complex64),
        "time_s": np.arange(times) / 100.0,
        "links": tuple(Link(0, rx) for rx in range(links)),
        "frequency_hz": (np.arange(responses) - responses // 2) * 312_500.0,
        "kind": "csi",
        "carrier_hz": 5.18e9,
        "bandwidth_hz": 20e6,
        "session": f"session-{seed}",
        "labels": {"activity": "walk" if seed % 2 else "still"},
    }
    fields.update(changes)
    return Signal(**fields)  # type: ignore[arg-type]
