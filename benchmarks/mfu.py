"""Model-FLOP utilisation of a training step, against the measured peak of a 2048 x 2048 matrix product in its dtype.

FLOPs are those of the model's matrix products without padding (`foundation/objectives/flops.py`). The step is forward,
backward, clipping and optimizer, at the mean mask ratio of the recipe.
"""

from __future__ import annotations

import torch

from benchmarks.rows import Rows, device, in_turns
from benchmarks.steps import DTYPES, SIZES, batch_of, fixed_share, our_step, recipe_of
from foundation.objectives.flops import training_flops
from foundation.train.module import PretrainModule

SQUARE = 2048 if device().type == "cpu" else 8192


def measure(rows: Rows, size: str, rounds: int) -> None:
    torch.manual_seed(0)
    module, samples = PretrainModule(recipe_of(size)).to(device()), SIZES[size][1]
    batch = batch_of(module.model.config, samples)
    objective = fixed_share(module.objective, module.objective.hidden_share)
    flops = training_flops(module.model, objective, samples, float(batch["measured"].sum()))
    ways = {}
    for name, dtype in DTYPES.items():
        a, b = (torch.randn(SQUARE, SQUARE, device=device(), dtype=dtype) for _ in range(2))
        ways[f"{name} product"] = lambda a=a, b=b: a @ b
        ways[name] = our_step(module, batch, objective, dtype)
    seconds = in_turns(ways, rounds)
    for name in DTYPES:
        peak, reached = 2 * SQUARE**3 / seconds[f"{name} product"], flops / seconds[name]
        rows.add(
            f"{size}, {name}",
            reached / 1e9,
            "model GFLOP/s",
            f"{peak / 1e9:.4g} GFLOP/s of the product",
            reached / peak,
        )


def main() -> None:
    rows = Rows(__file__)
    measure(rows, "quickstart", rounds=10)
    measure(rows, "base", rounds=4)
    rows.write()


if __name__ == "__main__":
    main()
