"""Training steps with and without `train.compile`, and the number of compilations over a stream of mixed shapes.

Without a CUDA device the part after attention of each block is compiled; every batch has other lengths. There are two
graphs, one for the encoder's blocks and one for the decoder's, independent of the lengths.
"""

from __future__ import annotations

import copy

import torch
import torch._dynamo.testing
from torch import Tensor

from benchmarks.rows import Rows, device, in_turns
from benchmarks.steps import DTYPES, SIZES, batch_of, fixed_share, our_step, recipe_of
from foundation.nn.blocks import compile_blocks
from foundation.train.module import PretrainModule


def compare(rows: Rows, size: str, rounds: int) -> None:
    torch.manual_seed(0)
    module, samples = PretrainModule(recipe_of(size)).to(device()), SIZES[size][1]
    fast = copy.deepcopy(module)
    compile_blocks(fast.model)
    batch = batch_of(module.model.config, samples)
    objective = fixed_share(module.objective, module.objective.hidden_share)
    ways = {
        "off": our_step(module, batch, objective, DTYPES["bf16"]),
        "on": our_step(fast, batch, objective, DTYPES["bf16"]),
    }
    seconds = in_turns(ways, rounds)
    for name, took in seconds.items():
        rows.add(f"{size}, bf16, compile {name}", samples / took, "samples/s", "compile off", seconds["off"] / took)


def graphs(batches: int) -> int:
    """Graphs that are traced for so many batches of other sizes and lengths."""
    torch._dynamo.reset()
    module = PretrainModule(recipe_of("quickstart"))
    counter = torch._dynamo.testing.CompileCounter()
    compile_blocks(module.model, backend=counter)
    draws = torch.Generator().manual_seed(0)
    for i in range(batches):
        module.objective(module.model, _shortened(batch_of(module.model.config, 4 + i % 5), 3 + i % 6), draws)[
            0
        ].backward()
    return int(counter.frame_count)


def _shortened(batch: dict[str, Tensor], times: int) -> dict[str, Tensor]:
    """Every second sample ends after so many patches in time: the rest is padding."""
    cut = (batch["grid"][..., 0] >= times) & ~batch["static"]
    cut[::2] = False
    left = {name: batch[name] & ~cut for name in ("exists", "measured")}
    return {**batch, **left, "observed": batch["observed"] & ~cut[..., None]}


def main() -> None:
    rows = Rows(__file__)
    count = graphs(30)
    rows.add("graphs for 30 batches of mixed shapes", count, "graphs", "30 batches", count / 30)
    compare(rows, "quickstart", rounds=10)
    compare(rows, "base", rounds=3)
    rows.write()


if __name__ == "__main__":
    main()
