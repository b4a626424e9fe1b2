"""Whether the network is being recorded as a graph, in which no shape may depend on the data."""

from __future__ import annotations

import torch


def tracing() -> bool:
    """True under `torch.export` and `torch.compile`.

    Padding is then computed along with the rest; the outputs for real tokens are the same up to rounding.
    """
    return torch.compiler.is_compiling()
