"""`wfm plan` and `wfm runs`: estimate a run before it starts, and list runs with their state."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from foundation.cli.common import command

PLAN_EXAMPLES = """examples:
  wfm plan --config recipes/pretrain/1b.yaml --gpu h100 --gpus 64
  wfm plan --config recipes/pretrain/base.yaml --gpu a100-40 train.batch_size=64 train.precision=bf16-mixed
  wfm plan --config recipes/pretrain/large.yaml --gpu h200 --gpus 16 --shape 1000x9x114 --json

Columns: params, grads and optim are the model states of one rank in the recipe's precision; buffers hold gradients and
parameters in communication between ranks; activ. are the activations kept for the backward pass, for a batch of the
recipe. 're-comp.' is the total with activation checkpointing. 'max batch' is the number of samples per rank that fit
without it. Sample sizes come from the manifests of the recipe's shards, or from --shape where none are built.
Read on: docs/guide/planning.md.
"""


RUNS_EXAMPLES = """examples:
  wfm runs                      below runs/
  wfm runs /scratch/me/runs --json

States: finished; running (its process runs on this machine); stopped (its process has ended); elsewhere (started on
another machine, whose processes cannot be seen from here: judge by the age of its log); unknown (no heartbeat file).
"""


def add_plan(commands: Any) -> None:
    about = "estimate parameters, FLOPs, memory per ZeRO stage, throughput and days of a recipe; runs nothing"
    parser = command(commands, "plan", _plan, about, PLAN_EXAMPLES)
    parser.set_defaults(recipe_kind="PretrainRecipe")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="a recipe of wfm pretrain")
    parser.add_argument("--gpu", default="h100", metavar="TYPE", help="such as a100, h100, h200; default: %(default)s")
    parser.add_argument("--gpus", type=int, metavar="N", help="default: devices x nodes of the recipe")
    parser.add_argument("--per-node", type=int, default=8, metavar="N", help="GPUs of a node; default: %(default)s")
    parser.add_argument("--mfu", type=float, metavar="SHARE", help="measured model-FLOP utilisation; default: computed")
    parser.add_argument(
        "--shape", type=_shape, metavar="TxLxR", help="times x links x responses of a sample, where no shards are built"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as train.precision=bf16-mixed")


def add_runs(commands: Any) -> None:
    runs = command(
        commands, "runs", _runs, "list pretraining runs: state, step, loss, newest checkpoint", RUNS_EXAMPLES
    )
    runs.add_argument("directories", nargs="*", type=Path, default=[Path("runs")], metavar="DIR", help="default: runs")
    runs.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _shape(text: str) -> tuple[int, int, int]:
    try:
        times, links, responses = map(int, text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected times x links x responses, such as 128x2x32") from None
    return times, links, responses


def _plan(args: argparse.Namespace) -> None:
    from foundation.config import PretrainRecipe, load_recipe

    recipe = load_recipe(args.config, PretrainRecipe, args.overrides)
    from foundation.train.planning.plan import plan
    from foundation.train.planning.plan_text import plan_text

    given = {name: value for name in ("mfu", "shape") if (value := getattr(args, name)) is not None}
    planned = plan(recipe, args.gpu, args.gpus, per_node=args.per_node, **given)
    print(json.dumps(dataclasses.asdict(planned)) if args.json else plan_text(planned))


def _runs(args: argparse.Namespace) -> None:
    from foundation.train.directory.listing import find_runs
    from foundation.train.directory.listing_text import runs_text

    found = find_runs(args.directories)
    print(json.dumps([dataclasses.asdict(run) for run in found]) if args.json else runs_text(found))
