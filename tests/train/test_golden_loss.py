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

#: Since hidden patches are asked for their Doppler bands, and tokens enter with their spectrum. One thread, fp32:
#: 400 simulated windows, batches of 8, `helpers.tiny.MODEL`.
GOLDEN = [
    7.171603,
    7.673039,
    8.309543,
    6.26316,
    6.3619,
    5.159339,
    5.764902,
    4.942935,
    5.09971,
    5.232414,
    4.771842,
    4.546225,
    5.017335,
    4.568577,
    5.057883,
    4.538694,
    5.734019,
    5.119318,
    4.903946,
    3.88348,
    7.109438,
    3.957406,
    5.768038,
    4.58412,
]


def test_the_loss_curve_is_the_golden_one(shards_dir: Path, tmp_path: Path) -> None:
    steps = len(GOLDEN)
    pretrain(pretrain_recipe(shards_dir, tmp_path / "run", steps=steps, checkpoint_every=steps, log_every=1))
    (log,) = (tmp_path / "run" / "logs").rglob("metrics.csv")
    losses = [float(row["loss"]) for row in csv.DictReader(log.open()) if row["loss"]]
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-5)  # processors add in other orders
