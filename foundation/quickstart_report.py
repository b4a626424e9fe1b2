"""What the quickstart's page shows, measured on its held-out rooms."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from foundation.checkpoints.layout import FOLDER, numbered, step_of
from foundation.checkpoints.load import load_masked
from foundation.data.shards.corpus import read_part
from foundation.evaluate.finetune import RESULTS
from foundation.evaluate.generation import comparisons, reconstruction_rows, sample_rows
from foundation.evaluate.report.quickstart_page import Quickstart, finding, write_quickstart
from foundation.evaluate.task_result import load_results
from foundation.generate import impute
from foundation.generate.figure import reconstruction_picture
from foundation.machine import on_device
from foundation.models import WfmForMaskedModeling
from foundation.results.rows import load_rows, save_rows
from foundation.signal import Signal
from foundation.study.heldout import ALL, held_out_losses

ACTIVITIES = ("walk", "wave", "sit_down")  # of the reconstructions


def report(
    page: Path, out: Path, shown: int, command: str, seconds: Mapping[str, float], smoke: bool, device: str
) -> None:
    """Measure losses, reconstruction and generation, print the finding and write the page.

    Args:
        shown: windows that each of them is measured on.
        seconds: step -> what it took.
        device: of the network, as in recipes.
    """
    shards, model = out / "shards", on_device(load_masked(out / "pretrain" / "model"), device)
    held_out, training = read_part(shards, "room", "test"), read_part(shards, "room", "train")
    rows, adapter = load_rows(out / "scores.json"), load_results(out / "adapter" / RESULTS)["test"]
    spread = _spread(held_out, shown)
    imputed = reconstruction_rows(model, spread, set_name="simulated", split="room", command=command)
    compared = comparisons(model, spread)
    made = sample_rows(compared, set_name="simulated", split="room", command=command)
    save_rows(out / "generation.json", imputed + made)
    first = [next((s for s in held_out if s.labels["activity"] == name), held_out[0]) for name in ACTIVITIES]
    found = Quickstart(
        rows=rows,
        decoder_rows=imputed + made,
        adapter=adapter,
        losses=losses(out / "pretrain", spread, _spread(training, shown), device),
        reconstructions=[
            reconstruction_picture(one) for one in impute(model, first, "random", torch.Generator().manual_seed(0))
        ],
        samples=compared[0],
        facts=_facts(model, len(held_out), len(training), seconds),
        smoke=smoke,
    )
    write_quickstart(page, found)
    print(("smoke run, no result: " if smoke else "") + finding(rows, adapter.chance["accuracy"]))


def losses(run: Path, held_out: list[Signal], training: list[Signal], device: str) -> list[dict[str, float]]:
    """Masked loss of the saved checkpoints, see `held_out_losses`, by step."""
    found = []
    for path in sorted(numbered(run / FOLDER), key=lambda path: step_of(path) or 0):
        model = on_device(load_masked(path), device)
        both = {"rooms never seen": held_out, "training rooms": training}
        found.append(
            {"step": float(step_of(path) or 0), **{name: held_out_losses(model, s)[ALL] for name, s in both.items()}}
        )
    return found


def _spread(signals: list[Signal], count: int) -> list[Signal]:
    """So many signals, evenly over all sessions."""
    return signals[:: max(1, len(signals) // count)][:count]


def _facts(model: WfmForMaskedModeling, tested: int, trained: int, seconds: Mapping[str, float]) -> dict[str, str]:
    def millions(module: torch.nn.Module) -> str:
        return f"{sum(p.numel() for p in module.parameters()) / 1e6:.2f} million"

    return {
        "data": "simulated Wi-Fi CSI of people in eight rooms",
        "training windows": f"{trained:,} in six rooms",
        "test windows": f"{tested:,} in two other rooms",
        "parameters": f"{millions(model)}, of these encoder {millions(model.encoder)}",
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        **{f"time to {name}": f"{value:.0f} s" for name, value in seconds.items()},
    }
