"""`wfm finetune` and `wfm evaluate`: one labelled task."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from foundation.cli.common import recipe_command, resolved


def add(commands: Any) -> None:
    recipe_command(commands, "finetune", _finetune, "fit LoRA and a head to one task and save the adapter")
    evaluate = recipe_command(commands, "evaluate", _evaluate, "modes x label fractions x seeds on one task, one table")
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write (and merge into) a file of result rows")
    evaluate.add_argument("--html", type=Path, metavar="OUT", help="write a report page")


def _finetune(args: argparse.Namespace) -> None:
    from foundation.recipe import FinetuneRecipe

    recipe = resolved(args, FinetuneRecipe)
    if recipe is None:
        return
    from foundation.evaluate.finetune import finetune

    for part, scores in finetune(recipe).items():
        print(f"{part}: " + ", ".join(f"{name} {value:.3g}" for name, value in scores.items()))
    print(f"{recipe.out}: adapter and head saved.")


def _evaluate(args: argparse.Namespace) -> None:
    from foundation.recipe import EvaluateRecipe

    recipe = resolved(args, EvaluateRecipe)
    if recipe is None:
        return
    from foundation.evaluate.publish import publish
    from foundation.evaluate.run import evaluate

    command = " ".join(["wfm evaluate --config", str(args.config), *args.overrides])
    publish(recipe, evaluate(recipe, command), args.json, args.html)
