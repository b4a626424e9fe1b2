"""The complete path on simulated data: shards, pretraining, LoRA, evaluation, report.

Every step is kept: a repeated call does only what is missing, and keeps the measured times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from foundation.checkpoints.export import export
from foundation.config import EvaluateRecipe, FinetuneRecipe, PretrainRecipe, load_recipe
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.evaluate.finetune import finetune
from foundation.evaluate.run import evaluate
from foundation.files import exclusive, write_atomically
from foundation.machine import device_of
from foundation.quickstart_report import report
from foundation.results.rows import load_rows, save_rows
from foundation.results.terminal import print_rows
from foundation.train.pretrain import pretrain

RECIPES = Path(__file__).parent / "recipes"
#: CPU seconds of `probe` on the machine, and under the load, that `Scale.core_s` was measured on.
PROBE_CORE_S = 0.85
STEPS = ("build shards", "pretrain", "fine-tune", "evaluate", "report")


@dataclass(frozen=True)
class Scale:
    """Sizes of one quickstart.

    Attributes:
        count: simulated windows.
        shown: held-out windows that losses, reconstruction and generation are measured on.
        core_s: CPU seconds of all steps, the sum of stages measured together with `PROBE_CORE_S`.
        pretrain, tune, evaluate: recipe overrides.
        smoke: the figures mean nothing; the report says so.
    """

    count: int
    shown: int
    core_s: float
    pretrain: tuple[str, ...] = ()
    tune: tuple[str, ...] = ()
    evaluate: tuple[str, ...] = ()
    smoke: bool = False

    @property
    def command(self) -> str:
        return "wfm quickstart --tiny" if self.smoke else "wfm quickstart"


FULL = Scale(count=3000, shown=64, core_s=860, tune=("tune.steps=80",))
TINY = Scale(
    count=256,
    shown=8,
    core_s=34,
    pretrain=(
        *("train.steps=20", "train.batch_size=8", "train.checkpoint_every=10", "train.keep_every=10"),
        *("train.picture_every=20", "train.warmup_steps=5", "train.log_every=2", "model.hidden_size=32"),
        *("model.depth=1", "model.heads=2", "model.decoder_size=32", "model.decoder_depth=1"),
        "model.decoder_heads=2",
    ),
    tune=("tune.steps=5",),
    evaluate=("tune.steps=5", "seeds=[0]", "workers=1"),
    smoke=True,
)


def quickstart(out: Path, scale: Scale = FULL, recipes: Path = RECIPES, device: str = "auto") -> Path:
    """Run what is missing in `out` and return the path of the report.

    Args:
        device: of every step, as in recipes.

    Raises:
        WfmError: another process works in `out`, or this machine has no such device.
        StoppedError: a signal stopped pretraining; the next call goes on.
    """
    device_of(device)  # before anything is built
    with exclusive(out):
        return _quickstart(out, scale, recipes, device)


def _quickstart(out: Path, scale: Scale, recipes: Path, device: str) -> Path:
    shards, model, adapter = out / "shards", out / "pretrain" / "model", out / "adapter"
    scores, page = out / "scores.json", out / "report.html"
    if page.exists():
        print(f"{out}: all {len(STEPS)} steps are done; delete the folder to start again.")
        return page
    print(announcement(scale))
    with _step(out, 1, "build shards from the simulator"):
        write_shards(open_dataset("simulated", count=scale.count, seed=0), shards)
    with _step(out, 2, "pretrain by masked signal modelling and denoising"):
        changes = [f"data.shards={shards}", f"out={out / 'pretrain'}", f"train.accelerator={device}", *scale.pretrain]
        run = pretrain(load_recipe(recipes / "quickstart.yaml", PretrainRecipe, changes))
        if not model.exists():
            export(run.checkpoint, model)
    common = [f"checkpoint={model}", f"task.shards={shards}", f"device={device}"]
    with _step(out, 3, "fine-tune with LoRA on a tenth of the labels and save the adapter"):
        if not adapter.exists():
            changes = [*common, f"out={adapter}", *scale.tune]
            finetune(load_recipe(recipes / "finetune/activity.yaml", FinetuneRecipe, changes))
    with _step(out, 4, "evaluate: modes x label fractions x seeds, in rooms never seen"):
        if not scores.exists():
            changes = [*common, f"cache={out / 'fits'}", *scale.evaluate]
            recipe = load_recipe(recipes / "evaluate/quickstart.yaml", EvaluateRecipe, changes)
            save_rows(scores, evaluate(recipe, scale.command))
    print_rows(load_rows(scores))
    with _step(out, 5, "reconstruct, generate and write the report"):
        report(page, out, scale.shown, scale.command, durations(out), scale.smoke, device)
    print(f"all steps together: {sum(durations(out).values()) / 60:.1f} min of computation")
    return page


def announcement(scale: Scale) -> str:
    """The expected duration: the core-seconds of this scale, at the speed that `probe` measures here and now."""
    seconds, share = probe()
    minutes = scale.core_s / PROBE_CORE_S * seconds / 60
    about = "less than a minute" if minutes < 1 else f"about {minutes:.0f} min"
    busy = "; other programs are using the processor" if share < 0.7 else ""
    return f"This takes {about} on this machine{busy}. It can be stopped and repeated: finished steps are kept."


def probe() -> tuple[float, float]:
    """Time a fixed piece of work that resembles training, matrix products of a small transformer, on up to two cores.

    Returns:
        Seconds it took, and the share of these cores that the operating system gave to it.
    """
    threads = torch.get_num_threads()
    used = min(2, threads)  # as the evaluation uses two workers
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(2304, 128, generator=generator)
    up, down = torch.randn(128, 512, generator=generator), torch.randn(512, 128, generator=generator)
    torch.set_num_threads(used)
    try:
        began, worked = time.perf_counter(), time.process_time()
        for _ in range(60):
            tokens = torch.nn.functional.layer_norm(torch.nn.functional.gelu(tokens @ up) @ down, (128,))
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
    finally:
        torch.set_num_threads(threads)
    return seconds, worked / (seconds * used)


def durations(out: Path) -> dict[str, float]:
    """Step -> seconds it took when it was done."""
    path = out / "durations.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


@contextmanager
def _step(out: Path, number: int, what: str) -> Iterator[None]:
    """Announce a step, and record its seconds; those of a step that was done earlier stay."""
    console, name = Console(), STEPS[number - 1]
    console.rule(f"{number}/{len(STEPS)} {what}")
    began = time.perf_counter()
    yield
    known = durations(out)
    if name not in known:
        write_atomically(out / "durations.json", json.dumps(known | {name: round(time.perf_counter() - began, 1)}))
    console.print(f"({durations(out)[name]:.0f} s)")
