"""Windows per second of the simulator, in one process: python benchmarks/simulate.py [windows]."""

from __future__ import annotations

import sys
import time

from foundation.simulate import SimulationConfig, simulate


def main(count: int = 1000, repeats: int = 3) -> None:
    """Print the rate of each repeat at the default configuration; bytes are those of the values without the truth."""
    for _ in simulate(SimulationConfig().windows_per_session, seed=0):
        pass  # first calls pay for imports and lookups
    for repeat in range(repeats):
        begin, size = time.perf_counter(), 0
        for signal in simulate(count, seed=repeat):
            size += signal.values.nbytes
        seconds = time.perf_counter() - begin
        print(f"simulate: {count / seconds:7.0f} windows/s  {size / seconds / 1e6:6.1f} MB/s  ({count} windows)")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
