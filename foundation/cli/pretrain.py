"""`wfm pretrain`: train an encoder."""

from __future__ import annotations

import argparse
from typing import Any

from foundation.cli.common import recipe_command, resolved

EXAMPLES = """examples:
  wfm pretrain --config recipes/quickstart.yaml
  wfm pretrain --config recipes/quickstart.yaml train.steps=50 out=runs/short
  wfm pretrain --config recipes/pretrain/base.yaml --dry-run > mine.yaml      a recipe to edit

An interrupted run continues from its newest checkpoint when the same command is given again. A finished run exports its
model to OUT/model, which 'wfm finetune' and 'wfm evaluate' take as checkpoint=. Shards are built by 'wfm shards build'.
Read on: 'wfm plan' (memory and time), 'wfm slurm submit', docs/guide/training.md (precision, GPUs, checkpoints).
"""


def add(commands: Any) -> None:
    about = "pretrain an encoder by masked signal modelling, without labels; resumes by itself"
    recipe_command(commands, "pretrain", _pretrain, about, "PretrainRecipe", EXAMPLES)


def _pretrain(args: argparse.Namespace) -> None:
    from foundation.train.callbacks.stop_signals import listening

    with listening():  # first of all: what follows takes seconds to load, and a time limit may be near
        _run(args)


def _run(args: argparse.Namespace) -> None:
    from foundation.config import PretrainRecipe

    recipe = resolved(args, PretrainRecipe)
    if recipe is None:
        return
    from foundation.checkpoints.export import export
    from foundation.train.pretrain import pretrain

    run = pretrain(recipe)
    model = run.directory / "model"
    if run.is_writer and not model.exists():
        export(run.checkpoint, model)
        print(f"{model}: exported; AutoModel.from_pretrained loads it, 'wfm finetune' and 'wfm evaluate' take it.")
