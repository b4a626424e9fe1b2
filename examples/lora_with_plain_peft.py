"""Fine-tune the encoder with plain `peft` and a torch loop of your own; nothing of `foundation.adapt` is used.

    python examples/lora_with_plain_peft.py

`import foundation` registers the encoder with transformers, so that AutoModel, `peft.get_peft_model`, `save_pretrained`
and `PeftModel.from_pretrained` work as for any other transformer. The task: does the person in a simulated room walk,
wave or stand still? At the end the adapter is loaded onto a fresh encoder, whose outputs are those of the trained one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel

import foundation
from foundation.models import pool
from foundation.released import resolve
from foundation.simulate import SimulationConfig, simulate

CLASSES = ("walk", "wave", "still")
CONFIG = SimulationConfig(activities=CLASSES, rooms=12, windows_per_session=4, times=64, interval_s=0.02)
TRAIN, TEST, BATCH = 192, 96, 16  # windows; the test windows are of other recordings


class Classifier(nn.Module):
    """The encoder, moments pooled over its tokens, and a linear layer."""

    def __init__(self, encoder: nn.Module, hidden: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(nn.LayerNorm(6 * hidden), nn.Linear(6 * hidden, len(CLASSES)))

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.head(pool(self.encoder, self.encoder(**batch), batch, "moments"))


def train(model: Classifier, batch: dict[str, torch.Tensor], targets: torch.Tensor, steps: int) -> list[float]:
    """The losses of a plain training loop."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps, pct_start=0.1)
    generator, losses = torch.Generator().manual_seed(0), []
    model.train()
    for _ in range(steps):
        rows = torch.randperm(TRAIN, generator=generator)[:BATCH]
        loss = F.cross_entropy(model({name: value[rows] for name, value in batch.items()}), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.eval()
    return losses


def draw(losses: list[float], accuracy: float, path: Path) -> None:
    """The training loss, beside that of guessing."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    smooth = np.convolve(losses, np.ones(5) / 5, mode="valid")
    axes.plot(range(1, len(losses) + 1), losses, color="#0072b2", alpha=0.3, label="loss of one batch")
    axes.plot(np.arange(len(smooth)) + 3, smooth, color="#0072b2", label="mean of five")
    axes.axhline(np.log(len(CLASSES)), color="#6b7280", linestyle=":", label="guessing")
    axes.set(xlabel="training step", ylabel="cross-entropy", ylim=(0, None))
    axes.set_title(f"LoRA with plain peft: {accuracy:.0%} of {TEST} held-out windows right", loc="left", fontsize=11)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main() -> None:
    began = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for adapter and picture")
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args()
    torch.manual_seed(0)

    base = str(resolve("wfm-small"))  # the folder of the released encoder; a folder of yours or org/name works as well
    encoder = AutoModel.from_pretrained(base)
    signals = list(simulate(TRAIN + TEST, seed=11, config=CONFIG))
    targets = torch.tensor([CLASSES.index(str(signal.labels["activity"])) for signal in signals])
    tokens, held_out = (foundation.tokenize(part, encoder.config) for part in (signals[:TRAIN], signals[TRAIN:]))

    lora = LoraConfig(r=8, lora_alpha=16, target_modules=["qkv", "proj", "up", "down"])
    model = Classifier(get_peft_model(encoder, lora), encoder.config.hidden_size)
    model.encoder.print_trainable_parameters()
    losses = train(model, tokens, targets[:TRAIN], args.steps)
    with torch.no_grad():
        outputs = model(held_out)
    accuracy = (outputs.argmax(1) == targets[TRAIN:]).float().mean().item()
    print(f"loss {np.mean(losses[:5]):.2f} -> {np.mean(losses[-5:]):.2f}")
    print(f"accuracy {accuracy:.1%} on {TEST} windows of other recordings (chance {1 / len(CLASSES):.1%})")

    folder = args.out / "peft_adapter"
    model.encoder.save_pretrained(folder)
    torch.save(model.head.state_dict(), folder / "head.pt")
    fresh = Classifier(PeftModel.from_pretrained(AutoModel.from_pretrained(base), folder), encoder.config.hidden_size)
    fresh.head.load_state_dict(torch.load(folder / "head.pt", weights_only=True))
    with torch.no_grad():
        difference = (fresh.eval()(held_out) - outputs).abs().max().item()
    size = (folder / "adapter_model.safetensors").stat().st_size
    print(f"adapter: {folder}, {size / 1e3:.0f} kB; largest difference after loading: {difference:g}")

    picture = args.out / "lora_with_plain_peft.png"
    draw(losses, accuracy, picture)
    print(f"\npicture: {picture}   ({time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
