"""Data-sheet values of GPUs: memory, its bandwidth, and peak matrix throughput without structured sparsity."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from foundation.errors import RecipeError

#: Seconds of the host for one eager call: Python, dispatcher, autograd and driver. On no data sheet; 5 to 25 us are
#: reported for PyTorch on current hosts, and a plan says what is possible at best.
LAUNCH_S = 6e-6


@dataclass(frozen=True)
class Gpu:
    """Data-sheet values of one GPU.

    Attributes:
        memory_gb: memory in 10**9 bytes.
        bf16_tflops: dense tensor-core peak in TFLOP/s.
        fp32_tflops: peak in TFLOP/s without tensor cores (32-true).
        bandwidth_gb_s: of the memory, in 10**9 bytes/s.
    """

    name: str
    memory_gb: float
    bf16_tflops: float
    fp32_tflops: float
    bandwidth_gb_s: float

    def peak(self, precision: str) -> float:
        """FLOP/s at a recipe's precision."""
        return 1e12 * (self.bf16_tflops if precision.startswith("bf16") else self.fp32_tflops)


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100-40", 40, 312, 19.5, 1555),  # NVIDIA A100 Tensor Core GPU data sheet, 2021, SXM and PCIe
        Gpu("a100", 80, 312, 19.5, 2039),  # same data sheet, 80 GB, SXM (PCIe: 1,935 GB/s)
        Gpu("h100", 80, 989.4, 66.9, 3350),  # NVIDIA H100 Tensor Core GPU architecture white paper, SXM5
        Gpu("h100-pcie", 80, 756, 51.2, 2000),  # NVIDIA H100 data sheet, PCIe (1,513 with sparsity)
        Gpu("h200", 141, 989.4, 66.9, 4800),  # NVIDIA H200 data sheet, SXM: the chip of the H100
        Gpu("b200", 180, 2250, 75, 8000),  # NVIDIA DGX B200 data sheet: 1,440 GB and 64 TB/s in eight; half of sparse
        Gpu("l40s", 48, 362, 91.6, 864),  # NVIDIA L40S data sheet
        Gpu("rtx4090", 24, 165.2, 82.6, 1008),  # NVIDIA Ada GPU architecture white paper, fp32 accumulation
        Gpu("mi300x", 192, 1307.4, 163.4, 5300),  # AMD Instinct MI300X data sheet
    )
}


def find_gpu(name: str) -> Gpu:
    """The GPU of this name.

    Raises:
        RecipeError: not in the table; names the nearest.
    """
    if name.lower() in GPUS:
        return GPUS[name.lower()]
    match = difflib.get_close_matches(name.lower(), GPUS, n=1, cutoff=0.0)
    raise RecipeError(f"--gpu {name}: not in the table; did you mean {match[0]!r}? Known: {', '.join(GPUS)}.")
