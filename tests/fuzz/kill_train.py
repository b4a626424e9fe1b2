"""Pretraining killed at random moments: python tests/fuzz/kill_train.py [--kills 100] [--strategy zero-2] [--seed 0].

Short runs are killed (SIGKILL, the whole process group) and started again until they are finished, under every rule of
`train.checkpoint_every` and number of loader workers in turn; with --strategy as two processes.
Every step that any start of a run logged must have the loss that the undisturbed run logged, digit by digit, the final
weights must be equal bit by bit, and no start may begin more than two checkpoint intervals before the last logged
step: while one checkpoint is written in the background, training goes on until the next is due. Under ZeRO it is one.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml

from foundation.checkpoints.training import load_checkpoint
from foundation.config import PretrainRecipe
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.train.pretrain import pretrain

STEPS = 60
MODEL = {"hidden_size": 32, "depth": 1, "heads": 2, "decoder_size": 32, "decoder_depth": 1, "decoder_heads": 2}
RULES = [(every, workers) for every in (1, 4, 7) for workers in (0, 2)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--strategy", choices=["ddp", "fsdp", "zero-1", "zero-2", "zero-3"], help="two processes; default: one"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)  # children are forked
    rng, kills, runs, wrong = random.Random(args.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        shards = Path(folder, "shards")
        write_shards(open_dataset("simulated", count=400, seed=0), shards, shard_bytes=2**21)
        began = time.monotonic()
        reference = _recipe(shards, Path(folder, "alone"), 20, 0, args.strategy)
        _killed(reference, None)
        seconds = time.monotonic() - began
        while kills < args.kills:
            recipe = _recipe(shards, Path(folder, str(runs)), *RULES[runs % len(RULES)], args.strategy)
            runs += 1
            while _killed(recipe, rng.uniform(0, seconds) if kills < args.kills else None):
                kills += 1
            problems = _problems(recipe, reference)
            wrong += bool(problems)
            rule = f"checkpoint every {recipe.train.checkpoint_every} steps, {recipe.data.workers} workers"
            print(f"run {runs} ({rule}), {kills} kills: {'; '.join(problems) or 'equal'}", flush=True)
    print(f"{kills} kills of {runs} runs of {STEPS} steps, {wrong} of them wrong")
    return int(wrong > 0)


def _recipe(shards: Path, out: Path, every: int, workers: int, strategy: str | None) -> PretrainRecipe:
    train = {"steps": STEPS, "batch_size": 8, "accelerator": "cpu", "checkpoint_every": every, "log_every": 1}
    if strategy:
        train |= {"strategy": strategy, "devices": 2}
    data = {"shards": str(shards), "split": "room", "part": "train", "workers": workers}
    fields = {"name": "killed", "out": str(out), "data": data, "model": MODEL, "train": train}
    return PretrainRecipe.model_validate(fields)


def _killed(recipe: PretrainRecipe, after_s: float | None) -> bool:
    """Whether a run, started once more, was killed before it had ended by itself."""
    recipe.out.mkdir(exist_ok=True)
    with (recipe.out / "said.txt").open("ab") as said:
        child = _started(recipe, said.fileno())
    end = None if after_s is None else time.monotonic() + after_s
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        if end is not None and time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            end = None
        time.sleep(0.005)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        sys.exit((recipe.out / "said.txt").read_text()[-3000:])
    return False


def _started(recipe: PretrainRecipe, said: int) -> int:
    """Process number: of a fork, which has everything imported, or of `wfm`, since each rank must start alike."""
    if recipe.train.devices > 1:
        config = recipe.out.with_suffix(".yaml")
        config.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
        command = [sys.executable, "-m", "foundation.cli", "pretrain", "--config", str(config)]
        return subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True).pid
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(said, 1)
        os.dup2(said, 2)
        try:
            pretrain(recipe)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return child


def _problems(recipe: PretrainRecipe, reference: PretrainRecipe) -> list[str]:
    expected, found = _losses(reference)[0], []
    reached, intervals = -1, 2 if recipe.train.zero_stage is None else 1
    for start, losses in enumerate(_losses(recipe)):
        differ = [step for step, loss in losses.items() if loss != expected[step]]
        if differ:
            found.append(f"start {start} differs at steps {differ[:5]}")
        if losses and min(losses) < reached + 1 - intervals * recipe.train.checkpoint_every:
            found.append(f"start {start} began at step {min(losses)}, after {reached} was reached")
        reached = max([reached, *losses])
    one, two = (load_checkpoint(each.out / "checkpoints" / "final.ckpt")[1] for each in (recipe, reference))
    if not all(torch.equal(one[name], two[name]) for name in two):
        found.append("the weights differ")
    return found


def _losses(recipe: PretrainRecipe) -> list[dict[int, str]]:
    """Step -> loss as it was written, for every start; the last line of a killed one may be cut."""
    logs = sorted(recipe.out.glob("logs/version_*"), key=lambda path: int(path.name.split("_")[1]))
    found = []
    for log in logs:
        try:
            lines = (log / "metrics.csv").read_text().splitlines(keepends=True)
        except FileNotFoundError:
            continue
        rows = csv.DictReader(line for line in lines if line.endswith("\n"))
        found.append({int(row["step"]): row["loss"] for row in rows if row.get("step") and row.get("loss")})
    return found


if __name__ == "__main__":
    sys.exit(main())
