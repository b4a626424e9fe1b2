"""What a GPU makes of the training step: utilisation of whole steps, memory against `wfm plan`, waiting for batches.

The script for the day a GPU is at hand, sized to ten minutes of it; on a CPU it runs the quickstart's size, to show
that it runs. A step is the one of `wfm pretrain`: bf16, prepared batches, fused optimizer. Model FLOPs are those of
matrix products without padding, the peak that of a square bf16 product on the same device.
"""

from __future__ import annotations

import subprocess
import sys
import time

import torch

from benchmarks.loader_stall import stall
from benchmarks.rows import Rows, device
from benchmarks.steps import DTYPES, SIZES, batch_of, our_step, recipe_of
from foundation.objectives.flops import training_flops
from foundation.train.callbacks.throughput import gemm_peak
from foundation.train.module import PretrainModule
from foundation.train.planning.plan import plan

WARM, STEPS = 3, 20
#: Size -> samples of a step on a GPU.
ON_GPU = {"base": 512, "large": 256}


def measure(rows: Rows, size: str, samples: int) -> None:
    """Utilisation, pace and memory of `STEPS` steps."""
    torch.manual_seed(0)
    recipe = recipe_of(size)
    module = PretrainModule(recipe).to(device())
    batch = batch_of(module.model.config, samples)
    tokens = int(batch["measured"].sum())
    step = our_step(module, batch, module.objective, DTYPES["bf16"])
    for _ in range(WARM):
        step()
    on_cuda = device().type == "cuda"
    if on_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    for _ in range(STEPS):
        step()
    if on_cuda:
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - begin) / STEPS
    flops = training_flops(module.model, module.objective, samples, tokens)
    peak = gemm_peak(device(), torch.bfloat16)
    rows.add(
        f"{size}, bf16",
        flops / seconds / 1e9,
        "model GFLOP/s",
        f"{peak / 1e9:.4g} GFLOP/s of the product",
        flops / seconds / peak,
    )
    rows.add(f"{size}, pace", samples / seconds, "samples/s", f"{tokens / seconds:,.0f} tokens/s", 1.0)
    if on_cuda:
        held = torch.cuda.max_memory_allocated()
        stage = plan(recipe, gpus=1).stages[0]
        planned = stage.states.total + stage.activations / plan(recipe, gpus=1).batch * samples
        rows.add(f"{size}, memory", held / 1e9, "GB", f"{planned / 1e9:.4g} GB planned", held / planned)


def main() -> None:
    rows = Rows(__file__)
    sizes = ON_GPU if device().type == "cuda" else {"quickstart": SIZES["quickstart"][1]}
    for size, samples in sizes.items():
        measure(rows, size, samples)
    for workers in (0, 4) if device().type == "cuda" else (0,):
        waited, total = stall(workers)
        share, name = waited / total, f"quickstart, waiting with {workers} workers"
        rows.add(name, 100 * share, "% of the time", "the time of the steps", share)
    tests = subprocess.run([sys.executable, "-m", "pytest", "-q", "-n0", "tests/test_gpu.py"], check=False).returncode
    rows.add("tests of CUDA", float(tests == 0), "passed or skipped", "1", float(tests == 0))
    rows.write()


if __name__ == "__main__":
    main()
