"""Recordings of POWDER: samples and their description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

ABOUT: dict[str, Any] = {
    "global": {"core:datatype": "cf32", "core:sample_rate": 7.69e6, "core:hw": "X310"},
    "captures": {"core:center_frequency": 2.685e9, "core:time": "2020-05-01"},
    "annotations": {"transmitter": {"core:location": "MEB"}, "receiver": {"core:location": "Humanities"}},
}


def recording(folder: Path, samples: np.ndarray, about: Any = ABOUT) -> Path:
    (folder / "4G_meb_1.bin").write_bytes(samples.astype(np.complex64).tobytes())
    (folder / "4G_meb_1.json").write_text(json.dumps(about))
    return folder / "4G_meb_1.json"
