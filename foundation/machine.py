"""Which device and how many threads a process should compute with: what the machine really has free, not what it has.

On a busy machine threads wait for one another at every layer: two threads on two cores, one of them taken, are several
times slower than one.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TypeVar

import psutil
import torch
from torch import nn

from foundation.errors import RecipeError

M = TypeVar("M", bound=nn.Module)

LOOK_S = 0.3  # how long the load is looked at
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def set_threads(wanted: int | None, processes: int = 1) -> str:
    """Set the number of threads of torch in this process; returns how many and why.

    Args:
        wanted: the user's number; None: `OMP_NUM_THREADS` where it is set, else a share of the cores that are free.
        processes: how many processes of this run share the machine.
    """
    if wanted is not None:
        number, why = wanted, "as asked"
    elif os.environ.get("OMP_NUM_THREADS", "").isdecimal():
        number, why = max(1, int(os.environ["OMP_NUM_THREADS"])), "OMP_NUM_THREADS"
    else:
        free, cores = free_cores(), allowed_cores()
        number, why = max(1, int(free / processes)), f"{free:.1f} of {cores:g} cores are free"
    torch.set_num_threads(number)
    return f"{number} CPU thread{'s' * (number > 1)} ({why})"


def device_of(name: str) -> torch.device:
    """The device of a recipe's `device` or `train.accelerator`.

    Args:
        name: cpu, cuda, cuda:1 or mps; `gpu` is the first of a kind that is there; `auto` is the first CUDA GPU where
            there is one, else the CPU.

    Raises:
        RecipeError: this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    found = name
    if name == "gpu":
        found = "mps" if torch.backends.mps.is_available() and not torch.cuda.is_available() else "cuda"
    device = torch.device(found)
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(device.type, 1)
    if (device.index or 0) >= count:
        raise RecipeError(f"device: {name} is not there: torch finds {count} {device.type} devices; use auto or cpu.")
    return device


def on_device(model: M, name: str) -> M:
    """A network, moved to the device of a recipe's `device`."""
    nn.Module.to(model, device_of(name))
    return model


def allowed_cores() -> float:
    """Cores that this process may use: of its affinity, and of the quota of its control group."""
    cores = float(len(_own_cores()))
    try:
        quota, period = _QUOTA.read_text().split()
        return min(cores, max(1.0, int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return cores


def free_cores() -> float:
    """Cores that this process may use and that nothing else is using, rounded to whole ones where they nearly are."""
    busy = psutil.cpu_percent(interval=LOOK_S, percpu=True)
    own = [core for core in _own_cores() if core < len(busy)]
    free = sum(1 - busy[core] / 100 for core in own) if own else 1.0
    nearly = math.ceil(free) if math.ceil(free) - free < 0.25 else free
    return min(float(nearly), allowed_cores())


def _own_cores() -> list[int]:
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return list(range(os.cpu_count() or 1))
