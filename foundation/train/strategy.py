"""How processes share the work: one alone, DDP, or DeepSpeed, also on CPU ranks.

Lightning 2.6 refuses a CPU accelerator for DeepSpeed in `setup_environment` and wants devices that carry an index
("cpu:1" is plain CPU to torch). The override gives them one; the CUDA path is untouched. On CPU, DeepSpeed would
compile a shared-memory collective that training never calls: switching it off saves the compiler and half a minute.
"""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, Strategy

from foundation.recipe import PretrainRecipe


class AnywhereDeepSpeedStrategy(DeepSpeedStrategy):
    """`DeepSpeedStrategy` that also runs on CPU ranks (gloo)."""

    def setup_environment(self) -> None:
        if not isinstance(self.accelerator, CPUAccelerator):
            super().setup_environment()
            return
        assert self.parallel_devices is not None
        self.parallel_devices = [torch.device("cpu", i) for i in range(len(self.parallel_devices))]
        super(DeepSpeedStrategy, self).setup_environment()


def _deepspeed(stage: int, on_cpu: bool, batch_size: int, timeout: timedelta) -> AnywhereDeepSpeedStrategy:
    """ZeRO stage 1, 2 or 3 (Rajbhandari et al. 2020).

    Args:
        batch_size: samples per process and step; Lightning would look for it in a batch sampler, which a loader of
            ready batches does not have, and DeepSpeed reports throughput with it.
        timeout: of a collective.
    """
    if not on_cpu:
        return AnywhereDeepSpeedStrategy(stage=stage, logging_batch_size_per_gpu=batch_size, timeout=timeout)
    os.environ["DS_ACCELERATOR"] = "cpu"  # read when deepspeed is first imported
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return AnywhereDeepSpeedStrategy(
        stage=stage,
        logging_batch_size_per_gpu=batch_size,
        timeout=timeout,
        overlap_comm=False,  # there are no streams to overlap on
        reduce_bucket_size=1_000_000,
        allgather_bucket_size=1_000_000,
        process_group_backend="gloo",
    )


def strategy_of(recipe: PretrainRecipe) -> str | Strategy:
    train, name = recipe.train, recipe.train.strategy
    timeout = timedelta(seconds=train.timeout_s)
    if name.startswith("zero-"):
        on_cpu = train.accelerator == "cpu" or not torch.cuda.is_available()
        return _deepspeed(int(name.removeprefix("zero-")), on_cpu, train.batch_size, timeout)
    if name == "ddp" or train.devices * train.nodes > 1:
        return DDPStrategy(timeout=timeout)
    return name
