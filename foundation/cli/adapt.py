"""`wfm adapt`: adapters of domains; `wfm adapters`: what a folder of adapters holds, and one made of two."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from foundation.cli import memory
from foundation.cli.common import (
    command,
    group,
    recipe_command,
    refuse_taken,
    resolved_new,
)

EXAMPLES = """examples:
  wfm adapt --config recipes/adapt/stability.yaml
  wfm adapt --config recipes/adapt/stability.yaml data.part=test-D3 name=D3 out=runs/adapt/stability-test-D3
  wfm evaluate --config recipes/evaluate/stability-csi-har.yaml domain=runs/adapt/stability-{part}

Recordings need no labels. Read on: docs/guide/adaptation.md.
"""
MORE_EXAMPLES = """examples:
  wfm adapters list runs
  wfm adapters show runs/finetune/activity
  wfm adapters compose runs/finetune/activity runs/adapt/simulated runs/finetune/activity-here
  wfm adapters remember runs/finetune/activity fall1.dat fall2.dat --label falling
"""


def add(commands: Any) -> None:
    about = "continue pretraining on unlabelled recordings of a room, user, device or day, and save the adapter"
    recipe_command(commands, "adapt", _adapt, about, "AdaptRecipe", EXAMPLES)
    actions = group(
        commands, "adapters", "list, show and add up saved adapters, and give them examples to remember", MORE_EXAMPLES
    )
    listed = command(actions, "list", _list, "every adapter below a folder, one per line")
    listed.add_argument("folder", type=Path, help="searched with all folders in it")
    shown = command(actions, "show", _show, "what an adapter was fitted to, and its base")
    shown.add_argument("adapter", type=Path, help="folder of 'wfm finetune' or 'wfm adapt'")
    composed = command(actions, "compose", _compose, "the sum of a task and a domain adapter, compared and saved")
    composed.add_argument("task", type=Path, help="folder of 'wfm finetune'")
    composed.add_argument("domain", type=Path, help="folder of 'wfm adapt'")
    composed.add_argument("out", type=Path, help="folder to write; must not exist")
    composed.add_argument("--checkpoint", metavar="SOURCE", help="the base of both, where it is not the one they name")
    memory.add(actions)


def _adapt(args: argparse.Namespace) -> None:
    from foundation.config import AdaptRecipe

    recipe = resolved_new(args, AdaptRecipe)
    if recipe is None:
        return
    from foundation.train.adapt import adapt

    best = adapt(recipe)
    print(
        f"{recipe.out}: domain adapter saved; held-out masked loss {best.loss:.4f} at step {best.step}, "
        f"{best.start:.4f} without it."
    )


def _list(args: argparse.Namespace) -> None:
    from foundation.adapt.summary import adapters_below, summary_of

    for folder in adapters_below(args.folder):
        facts = summary_of(folder)
        print(f"{folder}: {facts['kind']} {facts['name']}, rank {facts['rank']}, base {facts['base']}")


def _show(args: argparse.Namespace) -> None:
    from foundation.adapt.summary import summary_of

    for name, value in summary_of(args.adapter).items():
        print(f"{name}: {value}")


def _compose(args: argparse.Namespace) -> None:
    refuse_taken(args.out)
    from foundation.adapt.compose import compose
    from foundation.adapt.domain import read_domain
    from foundation.checkpoints.load import load_encoder

    encoder = load_encoder(args.checkpoint or read_domain(args.domain).base)
    apart = compose(encoder, args.task, args.domain, args.out)
    print(f"{args.out}: saved; loaded again, its outputs are those of both adapters to {apart:.0e} of the largest.")
