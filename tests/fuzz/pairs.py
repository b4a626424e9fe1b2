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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml

from foundation.adapt import load_adapter, predict
from foundation.checkpoints.load import load_encoder, load_masked
from foundation.cli import main as wfm
from foundation.data.labelled import TokenSet
from foundation.data.shards.array_build import write_part
from foundation.data.shards.corpus import read_part
from foundation.data.shards.verify import verify
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.evaluate.task_result import load_results
from foundation.results.rows import load_rows

MODEL = {"hidden_size": 32, "depth": 1, "heads": 2, "decoder_size": 32, "decoder_depth": 1, "decoder_heads": 2}
TRAIN = {"steps": 2, "batch_size": 8, "accelerator": "cpu", "picture_every": None, "checkpoint_every": 1}
IQ = ["raw_iq", "datatype=ci16_le", "sample_rate_hz=20e6"]


class Bench:
    """What all pairs start from, and their folder."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.shards, self.run = folder, folder / "shards", folder / "run"
        write_shards(open_dataset("simulated", count=320, seed=0), self.shards)
        self.out, self.rng = folder / "pair", rng
        self.capture, self.parts = folder / "capture.bin", folder / "parts"
        self.capture.write_bytes(rng.randbytes(40_000))
        assert wfm(["inspect", str(self.capture), "--png", str(folder / "alone.png"), "--format", *IQ]) == 0
        self.figure = (folder / "alone.png").read_bytes()
        for part in range(2):
            write_part(open_dataset("simulated", count=320, seed=0), self.parts, part, 2)
        assert wfm(["pretrain", "--config", str(self.recipe("base", self.pretraining(self.run)))]) == 0

    def recipe(self, name: str, fields: dict) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(fields))
        return path

    def pretraining(self, out: Path) -> dict:
        data = {"shards": str(self.shards), "split": "room", "part": "train"}
        model = {**MODEL, "flow_width": 32, "flow_depth": 1}
        return {"name": "pair", "out": str(out), "data": data, "model": model, "train": TRAIN}

    def task(self, **fields: object) -> dict:
        task = {"shards": str(self.shards), "label": "activity", "split": "room"}
        return {"name": "pair", "checkpoint": str(self.run / "model"), "task": task, **fields}


def pretrain(bench: Bench) -> tuple[list[list[str]], Callable[[list[int]], str]]:
    out = bench.out / "run"
    config = str(bench.recipe("pretrain", bench.pretraining(out)))

    def check(statuses: list[int]) -> str:
        load_masked(out / "model")
        steps = [path.name for path in (out / "checkpoints").iterdir()]
        return "" if 0 in statuses and set(statuses) <= {0, 2} and "final.ckpt" in steps else f"{statuses} {steps}"

    return [["pretrain", "--config", config]] * 2, check


def finetune(bench: Bench) -> tuple[list[list[str]], Callable[[list[int]], str]]:
    out = bench.out / "adapter"
    fields = bench.task(out=str(out), tune={"steps": 1, "pooling": "moments"}, fraction=0.2)
    configs = [bench.recipe(f"finetune-{seed}", {**fields, "seed": seed}) for seed in range(2)]

    def check(statuses: list[int]) -> str:
        adapter = load_adapter(out, load_encoder(str(bench.run / "model")))
        signals = read_part(bench.shards, "room", "test")
        said = predict(adapter.model, TokenSet(signals, adapter.model.encoder.config)).argmax(1)
        kept = load_results(out / "predictions.json")["test"].predicted
        equal = np.array_equal(said, kept)
        return "" if sorted(statuses) == [0, 2] and equal else f"{statuses}, predictions equal: {equal}"

    return [["finetune", "--config", str(config)] for config in configs], check


def evaluate(bench: Bench) -> tuple[list[list[str]], Callable[[list[int]], str]]:
    rows = bench.out / "rows.json"
    common = {"modes": ["baseline"], "baselines": [{"features": "level", "method": "knn"}], "fractions": [0.1]}
    fields = bench.task(**common, seeds=[0], cache=str(bench.out / "cache"), tune={"steps": 1})
    configs = [bench.recipe(f"evaluate-{name}", {**fields, "set": name}) for name in "ab"]

    def check(statuses: list[int]) -> str:
        sets = {row.set for row in load_rows(rows)}
        return "" if statuses == [0, 0] and sets == {"a", "b"} else f"{statuses} {sets}"

    return [["evaluate", "--config", str(config), "--json", str(rows)] for config in configs], check


def build(bench: Bench) -> tuple[list[list[str]], Callable[[list[int]], str]]:
    out = bench.out / "shards"
    words = ["shards", "build", "simulated", "--count", "320", "--out", str(out)]

    def check(statuses: list[int]) -> str:
        problems = verify(out)
        return "" if 0 in statuses and set(statuses) <= {0, 2} and not problems else f"{statuses} {problems}"

    return [words, words], check


def export(bench: Bench) -> tuple[list[list[str]], Callable[[list[int]], str]]:
    out = bench.out / "model"
    words = ["hub", "export", str(bench.run / "checkpoints" / "final.ckpt"), str(out)]

    def check(statuses: list[int]) -> str:
        load_masked(out)
        return "" if sorted(statuses) == [0, 2] else str(statuses)

    return [words, words], check


def inspect(bench: Bench) -> tuple[list[list[str]], Callable[[list[int]], str]]:
    png = bench.out / "capture.png"
    words = ["inspect", str(bench.capture), "--png", str(png), "--format", *IQ]

    def check(statuses: list[int]) -> str:
        whole = png.read_bytes() == bench.figure
        return "" if statuses == [0, 0] and whole else f"{statuses}, figure whole: {whole}"

    return [words, words], check


def study(bench: Bench) -> tuple[list[list[str]], Callable[[list[int]], str]]:
    """Two studies that share their runs, and a file for both: one of another name is refused that."""
    fields = {"pretrain": "base.yaml", "variants": {"base": [], "masked": ["objective.flow_weight=0.0"]}, "seeds": [0]}
    held_out = {"shards": str(bench.shards), "split": "room", "part": "test", "samples": 8}
    common = {**fields, "held_out": held_out, "cache": str(bench.out / "runs")}
    names = ["same", bench.rng.choice(["same", "other"])]
    recipes = [str(bench.recipe(f"study-{name}", {**common, "name": name})) for name in names]
    rows, page = bench.out / "rows.json", bench.out / "page.html"

    def check(statuses: list[int]) -> str:
        complete = {row.method for row in load_rows(rows)} == {"untrained", "base", "masked"}
        ended = page.read_text().rstrip().endswith("</html>")
        right = 0 in statuses and set(statuses) <= {0, 2} and complete and ended
        return (
            "" if right and (len(set(names)) == 1 or 2 in statuses) else f"{statuses} of {names}, {complete=} {ended=}"
        )

    return [["study", recipe, "--json", str(rows), "--html", str(page)] for recipe in recipes], check


def merge(bench: Bench) -> tuple[list[list[str]], Callable[[list[int]], str]]:
    out = bench.out / "shards"
    shutil.copytree(bench.parts, out)

    def check(statuses: list[int]) -> str:
        problems = [*verify(out), *(path.name for path in out.glob("part-*"))]
        return "" if 0 in statuses and set(statuses) <= {0, 2} and not problems else f"{statuses} {problems}"

    return [["shards", "merge", str(out)]] * 2, check


def quickstart(bench: Bench) -> tuple[list[list[str]], Callable[[list[int]], str]]:
    out = bench.out / "quickstart"

    def check(statuses: list[int]) -> str:
        problems = verify(out / "shards")
        load_adapter(out / "adapter", load_encoder(str(out / "pretrain" / "model")))
        ended = (out / "report.html").read_text().rstrip().endswith("</html>") and load_rows(out / "scores.json")
        return "" if sorted(statuses) == [0, 2] and not problems and ended else f"{statuses} {problems}"

    return [["quickstart", "--tiny", "--out", str(out)]] * 2, check


COMMANDS = {
    each.__name__: each for each in (pretrain, finetune, evaluate, build, export, inspect, study, merge, quickstart)
}
SLOW = 10  # times fewer pairs of the quickstart, which is all of the others in a row


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
    calls, check = COMMANDS[command](bench)
    logs = [bench.folder / f"{number}.log" for number in range(2)]
    began = time.monotonic()
    children = [fork(words, rng.uniform(0, 0.3), log) for words, log in zip(calls, logs, strict=True)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    try:
        problem = check(statuses)
    except Exception as error:
        problem = f"{statuses}, {type(error).__name__}: {error}"
    texts = [log.read_text() for log in logs]
    if any("Traceback" in text or "defect" in text for text in texts):
        problem += " a traceback"
    left = [path.name for path in bench.out.rglob("*") if "partial" in path.name or path.name.endswith(".lock")]
    if left:
        problem += f" left behind: {left}"
    said = json.dumps([text[-500:] for text in texts])
    return f"{problem} after {time.monotonic() - began:.0f} s: {said}" if problem else ""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rng, found = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), rng)
        for command in args.commands or COMMANDS:
            pairs = max(1, args.pairs // SLOW) if command == "quickstart" else args.pairs
            problems = [problem for _ in range(pairs) if (problem := pair(bench, command, rng))]
            print(f"{command}: {pairs} pairs, {len(problems)} problems", *problems[:3], sep="\n  ", flush=True)
            found += len(problems)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
