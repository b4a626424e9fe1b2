"""The whole path on simulated data: shards, pretraining, LoRA, evaluation, report. Every step is safe to repeat."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from foundation.checkpoints.export import export
from foundation.checkpoints.load import load_masked
from foundation.config import EvaluateRecipe, FinetuneRecipe, PretrainRecipe, load_recipe
from foundation.data.shards.corpus import read_part
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.evaluate.finetune import finetune
from foundation.evaluate.generation import comparisons, impute_all, reconstruction_rows, sample_rows
from foundation.evaluate.report.run_page import write_report
from foundation.evaluate.run import evaluate
from foundation.generate.figure import reconstruction_picture
from foundation.models import WfmForMaskedModeling
from foundation.results.rows import Row, load_rows, save_rows
from foundation.results.tables import rich_tables
from foundation.signal import Signal
from foundation.train.directory.history import read_history
from foundation.train.pretrain import pretrain

COUNT, SEED = 4000, 0
#: The parts of the loss that are worth a curve, by their name in the log.
LOSSES = {"mse": "loss of the mean head", "flow": "loss of the flow head"}
HELD_OUT = 128  # windows of unseen rooms that reconstruction and generation are judged on
COMMAND = "wfm quickstart"


def quickstart(out: Path, recipes: Path = Path("recipes")) -> Path:
    """Run everything into `out` and return the report's path; finished steps are not done again."""
    began = time.perf_counter()
    shards = out / "shards"
    with _step(1, "build shards from the simulator"):
        write_shards(open_dataset("simulated", count=COUNT, seed=SEED), shards)
    with _step(2, "pretrain by masked signal modelling and diffusion"):
        where = [f"data.shards={shards}", f"out={out / 'pretrain'}"]
        run = pretrain(load_recipe(recipes / "quickstart.yaml", PretrainRecipe, where))
        model = out / "pretrain" / "model"
        if not model.exists():
            export(run.checkpoint, model)
    with _step(3, "fine-tune with LoRA on a tenth of the labels and save the adapter"):
        _adapter(out, recipes, shards, model)
    with _step(4, "evaluate: modes x label fractions x seeds, in rooms never seen"):
        rows = _scores(out, recipes, shards, model)
    for table in rich_tables(rows):
        Console().print(table)
    with _step(5, "reconstruct, generate and write the report"):
        return _report(out, shards, load_masked(model), rows, began)


@contextmanager
def _step(number: int, what: str) -> Iterator[None]:
    console = Console()
    console.rule(f"{number}/5 {what}")
    began = time.perf_counter()
    yield
    console.print(f"({time.perf_counter() - began:.0f} s)")


def _adapter(out: Path, recipes: Path, shards: Path, model: Path) -> None:
    adapter = out / "adapter"
    if adapter.exists():
        return
    where = [f"checkpoint={model}", f"task.shards={shards}", f"out={adapter}"]
    for part, scores in finetune(load_recipe(recipes / "finetune/activity.yaml", FinetuneRecipe, where)).items():
        print(f"{part}: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))


def _scores(out: Path, recipes: Path, shards: Path, model: Path) -> list[Row]:
    """Rows of the evaluation, from the file of an earlier call where there is one."""
    path = out / "scores.json"
    if not path.exists():
        where = [f"checkpoint={model}", f"task.shards={shards}", f"cache={out / 'fits'}"]
        save_rows(path, evaluate(load_recipe(recipes / "evaluate/quickstart.yaml", EvaluateRecipe, where), COMMAND))
    return load_rows(path)


def _report(out: Path, shards: Path, model: WfmForMaskedModeling, rows: list[Row], began: float) -> Path:
    held_out = read_part(shards, "room", "test")
    spread = held_out[:: max(1, len(held_out) // HELD_OUT)][:HELD_OUT]  # all rooms, devices and activities
    names: dict[str, Any] = {"set_name": "simulated", "split": "room", "command": COMMAND}
    imputed = reconstruction_rows(model, spread, **names)
    compared = comparisons(model, spread)
    made = sample_rows(compared, **names)
    save_rows(out / "generation.json", imputed + made)
    for table in rich_tables(imputed + made):
        Console().print(table)
    history = read_history(out / "pretrain")
    report = out / "report.html"
    write_report(
        report,
        title="Quickstart: one encoder, pretrained on simulated rooms, judged in rooms it never saw",
        facts=_facts(model, history, began),
        history=[{LOSSES.get(name, name): value for name, value in row.items()} for row in history if "loss" in row],
        reconstructions=[
            reconstruction_picture(f) for f in impute_all(model, _of_each_activity(held_out), "random", 0)
        ],
        samples=compared[:1],
        rows=rows + imputed + made,
        notes=[
            "Data: foundation.simulate, eight rooms; pretraining and fine-tuning see six, every figure here is from "
            "the other two. Labels are used by fine-tuning alone.",
            "Truth of the reconstruction is the noise-free channel. Generation starts from pure noise; a template "
            "gives only axes, radio and three levels.",
        ],
    )
    return report


def _of_each_activity(signals: list[Signal], names: tuple[str, ...] = ("walk", "wave", "sit_down")) -> list[Signal]:
    return [next(signal for signal in signals if signal.labels["activity"] == name) for name in names]


def _facts(model: WfmForMaskedModeling, history: list[dict[str, float]], began: float) -> dict[str, str]:
    def median(name: str) -> str:
        values = sorted(row[name] for row in history if math.isfinite(row.get(name, math.nan)))
        return f"{values[len(values) // 2]:,.3g}" if values else "not measured"

    return {
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "of these encoder": f"{sum(p.numel() for p in model.encoder.parameters()):,}",
        "pretraining steps": f"{max((row['step'] for row in history), default=-1) + 1:.0f}",
        "samples/s": median("samples_per_s"),
        "tokens/s": median("tokens_per_s"),
        "model-FLOP utilisation": median("mfu"),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "this call took": f"{(time.perf_counter() - began) / 60:.1f} min",
        "patch shapes": json.dumps(model.config.patch_shapes),
    }
