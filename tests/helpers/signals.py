"""Small signals to work on, and a configuration whose models answer in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from foundation.signal import Link, Signal

if TYPE_CHECKING:
    from foundation.models import WfmConfig


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


def tiny_config(**changes: object) -> WfmConfig:
    """A configuration whose models answer in milliseconds; small patches, so that small signals have several."""
    fields: dict[str, object] = {
        "hidden_size": 32,
        "depth": 1,
        "heads": 2,
        "decoder_size": 16,
        "decoder_depth": 1,
        "decoder_heads": 2,
        "patch_shapes": [[8, 4], [4, 4], [1, 8]],
        "views": {"csi": "field"},
        **changes,
    }
    from foundation.models import WfmConfig  # torch and transformers take seconds; most tests do without

    return WfmConfig(**fields)  # type: ignore[arg-type]


def mixed_signals() -> list[Signal]:
    """One signal per patch shape of `tiny_config`, with odd sizes, lost packets, a delay axis and a real kind."""
    lost = np.ones((13, 2, 10), bool)
    lost[3:5] = False
    lost[8:12, 1, 2] = False
    delays = np.arange(17) * 1e-9
    rssi = np.random.default_rng(9).normal(-60, 5, (1, 3, 11))
    return [
        make_signal(1, times=21, links=2, responses=10),
        make_signal(2, times=6, links=3, responses=9),
        make_signal(3, times=1, links=1, responses=17, kind="cir", frequency_hz=None, delay_s=delays),
        make_signal(4, times=13, links=2, responses=10, valid=lost, carrier_hz=0.0),
        make_signal(5, times=1, links=3, responses=11, kind="rssi", is_real=True, values=rssi),
    ]
