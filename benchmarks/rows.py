"""Rows of the benchmarks: written as results/NAME.json, rendered into README.md."""

from __future__ import annotations

import ast
import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE / "README.md"


@dataclass(frozen=True)
class Row:
    """One result; `ratio` is that of the value to the value or bound that `against` names."""

    name: str
    value: float
    unit: str
    against: str
    ratio: float
    machine: str
    command: str


class Rows:
    """The rows of one benchmark script: each is printed when added, all are written together."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.command = f"python -m benchmarks.{self.file.stem}"
        self.rows: list[Row] = []

    def add(self, name: str, value: float, unit: str, against: str, ratio: float) -> None:
        self.rows.append(Row(name, _short(value), unit, against, _short(ratio), machine(), self.command))
        print(f"{name:60} {_short(value):>10} {unit:18} {_short(ratio):>8} x {against}", flush=True)

    def write(self) -> None:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.file.stem}.json"
        path.write_text(json.dumps([asdict(row) for row in self.rows], indent=1) + "\n")


@cache
def machine() -> str:
    """Processor, threads, GPU if any, and torch version; without the host name."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        model = next((value.strip() for key, _, value in lines if key.strip() == "model name"), model)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{model}, {torch.get_num_threads()} thread(s){gpu}, torch {torch.__version__}"


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def in_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest of `rounds` calls of each function, after one untimed call.

    The functions alternate, so that a slow phase of the machine affects all of them. With one CPU thread processor time
    is used: on an idle machine it equals wall-clock time, and on a shared one it is hardly affected by other work.
    """
    clock = time.process_time if device().type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    best = dict.fromkeys(ways, float("inf"))
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            begin = clock()
            way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if round_:
                best[name] = min(best[name], clock() - begin)
    return best


def render() -> str:
    """README.md, from the scripts' docstrings and the rows in results/."""
    parts = [_INTRODUCTION]
    for path in sorted(RESULTS.glob("*.json")):
        rows = [Row(**row) for row in json.loads(path.read_text())]
        script = (HERE / path.with_suffix(".py").name).read_text()
        parts += [f"## {path.stem}", ast.get_docstring(ast.parse(script)) or "", _table(rows)]
        parts += [f"`{rows[0].command}`; {rows[0].machine}"]
    return "\n\n".join(parts) + "\n"


def _table(rows: list[Row]) -> str:
    lines = ["| | value | unit | ratio | against |", "|---|---:|---|---:|---|"]
    lines += [f"| {row.name} | {row.value:g} | {row.unit} | {row.ratio:g} | {row.against} |" for row in rows]
    return "\n".join(lines)


def _short(value: float) -> float:
    """The value with four significant digits."""
    return float(f"{value:.4g}")


_INTRODUCTION = """# Benchmarks

`make bench` (`python -m benchmarks`) runs everything below and renders this file from `results/*.json`;
`python -m benchmarks.NAME` runs one. Only ratios within one run are comparable across machines."""
