"""Weights, gradients and optimizer state partitioned over all processes by torch alone (FSDP2, `fully_shard`).

Zhao et al. 2023, arXiv 2304.11277. Checkpoints are the same single file as without: one process gathers all of it, so
that any number of processes can resume.
"""

from __future__ import annotations

from datetime import timedelta

from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.fsdp import fully_shard

from foundation.nn.blocks import Block
from foundation.train.module import PretrainModule


class PartitionedModule(PretrainModule):
    """A `PretrainModule` for the strategy of `partitioned`."""

    def configure_model(self) -> None:
        assert self.device_mesh is not None
        mesh = self.device_mesh["data_parallel"]
        for block in [module for module in self.model.modules() if isinstance(module, Block)]:
            fully_shard(block, mesh=mesh)
        # The objective uses heads after the forward pass: what is in no block stays gathered until the backward pass.
        fully_shard(self.model, mesh=mesh, reshard_after_forward=False)


def partitioned(processes: int, timeout: timedelta) -> ModelParallelStrategy:
    return ModelParallelStrategy(processes, 1, save_distributed_checkpoint=False, timeout=timeout)
