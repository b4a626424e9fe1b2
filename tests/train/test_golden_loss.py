"""The golden loss curve: 24 steps of a tiny pretraining run, as the first edition of this library took them.

A refactoring must leave it alone. A change that is meant to alter training changes these numbers in the same commit
and says why.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from helpers.tiny import pretrain_recipe

from foundation.train.pretrain import pretrain

#: Of commit 5c0d0b9, one thread, fp32: 400 simulated windows, batches of 8, `helpers.tiny.MODEL`.
GOLDEN = [
    5.079565,
    5.336185,
    5.987642,
    5.005024,
    4.928092,
    3.387921,
    4.494963,
    4.175838,
    4.357758,
    5.687739,
    4.065388,
    4.159992,
    3.954103,
    3.712578,
    4.305774,
    3.867462,
    4.445272,
    4.707496,
    4.4079,
    3.374082,
    6.427344,
    3.86046,
    4.606763,
    3.307986,
]


def test_the_loss_curve_is_the_golden_one(shards_dir: Path, tmp_path: Path) -> None:
    steps = len(GOLDEN)
    pretrain(pretrain_recipe(shards_dir, tmp_path / "run", steps=steps, checkpoint_every=steps, log_every=1))
    (log,) = (tmp_path / "run" / "logs").rglob("metrics.csv")
    losses = [float(row["loss"]) for row in csv.DictReader(log.open()) if row["loss"]]
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-5)  # processors add in other orders
