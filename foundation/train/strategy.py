"""Training strategies: a single process, DDP, FSDP2, or DeepSpeed ZeRO, also on CPU ranks.

Lightning 2.6 refuses a CPU accelerator for DeepSpeed in `setup_environment` and expects devices with an index ("cpu:1"
is plain CPU to torch); the override adds one and leaves the CUDA path unchanged. On CPU, DeepSpeed would compile a
shared-memory collective that training never calls: disabling it saves the compiler and half a minute.
"""

from __future__ import annotations

import os
import re
import shutil
from argparse import Namespace
from contextlib import redirect_stdout
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.plugins.precision import DeepSpeedPrecision
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, Strategy
from torch import Tensor
from torch.nn import Module

from foundation.checkpoints.atomic import explained, force, list_files
from foundation.checkpoints.integrity import files_of
from foundation.checkpoints.layout import PARTIAL
from foundation.config import PretrainRecipe, TrainSection
from foundation.errors import RecipeError
from foundation.machine import device_of
from foundation.train.background_files import BackgroundFiles
from foundation.train.callbacks.stop import slurm_environment
from foundation.train.partition import partitioned


class AtomicDeepSpeedStrategy(DeepSpeedStrategy):
    """`DeepSpeedStrategy` with atomic checkpoints, which also runs on CPU ranks (gloo)."""

    def setup_environment(self) -> None:
        if not isinstance(self.accelerator, CPUAccelerator):
            super().setup_environment()
            return
        assert self.parallel_devices is not None
        self.parallel_devices = [torch.device("cpu", i) for i in range(len(self.parallel_devices))]
        super(DeepSpeedStrategy, self).setup_environment()

    def _setup_model_and_optimizer(self, model: Module, *args: Any) -> Any:
        """Restore buffers that DeepSpeed casts with the weights: position wavelengths among them must stay fp32."""
        exact = {name: buffer.clone() for name, buffer in model.named_buffers()}
        engine, optimizer = super()._setup_model_and_optimizer(model, *args)
        for name, buffer in engine.module.named_buffers():
            buffer.data = exact[name].to(buffer.device)
        return engine, optimizer

    def save_checkpoint(self, checkpoint: dict, filepath: str | Path, storage_options: Any | None = None) -> None:
        """All ranks write into one temporary folder, and flush what they wrote; rank 0 renames it once all are done."""
        path = Path(self.broadcast(str(filepath)))
        partial = path.with_name(path.name + PARTIAL)
        with explained(path):
            super().save_checkpoint(checkpoint, partial, storage_options)
            for file in files_of(partial):
                if _writer(file) == self.global_rank:
                    force(file)
            self.barrier()
            if self.is_global_zero:
                list_files(partial)
                partial.replace(path)
                force(path.parent)
            self.barrier()

    def will_load(self, path: Path | None, processes: int) -> None:
        """Tell in which form a checkpoint will come, before the engine is built."""
        assert isinstance(self.config, dict)
        self.config["checkpoint"] = {"load_universal": path is not None and _differs(path, processes)}

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Load directly for the same number of ranks, else through DeepSpeed's universal format."""
        path = Path(checkpoint_path)
        if not _differs(path, self.world_size):
            return super().load_checkpoint(path, weights_only)
        universal = path.with_name(path.name + ".universal" + PARTIAL)
        if self.is_global_zero:
            _to_universal(path, universal)
        self.barrier()
        optimizer = self.optimizers[0]
        numbers = [{k: v for k, v in group.items() if k not in ("params", "lr")} for group in optimizer.param_groups]
        state = super().load_checkpoint(universal, weights_only)
        # Works around DeepSpeed 0.19 at stage 3: it gives every group the options of the first, so that biases and
        # norms would decay too, and all groups share one step counter, which each of them would increment.
        for group, own in zip(optimizer.param_groups, numbers, strict=True):
            group.update(own)
        for moments in optimizer.state.values():
            moments["step"] = moments["step"].clone()
        self.barrier()
        if self.is_global_zero:
            shutil.rmtree(universal)
        return state


