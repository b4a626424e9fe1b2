"""Calls that would launch a kernel in one training step, counted on the meta device; views and allocations launch none.

A batch of every kind of signal and of several lengths, in bf16 as on a GPU, without a compiler. Clipping and the fused
optimizer are a dozen more. `tests/test_meta.py` shows that no call waits for the host.

The target was 1,400 for `base`; the first edition's step had 3,050. It is not reached: of the calls a third
are the backward pass of element-wise chains, 150 the interpolation that the gate is compared with, 144 rotary
positions, 126 the blocks themselves and 72 the delay-Doppler embedding; the heads for facts and spectra and the joint
decoder came later and cost more than was saved since. On a GPU `train.compile` fuses most of the chains.
"""

from __future__ import annotations

from itertools import islice

from benchmarks.rows import Rows
from benchmarks.steps import recipe_of
from foundation.datasets import open_dataset
from foundation.train.planning.kernels import Work, work_of

SAMPLES = 64


def count(size: str) -> Work:
    """Calls of the forward pass with the loss, and of the backward pass."""
    corpus = open_dataset("simulated-corpus", count=600, seed=0).samples()
    recipe = recipe_of(size)
    bf16 = recipe.model_copy(update={"train": recipe.train.model_copy(update={"precision": "bf16-mixed"})})
    return work_of(bf16, [signal for _, signal in islice(corpus, SAMPLES)])


def main() -> None:
    rows = Rows(__file__)
    for size in ("quickstart", "base"):
        found = count(size)
        for part, calls in (("forward", found.forward), ("backward", found.backward)):
            rows.add(f"{size}, {part}", sum(calls.values()), "calls", "the step", sum(calls.values()) / found.calls)
        rows.add(f"{size}, step", found.calls, "calls", "1,400", found.calls / 1400)
    rows.write()


if __name__ == "__main__":
    main()
