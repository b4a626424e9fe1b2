"""Numbers that must keep their precision when a network is cast to half: hertz, seconds, heads fitted in float64."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

SINGLE_BYTES = 4


def at_least_single(x: Tensor) -> Tensor:
    """Half-precision numbers in float32, others unchanged."""
    return x.float() if x.is_floating_point() and x.dtype.itemsize < SINGLE_BYTES else x


class SinglePrecision(nn.Module):
    """Base of modules whose own parameters and buffers stay in float32 (or float64) under `.half()`, `.to(dtype)` etc.

    Submodules are cast as usual. A rate of 1e9 radians per second is infinite in float16, whose largest number is
    65504, and every feature is then NaN.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        own = [*self.parameters(recurse=False), *self.buffers(recurse=False)]
        kept = {id(tensor) for each in own for tensor in (each, each.grad) if tensor is not None}

        def cast(tensor: Tensor) -> Tensor:
            out = fn(tensor)
            shortened = id(tensor) in kept and tensor.is_floating_point() and out.dtype.itemsize < SINGLE_BYTES
            return tensor.to(out.device) if shortened else out

        return super()._apply(cast, recurse)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Leave any autocast of this device for a while; a device that has none, such as `meta`, needs no leaving."""
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()
