"""How long one training step of a GPU takes at best, and what limits it: matrix products, bytes, or the host's calls.

A roofline (Williams et al. 2009) of the step: on the GPU products and other calls follow one another, the former
limited by FLOPs, the latter by bytes; the host issues calls ahead of the GPU, which waits where it is slower. Nothing
else is in it: no communication between GPUs, no product below the peak, no wait for the loader.
"""

from __future__ import annotations

from dataclasses import dataclass

from foundation.train.planning.gpus import LAUNCH_S, Gpu

#: Bytes of clipping and AdamW for each parameter in fp32: weight, gradient and two moments are read and all but the
#: gradient written; clipping reads the gradient twice and writes it.
UPDATE_BYTES = 4 * (4 + 3) + 4 * 3
RECOMPUTED = 4 / 3  # products with activation checkpointing: the forward pass a second time


@dataclass(frozen=True)
class Step:
    """One batch of one GPU, with its share of the optimizer's step.

    Attributes:
        flops: of the model, forward and backward.
        bytes: read and written by all calls but matrix products.
        calls: that launch a kernel.
        products_s, bytes_s, calls_s: seconds that each of these takes at least.
    """

    flops: float
    bytes: float
    calls: int
    products_s: float
    bytes_s: float
    calls_s: float

    @classmethod
    def of(cls, gpu: Gpu, precision: str, flops: float, bytes_: float, calls: int, recomputed: bool) -> Step:
        """Of these amounts on this GPU."""
        products = flops * (RECOMPUTED if recomputed else 1.0) / gpu.peak(precision)
        return cls(flops, bytes_, calls, products, bytes_ / (1e9 * gpu.bandwidth_gb_s), calls * LAUNCH_S)

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return max(self.products_s + self.bytes_s, self.calls_s)

    @property
    def limit(self) -> str:
        """What most of the time goes to."""
        if self.calls_s > self.products_s + self.bytes_s:
            return "calls"
        return "products" if self.products_s > self.bytes_s else "bytes"

    def utilisation(self, peak: float) -> float:
        """Share of the GPU's peak FLOP/s that the model's FLOPs make, at most."""
        return self.flops / peak / self.seconds
