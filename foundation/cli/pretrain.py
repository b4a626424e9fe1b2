"""`wfm pretrain`."""

from __future__ import annotations

import argparse
from typing import Any

from foundation.cli.common import recipe_command, resolved


def add(commands: Any) -> None:
    recipe_command(commands, "pretrain", _pretrain, "train an encoder by masked signal modelling (resumes by itself)")


def _pretrain(args: argparse.Namespace) -> None:
    from foundation.train.callbacks.stop_signals import listen

    listen()  # first of all: what follows takes seconds to load, and a time limit may be near
    from foundation.config import PretrainRecipe

    recipe = resolved(args, PretrainRecipe)
    if recipe is None:
        return
    from foundation.checkpoints.export import export
    from foundation.train.pretrain import pretrain

    run = pretrain(recipe)
    if not run.finished:
        return
    model = run.directory / "model"
    if run.is_writer and not model.exists():
        export(run.checkpoint, model)
        print(f"{model}: exported; AutoModel.from_pretrained loads it, 'wfm finetune' and 'wfm evaluate' take it.")