class _Exact(DeepSpeedPrecision):
    """Precision plugin that works around two numerical faults of Lightning 2.6."""

    def convert_input(self, data: Any) -> Any:
        """Leave the batch in fp32: in bf16 1.998 s rounds to 2 s and packets coincide. The network casts after the
        position encoding."""
        return data

    def backward(self, tensor: Tensor, *args: Any, **kwargs: Any) -> None:
        """Divide by the number of accumulated batches once: Lightning does, and DeepSpeed would again."""
        super().backward(tensor, *args, scale_wrt_gas=False, **kwargs)


def _writer(file: Path) -> int:
    """Rank of the process that writes a file of a ZeRO directory."""
    partition = re.search(r"zero_pp_rank_(\d+)_", file.name)
    return int(partition[1]) if partition else 0


def _differs(path: Path, world: int) -> bool:
    """Whether a checkpoint is partitioned over another number of ranks; stage 0 and plain files are not partitioned."""
    return len(list(path.glob("checkpoint/*optim_states.pt"))) not in (0, world)


def _to_universal(path: Path, out: Path) -> None:
    """Convert a ZeRO checkpoint to DeepSpeed's universal format, which any number of ranks can read."""
    from deepspeed.checkpoint.ds_to_universal import main

    with redirect_stdout(StringIO()):
        main(
            Namespace(
                input_folder=str(path / "checkpoint"),
                output_folder=str(out / "checkpoint"),
                num_extract_workers=1,
                num_merge_workers=1,
                keep_temp_folder=False,
                strict=True,
                inject_missing_state=True,
            )
        )
    (out / "latest_universal").write_text("checkpoint")


def trainer_options(recipe: PretrainRecipe, files: BackgroundFiles) -> dict[str, Any]:
    """Arguments of Lightning's `Trainer` for devices, strategy, precision and plugins.

    Args:
        files: writes checkpoints, where DeepSpeed does not.

    Raises:
        RecipeError: this machine lacks the device, or has fewer GPUs than the recipe has processes for it.
    """
    train = recipe.train
    timeout = timedelta(seconds=train.timeout_s)
    device = device_of(train.accelerator)
    on_cpu = device.type != "cuda"
    if not on_cpu and train.devices > torch.cuda.device_count():
        raise RecipeError(
            f"train.devices: {train.devices} GPUs of each node are asked for, and torch finds "
            f"{torch.cuda.device_count()}; lower it, or take train.accelerator=cpu."
        )
    if on_cpu:
        os.environ["DS_ACCELERATOR"] = "cpu"  # read when deepspeed is first imported, perhaps by another library
    devices = train.devices if device.index is None else [device.index]
    where: dict[str, Any] = {"accelerator": device.type, "devices": devices, "num_nodes": train.nodes}
    if train.zero_stage is not None:
        exact = _Exact(train.precision)
        return where | {"strategy": _deepspeed(train, timeout, on_cpu), "plugins": [exact, *_plugins()]}
    strategy: str | Strategy = train.strategy
    if strategy == "fsdp":
        strategy = partitioned(train.processes, timeout)
    elif strategy == "ddp" or train.processes > 1:
        strategy = DDPStrategy(timeout=timeout)
    return where | {"strategy": strategy, "precision": train.precision, "plugins": [files, *_plugins()]}


def _plugins() -> list[Any]:
    environment = slurm_environment()
    return [] if environment is None else [environment]


def _deepspeed(train: TrainSection, timeout: timedelta, on_cpu: bool) -> AtomicDeepSpeedStrategy:
    """ZeRO stages (Rajbhandari et al. 2020, arXiv 1910.02054), with offload (Ren et al. 2021, arXiv 2101.06840)."""
    options: dict[str, Any] = {
        "stage": train.zero_stage,
        "offload_optimizer": train.offload != "none",
        "offload_parameters": train.offload == "parameters",
        # Lightning would look for it in a batch sampler, which our loader does not have.
        "logging_batch_size_per_gpu": train.batch_size,
        "timeout": timeout,
    }
    if on_cpu:
        import deepspeed.ops

        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        options |= {
            "overlap_comm": False,  # there are no streams to overlap on
            "reduce_bucket_size": 1_000_000,
            "allgather_bucket_size": 1_000_000,
            "process_group_backend": "gloo",
        }
    strategy = AtomicDeepSpeedStrategy(**options)
    assert isinstance(strategy.config, dict)
    # Offloading may use torch's optimizer: DeepSpeed's would have to be compiled on the cluster first.
    strategy.config["zero_force_ds_cpu_optimizer"] = False
    return strategy
