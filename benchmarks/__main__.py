"""`python -m benchmarks`: run every script that writes rows, each in a process of its own, and render README.md."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.rows import README, render

NAMES = (
    "vs_vitmae",
    "objective",
    "mfu",
    "kernels",
    "gpu",
    "compile",
    "loader_stall",
    "zero_memory",
    "scaling",
    "stream",
    "checkpoint",
    "start",
)

if __name__ == "__main__":
    for name in NAMES:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
    README.write_text(render())
    print(f"wrote {README}")
