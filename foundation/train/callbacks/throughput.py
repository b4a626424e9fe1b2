"""Callback that logs samples/s, tokens/s, memory and model-FLOP utilisation (MFU) against a measured GEMM peak."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import psutil
import torch

from foundation.objectives.flops import training_flops
from foundation.train.module import PretrainModule


def gemm_peak(device: torch.device, dtype: torch.dtype, size: int | None = None) -> float:
    """Highest FLOP/s of a few square matrix products [size, size]: the reference of MFU."""
    size = size or (1024 if device.type == "cpu" else 8192)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        c = a @ b
        c[0, 0].item()  # synchronises with the device
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def memory_gb(device: torch.device) -> float:
    """Memory in GB (10**9 bytes): resident memory of this process without mapped files such as shards; on CUDA the
    peak that torch has allocated."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    info = psutil.Process().memory_info()
    return float(info.rss - getattr(info, "shared", 0)) / 1e9


class Throughput(L.Callback):
    """Logs throughput over the last `every` steps of all ranks, and the memory of this rank."""

    def __init__(self, every: int) -> None:
        self.every = every
        self._reset()

    def _reset(self) -> None:
        self.samples, self.tokens, self.start = 0, 0, time.perf_counter()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        dtype = torch.bfloat16 if str(trainer.precision).startswith("bf16") else torch.float32
        self.peak = gemm_peak(pl_module.device, dtype)
        self._reset()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.samples += outputs["samples"]
        self.tokens += outputs["tokens"]
        assert isinstance(pl_module, PretrainModule)
        if trainer.global_step % self.every or not pl_module.ends_step:
            return
        seconds = time.perf_counter() - self.start
        flops = training_flops(pl_module.model, pl_module.objective, self.samples, self.tokens)
        pl_module.log_dict(
            {
                "samples_per_s": self.samples * trainer.world_size / seconds,
                "tokens_per_s": self.tokens * trainer.world_size / seconds,
                "mfu": flops / seconds / self.peak,
                "memory_gb": memory_gb(pl_module.device),
            }
        )
        self._reset()
