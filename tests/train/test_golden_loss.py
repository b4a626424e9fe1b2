"""The golden loss curve: 24 steps of a tiny pretraining run.

A refactoring must leave it alone. A change that is meant to alter training changes these numbers in the same commit
and says why.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from helpers.tiny import pretrain_recipe

from foundation.train.pretrain import pretrain

#: Since the decoder denoises jointly, in place of a flow head for each token. One thread, fp32: 400 simulated windows,
#: batches of 8, `helpers.tiny.MODEL`.
GOLDEN = [
    4.976308,
    5.644569,
    7.012774,
    5.417002,
    5.70593,
    4.211299,
    4.96827,
    4.17386,
    4.213567,
    4.502505,
    4.141816,
    3.846781,
    4.377598,
    3.878884,
    4.40492,
    3.935808,
    5.05982,
    4.544622,
    4.387804,
    3.254885,
    6.45425,
    3.412935,
    5.079521,
    3.893011,
]


def test_the_loss_curve_is_the_golden_one(shards_dir: Path, tmp_path: Path) -> None:
    steps = len(GOLDEN)
    pretrain(pretrain_recipe(shards_dir, tmp_path / "run", steps=steps, checkpoint_every=steps, log_every=1))
    (log,) = (tmp_path / "run" / "logs").rglob("metrics.csv")
    losses = [float(row["loss"]) for row in csv.DictReader(log.open()) if row["loss"]]
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-5)  # processors add in other orders
