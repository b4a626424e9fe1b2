"""A ring around a disc: two classes that no plane separates."""

from __future__ import annotations

import numpy as np


def moons(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [n, 3] of two classes that no plane separates: a ring around a disc, and noise."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % 2
    angle, radius = rng.uniform(0, 2 * np.pi, count), 1.0 + 2.0 * targets + 0.2 * rng.standard_normal(count)
    plane = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return np.concatenate([plane, 0.1 * rng.standard_normal((count, 1))], axis=1).astype(np.float32), targets
