"""Measured model states of a process under ZeRO, against one process and against theory.

The network of recipes/pretrain/small.yaml is trained with the code of `wfm pretrain` in bf16-mixed, which DeepSpeed
implements as bf16 with fp32 copies in the optimizer. Live tensors (parameters, gradients, moments, DeepSpeed's buckets)
are summed before the optimizer step, at their peak (`tests/helpers/measure_states.py`). Theory is
`foundation/train/planning/memory.py` (Rajbhandari et al. 2020) without buckets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.rows import Rows
from benchmarks.steps import ROOT, simulated
from foundation.config import DataSection, PretrainRecipe, dump_recipe, load_recipe
from foundation.train.module import PretrainModule
from foundation.train.planning.memory import model_states, parameter_count

SMALL = ROOT / "recipes" / "pretrain" / "small.yaml"
PRECISION = "bf16-mixed"


def held(strategy: str, devices: int) -> int:
    """Bytes of live tensors of rank 0 at most, in a short run of its own."""
    recipe = load_recipe(SMALL, PretrainRecipe)
    with tempfile.TemporaryDirectory() as folder:
        recipe.out, recipe.data = Path(folder) / "run", DataSection(shards=str(simulated()))
        recipe.train = recipe.train.model_copy(
            update={
                "steps": 2,
                "batch_size": 2,
                "accelerator": "cpu",
                "devices": devices,
                "strategy": strategy,
                "precision": PRECISION,
            }
        )
        config, out = Path(folder) / "recipe.yaml", Path(folder) / "bytes.json"
        config.write_text(dump_recipe(recipe))
        command = [sys.executable, str(ROOT / "tests" / "helpers" / "measure_states.py"), str(config), str(out)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        return int(json.loads(out.read_text()))


def main() -> None:
    rows = Rows(__file__)
    parameters = parameter_count(PretrainModule(load_recipe(SMALL, PretrainRecipe)).model)
    for stage in (1, 2, 3):
        measured = {devices: held(f"zero-{stage}", devices) for devices in (1, 2)}
        for devices, size in measured.items():
            name = f"ZeRO-{stage}, {devices} process{'es' * (devices > 1)}"
            rows.add(name, size / 1e6, "MB a process", f"ZeRO-{stage}, 1 process", size / measured[1])
            states = model_states(parameters, stage, devices, PRECISION)
            theory = states.total - states.buffers
            rows.add(name, size / 1e6, "MB a process", f"{theory / 1e6:.4g} MB, theory", size / theory)
    rows.write()


if __name__ == "__main__":
    main()
