"""Training steps of the full objective against a plain masked model with the same encoder and decoder.

The plain step uses the recipe's masks and the mean squared error of all samples: no denoising, no gate with
interpolation, no statistics head, no generation batches. Batch, random draws, optimizer, gradient clipping and threads
are the same; both alternate in one process, in turns of eight steps with different draws. `without denoising` shows the
cost of noisy values, `with experts` that of four experts in each encoder layer, with one active per token.

The target was 0.85. The gate alone costs up to a third of a small step where it sees all samples (`gate_share`); of
the rest, noisy values are embedded beside hidden places, and the heads for facts and spectra have no part in a plain
step.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor

from benchmarks.rows import Rows, device, in_turns
from benchmarks.steps import DTYPES, SIZES, batch_of, recipe_of, step_of
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.nn.masks import draw_mask
from foundation.objectives import MaskedObjective
from foundation.train.module import PretrainModule

DRAWS = 8  # steps of a turn

Loss = Callable[[WfmForMaskedModeling, dict[str, Tensor], torch.Generator], Tensor]


def plain(objective: MaskedObjective) -> Loss:
    """Masked modelling with nothing beside it."""

    def loss(model: WfmForMaskedModeling, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        candidates = batch["measured"]
        masks = objective.ratio, objective.masks
        visible = draw_mask(batch["grid"], candidates, batch["static"], *masks, generator)
        output = model(visible, **batch)
        condition, components = output.condition, output.components
        hidden = candidates & ~visible
        error = model.decoder.predict(condition[hidden]).float() - components.values[hidden]
        weight = batch["observed"][hidden].to(error.dtype)
        return (error.square() * weight).sum() / weight.sum()

    return loss


def steps_of(
    model: WfmForMaskedModeling, loss: Loss, batch: dict[str, Tensor], dtype: torch.dtype
) -> Callable[[], None]:
    """`DRAWS` steps, the same draws in every call."""
    drawn = torch.Generator()
    step = step_of(model, lambda: loss(model, batch, drawn), dtype)

    def steps() -> None:
        drawn.manual_seed(0)
        for _ in range(DRAWS):
            step()

    return steps


def compare(rows: Rows, size: str, rounds: int) -> None:
    torch.manual_seed(0)
    samples = SIZES[size][1]
    module = PretrainModule(recipe_of(size)).to(device())
    batch = batch_of(module.model.config, samples)
    losses: dict[str, Loss] = {
        "plain": plain(module.objective),
        "without denoising": lambda *given: module.objective.model_copy(update={"denoising_weight": 0.0})(*given)[0],
        "whole objective": lambda *given: module.objective(*given)[0],
        "with experts": lambda *given: module.objective(*given)[0],
    }
    several = WfmForMaskedModeling(WfmConfig(**module.model.config.to_dict() | {"experts": 4})).to(device())
    networks = dict.fromkeys(losses, module.model) | {"with experts": several}
    ways = {
        f"{name} {what}": steps_of(deepcopy(networks[what]), loss, batch, dtype)
        for name, dtype in DTYPES.items()
        for what, loss in losses.items()
    }
    seconds = in_turns(ways, rounds)
    for name, took in seconds.items():
        against = f"{name.split()[0]} plain"
        rows.add(f"{size}, {name}", DRAWS / took, "steps/s", against, seconds[against] / took)


def main() -> None:
    rows = Rows(__file__)
    compare(rows, "quickstart", rounds=5)
    rows.write()


if __name__ == "__main__":
    main()
