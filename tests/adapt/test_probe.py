"""Cross-validation folds: blocks of a single session, and copies in the fold of their sample."""

from __future__ import annotations

import numpy as np
from helpers.moons import moons

from foundation.adapt import probe_error
from foundation.data.origins import Origin


def test_one_session_is_held_out_in_stretches_and_too_few_labels_cannot_tell() -> None:
    x, y = moons(40)
    assert probe_error(x, y, 2, [Origin("", "", "", "a")] * 40, seed=0) <= 0.1
    assert probe_error(x[:2], y[:2], 2, [Origin("", "", "", "a")] * 2, seed=0) is None


def test_copies_of_a_sample_are_held_out_with_it() -> None:
    """Of one session, where stretches are held out: a copy left behind would tell the label of a sample by heart."""
    rng = np.random.default_rng(0)
    noise, labels = rng.standard_normal((120, 6)).astype(np.float32), rng.integers(0, 2, 120)
    for sessions in (["one"] * 120, [f"s{i // 10}" for i in range(120)]):
        error = probe_error(np.stack([noise] * 3), labels, 2, [Origin("", "", "", each) for each in sessions], seed=0)
        assert error is not None
        assert error > 0.35
