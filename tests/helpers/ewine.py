"""Files of eWINE as they are published."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foundation.readers.uwb import ewine

HEADER = ",".join([*ewine.FIELDS, *(f"CIR{tap}" for tap in range(1016))])


def row(seed: int, **changes: float) -> np.ndarray:
    """A row with the values of a real one in the fields, and integer magnitudes."""
    fields = dict(
        zip(ewine.FIELDS, (1, 6.18, 749, 4889, 13876, 10464, 240, 9048, 3668, 1024, 2, 39, 1024, 110, 64), strict=True)
    )
    taps = np.random.default_rng(seed).integers(0, 20_000, 1016)
    return np.concatenate([list((fields | changes).values()), taps])


def written(path: Path, *rows: np.ndarray, header: str = HEADER) -> Path:
    lines = [",".join(f"{value:.2f}" if column == 1 else f"{value:g}" for column, value in enumerate(r)) for r in rows]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path
