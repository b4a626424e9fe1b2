"""The commands of `wfm` that write, as pairs: what is called twice, and what must hold afterwards.

Not here: `wfm hub push` writes on a Hub alone, and `wfm slurm submit` makes the folder of its logs and hands the script
to sbatch. All others of `wfm --help` only read.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.intel5300 import intel_record, random_csi, written

from foundation.adapt import load_adapter, predict
from foundation.checkpoints.load import load_encoder, load_masked
from foundation.cli import main as wfm
from foundation.data.labelled import TokenSet
from foundation.data.shards.corpus import read_part
from foundation.data.shards.verify import verify
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.evaluate.task_result import load_results
from foundation.json_file import load_json
from foundation.quickstart import STEPS, durations
from foundation.results.rows import load_rows

MODEL = {"hidden_size": 32, "depth": 1, "heads": 2, "decoder_size": 32, "decoder_depth": 1, "decoder_heads": 2}
TRAIN = {"steps": 2, "batch_size": 8, "accelerator": "cpu", "picture_every": None, "checkpoint_every": 1}
COUNT = ["--count", "320"]

#: The words of two calls, and a check of their exit statuses that returns what is wrong; "" if nothing.
Pair = tuple[list[list[str]], Callable[[list[int]], str]]


class Bench:
    """What all pairs start from, and their folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shards, self.run = folder, folder / "shards", folder / "run"
        write_shards(open_dataset("simulated", count=320, seed=0), self.shards)
        self.out = folder / "pair"
        self.capture = written(folder / "a.dat", *(intel_record(random_csi(step), 1000 * step) for step in range(9)))
        assert wfm(["pretrain", "--config", str(self.recipe("base", self.pretraining(self.run)))]) == 0

    def recipe(self, name: str, fields: dict) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(fields))
        return path

    def pretraining(self, out: Path) -> dict:
        data = {"shards": str(self.shards), "split": "room", "part": "train"}
        return {"name": "pair", "out": str(out), "data": data, "model": MODEL, "train": TRAIN}

    def task(self, **fields: object) -> dict:
        task = {"shards": str(self.shards), "label": "activity", "split": "room"}
        return {"name": "pair", "checkpoint": str(self.run / "model"), "task": task, **fields}

    def study(self, name: str, cache: Path) -> str:
        held_out = {"shards": str(self.shards), "split": "room", "part": "test", "samples": 16}
        base = self.recipe("study-base", self.pretraining(self.folder / "unused"))
        fields = {"pretrain": str(base), "variants": {"both": [], "masked": ["objective.denoising_weight=0.0"]}}
        more = {"name": name, "seeds": [3], "held_out": held_out, "cache": str(cache)}
        return str(self.recipe(f"study-{name}", fields | more))


def _known(statuses: list[int], wrong: str = "") -> str:
    """One has done it, and the other has too or was refused."""
    return "" if 0 in statuses and set(statuses) <= {0, 2} and not wrong else f"{statuses} {wrong}"


def _is_page(path: Path) -> bool:
    return path.read_text().rstrip().endswith("</html>")


def inspect(bench: Bench) -> Pair:
    png, alone = bench.out / "a.png", bench.folder / "alone.png"
    words = ["inspect", str(bench.capture), "--png"]
    if not alone.exists():
        assert wfm([*words, str(alone)]) == 0

    def check(statuses: list[int]) -> str:
        whole = png.read_bytes() == alone.read_bytes()
        return "" if statuses == [0, 0] and whole else f"{statuses}, figure whole: {whole}"

    return [[*words, str(png)]] * 2, check


def build(bench: Bench) -> Pair:
    out = bench.out / "shards"
    words = ["shards", "build", "simulated", *COUNT, "--out", str(out)]
    return [words, words], lambda statuses: _known(statuses, "; ".join(verify(out)))


def part(bench: Bench) -> Pair:
    """One part of an array, twice; the other is there, and they are merged afterwards."""
    out = bench.out / "shards"
    words = ["shards", "build", "simulated", *COUNT, "--out", str(out), "--array"]
    assert wfm([*words, "1/2"]) == 0

    def check(statuses: list[int]) -> str:
        merged = wfm(["shards", "merge", str(out)])
        return _known(statuses, "" if merged == 0 and not verify(out) else f"merged with status {merged}")

    return [[*words, "0/2"]] * 2, check


def merge(bench: Bench) -> Pair:
    parts, out = bench.folder / "parts", bench.out / "shards"
    if not parts.exists():
        for number in range(4):
            assert wfm(["shards", "build", "simulated", *COUNT, "--out", str(parts), "--array", f"{number}/4"]) == 0
    shutil.copytree(parts, out)

    def check(statuses: list[int]) -> str:
        left = [path.name for path in out.glob("part-*")]
        same = (out / "manifest.json").read_bytes() == (bench.shards / "manifest.json").read_bytes()
        return _known(statuses, "" if same and not left and not verify(out) else f"parts left {left}, as one: {same}")

    return [["shards", "merge", str(out)]] * 2, check


def pretrain(bench: Bench) -> Pair:
    out = bench.out / "run"
    config = str(bench.recipe("pretrain", bench.pretraining(out)))

    def check(statuses: list[int]) -> str:
        load_masked(out / "model")
        steps = [path.name for path in (out / "checkpoints").iterdir()]
        return _known(statuses, "" if "final.ckpt" in steps else str(steps))

    return [["pretrain", "--config", config]] * 2, check


