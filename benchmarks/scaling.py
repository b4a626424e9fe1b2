"""Samples per second of two processes (DDP) against one, each with one thread and equal samples per process.

Both run `wfm pretrain` on the quickstart recipe, one after the other; the value is the median of the logged throughput.
Cores that other work or the memory bandwidth limits give a factor below two.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.rows import Rows
from benchmarks.steps import recipe_of, simulated
from foundation.config import DataSection, dump_recipe
from foundation.train.directory.history import read_history

STEPS, EVERY = 60, 5


def pace(devices: int) -> float:
    """Samples per second of all processes."""
    recipe = recipe_of("quickstart")
    with tempfile.TemporaryDirectory() as folder:
        recipe.out, recipe.data = Path(folder) / "run", DataSection(shards=str(simulated()))
        recipe.train = recipe.train.model_copy(update={"steps": STEPS, "devices": devices, "log_every": EVERY})
        config = Path(folder) / "recipe.yaml"
        config.write_text(dump_recipe(recipe))
        command = [sys.executable, "-m", "foundation.cli", "pretrain", "--config", str(config)]
        subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, capture_output=True)
        paces = [row["samples_per_s"] for row in read_history(recipe.out) if "samples_per_s" in row]
    return statistics.median(paces[1:])  # the first includes start-up


def main() -> None:
    rows = Rows(__file__)
    paces = {devices: pace(devices) for devices in (1, 2)}
    for devices, value in paces.items():
        rows.add(f"quickstart, {devices} process(es)", value, "samples/s", "one process", value / paces[1])
    rows.write()


if __name__ == "__main__":
    main()
