"""Seconds that a step is held up by a checkpoint, written at once or in the background.

A network of 100 MB with its optimizer's state (300 MB altogether) is saved three times, some steps apart; the median
counts. "At once" waits for the disk. "Whole" is the time until a checkpoint is on disk while steps go on.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.rows import Rows, device
from foundation.train.background_files import BackgroundFiles

WIDTH, LAYERS, SAVES = 1254, 16, 3  # 25.2 million parameters, 100.6 MB in fp32


def stepping() -> tuple[Any, Any]:
    """A training step, and the state that a checkpoint of it holds."""
    network = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))).to(device())
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    batch = torch.randn(256, WIDTH, device=device())

    def step() -> None:
        optimizer.zero_grad()
        network(batch).square().mean().backward()
        optimizer.step()

    return step, lambda: {"state_dict": network.state_dict(), "optimizer_states": [optimizer.state_dict()]}


def seconds(in_background: bool) -> tuple[float, float]:
    """Median time of a call that saves, and until the checkpoint is on disk."""
    step, state = stepping()
    step()
    held, whole = [], []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # the temporary folder is often in memory
        for number in range(SAVES):
            done: list[float] = []
            files = BackgroundFiles(lambda done=done: done.append(time.perf_counter()))  # type: ignore[misc]
            begun = time.perf_counter()
            files.save_checkpoint(state(), Path(folder, f"step={number}.ckpt"))
            if not in_background:
                files.finish()
            held.append(time.perf_counter() - begun)
            while not done:
                files.hold()
                step()
            files.finish()
            whole.append(done[0] - begun)
    return statistics.median(held), statistics.median(whole)


def main() -> None:
    rows = Rows(__file__)
    before, _ = seconds(in_background=False)
    held, whole = seconds(in_background=True)
    for name, value in (("at once", before), ("in the background", held), ("in the background, whole", whole)):
        rows.add(f"300 MB, {name}", value, "s", "at once", value / before)
    rows.write()


if __name__ == "__main__":
    main()
