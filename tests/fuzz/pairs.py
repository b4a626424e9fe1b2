"""The same command twice at once: python tests/fuzz/pairs.py [--pairs 200] [--seed 0] [COMMAND ...].

Two processes, forked from one that has everything loaded, run `wfm COMMAND` into the same place, a random moment apart.
Nothing may be mixed, nothing that either says it has written may be lost, and who is refused is told so in a sentence.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from pair_commands import COMMANDS, ONE_OF, Bench

from foundation.cli import main as wfm


def fork(words: list[str], delay_s: float, told: Path) -> int:
    """Run a command in a copy of this process; returns the id of that."""
    child = os.fork()
    if child:
        return child
    with told.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    time.sleep(delay_s)
    status = 1
    try:
        status = wfm(words)
    finally:
        sys.stdout.flush()
        os._exit(status)


def pair(bench: Bench, command: str, rng: random.Random) -> str:
    """Run one pair and return what was wrong with it; "" if nothing."""
    shutil.rmtree(bench.out, ignore_errors=True)
    bench.out.mkdir()
    with redirect_stdout(StringIO()):
        calls, check = COMMANDS[command](bench)
    logs = [bench.folder / f"{number}.log" for number in range(2)]
    began = time.monotonic()
    apart_s = rng.choice([0.01, 0.3])  # some commands take less than 0.3 s
    children = [fork(words, rng.uniform(0, apart_s), log) for words, log in zip(calls, logs, strict=True)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    try:
        with redirect_stdout(StringIO()):
            problem = check(statuses)
    except Exception as error:
        problem = f"{statuses}, {type(error).__name__}: {error}"
    texts = [log.read_text() for log in logs]
    if any("Traceback" in text or "defect" in text for text in texts):
        problem += " a traceback"
    refused = [text for status, text in zip(statuses, texts, strict=True) if status]
    if not all(text.strip().rpartition("\n")[2].startswith("wfm: ") for text in refused):
        problem += " no sentence"
    left = [path.name for path in bench.out.rglob("*") if "partial" in path.name or path.name.endswith(".lock")]
    if left:
        problem += f" left behind: {left}"
    said = json.dumps([text[-500:] for text in texts])
    return f"{problem} after {time.monotonic() - began:.0f} s: {said}" if problem else ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(COMMANDS)}; default: all")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rng, found = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(StringIO()):
            bench = Bench(Path(folder))
        for command in args.commands or COMMANDS:
            pairs = -(-args.pairs // ONE_OF.get(command, 1))
            problems = [problem for _ in range(pairs) if (problem := pair(bench, command, rng))]
            print(f"{command}: {pairs} pairs, {len(problems)} problems", *problems[:3], sep="\n  ", flush=True)
            found += len(problems)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