def finetune(bench: Bench) -> Pair:
    out = bench.out / "adapter"
    fields = bench.task(out=str(out), tune={"steps": 1, "pooling": "moments"}, fraction=0.2)
    configs = [bench.recipe(f"finetune-{seed}", {**fields, "seed": seed}) for seed in range(2)]

    def check(statuses: list[int]) -> str:
        encoder = load_encoder(str(bench.run / "model"))
        spec = encoder.config
        adapter = load_adapter(out, encoder)
        signals = read_part(bench.shards, "room", "test")
        said = predict(adapter.model, TokenSet(signals, spec)).argmax(1)
        kept = load_results(out / "predictions.json")["test"].predicted
        equal = np.array_equal(said, kept) and _is_page(out / "report.html")
        return "" if sorted(statuses) == [0, 2] and equal else f"{statuses}, predictions equal: {equal}"

    return [["finetune", "--config", str(config)] for config in configs], check


def _sets(bench: Bench) -> list[Path]:
    """Evaluation recipes of two sets, whose fits are kept for the next pair: then all that is left is to write."""
    common = {"modes": ["baseline"], "baselines": [{"features": "level", "method": "knn"}], "fractions": [0.1]}
    fields = bench.task(**common, seeds=[0], cache=str(bench.folder / "cache"), tune={"steps": 1})
    return [bench.recipe(f"evaluate-{name}", {**fields, "set": name}) for name in "ab"]


def evaluate(bench: Bench) -> Pair:
    return _rows(bench, [["--config", str(config)] for config in _sets(bench)])


def suite(bench: Bench) -> Pair:
    """Two suites with one file of rows."""
    suites = [
        bench.recipe(f"suite-{config.stem}", {"name": config.stem, "tasks": [{"recipe": config.name}]})
        for config in _sets(bench)
    ]
    return _rows(bench, [["--suite", str(each)] for each in suites])


def _rows(bench: Bench, calls: list[list[str]]) -> Pair:
    rows, page = bench.out / "rows.json", bench.out / "page.html"
    outputs = ["--json", str(rows), "--html", str(page)]

    def check(statuses: list[int]) -> str:
        sets = {row.set for row in load_rows(rows)}
        return "" if statuses == [0, 0] and sets == {"a", "b"} and _is_page(page) else f"{statuses} {sets}"

    return [["evaluate", *call, *outputs] for call in calls], check


def imputation(bench: Bench) -> Pair:
    rows, page = bench.out / "rows.json", bench.out / "page.html"
    sets = [{"set": "simulated", "shards": str(bench.shards), "split": "room"}]
    fields = {"name": "pair", "checkpoint": str(bench.run / "model"), "sets": sets, "count": 2}
    words = ["evaluate", "--imputation", str(bench.recipe("imputation", fields))]

    def check(statuses: list[int]) -> str:
        complete = bool(load_json(rows)["rows"]) and _is_page(page)
        return "" if statuses == [0, 0] and complete else f"{statuses}, complete: {complete}"

    return [[*words, "--json", str(rows), "--html", str(page)]] * 2, check


def study(bench: Bench) -> Pair:
    """One study twice, from nothing."""
    rows, page = bench.out / "study.json", bench.out / "study.html"
    words = ["study", bench.study("twice", bench.out / "runs"), "--json", str(rows), "--html", str(page)]

    def check(statuses: list[int]) -> str:
        found = {run["variant"] for run in load_json(rows)["runs"]}
        return _known(statuses, "" if found == {"untrained", "both", "masked"} and _is_page(page) else str(found))

    return [words, words], check


def studies(bench: Bench) -> Pair:
    """Two studies that are done, into one file: it holds the one that has said so, and the other is told."""
    rows, names = bench.out / "study.json", ("one", "other")
    calls = [["study", bench.study(name, bench.folder / "studies")] for name in names]
    if not (bench.folder / "studies").exists():
        assert [wfm(call) for call in calls] == [0, 0]

    def check(statuses: list[int]) -> str:
        kept = load_json(rows)["study"]["name"]
        return "" if sorted(statuses) == [0, 2] and names[statuses.index(0)] == kept else f"{statuses}, kept: {kept}"

    return [[*call, "--json", str(rows)] for call in calls], check


def export(bench: Bench) -> Pair:
    out = bench.out / "model"
    words = ["hub", "export", str(bench.run / "checkpoints" / "final.ckpt"), str(out)]

    def check(statuses: list[int]) -> str:
        load_masked(out)
        return "" if sorted(statuses) == [0, 2] else str(statuses)

    return [words, words], check


def quickstart(bench: Bench) -> Pair:
    out = bench.out / "quickstart"

    def check(statuses: list[int]) -> str:
        load_adapter(out / "adapter", load_encoder(str(out / "pretrain" / "model")))
        done = set(durations(out)) == set(STEPS) and _is_page(out / "report.html")
        return _known(statuses, "" if done and not verify(out / "shards") else f"all steps done: {done}")

    return [["quickstart", "--tiny", "--out", str(out)]] * 2, check


COMMANDS = {
    each.__name__: each
    for each in (
        *(inspect, build, part, merge, pretrain, finetune, evaluate, suite, imputation, study, studies, export),
        quickstart,
    )
}
#: Of so many pairs that are asked for, one is run: it takes a minute.
ONE_OF = {"quickstart": 20}
