"""`wfm finetune` and `wfm evaluate`: labelled tasks."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from foundation.cli.common import command, part_of_array, recipe_command, refuse_unwritable, resolved, resolved_new

EXAMPLES = """examples:
  wfm evaluate --config recipes/evaluate/simulated.yaml --json scores.json --html scores.html
  wfm evaluate --suite recipes/suite.yaml --json suite.json --html suite.html
  wfm evaluate --suite recipes/suite.yaml --array 3/16         one share of the fits; see docs/guide/evaluation.md
  wfm evaluate --imputation recipes/imputation.yaml --html imputation.html
  wfm evaluate --leaderboard ours.json theirs.json --html leaderboard.html
"""


def add(commands: Any) -> None:
    about = "fit LoRA and a head to one task and save the adapter"
    recipe_command(commands, "finetune", _finetune, about, "FinetuneRecipe")
    about = "modes x label fractions x seeds on one task or a suite of them, in one table"
    evaluate = command(commands, "evaluate", _evaluate, about, EXAMPLES)
    evaluate.set_defaults(recipe_kind="EvaluateRecipe")
    what = evaluate.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="FILE", help="a recipe, see recipes/evaluate/")
    what.add_argument("--suite", type=Path, metavar="FILE", help="many recipes with one report, see recipes/suite.yaml")
    what.add_argument(
        "--imputation",
        type=Path,
        metavar="FILE",
        help="hidden parts of every kind of signal, see recipes/imputation.yaml",
    )
    what.add_argument(
        "--leaderboard", type=Path, nargs="+", metavar="JSON", help="compare the checkpoints in files of rows"
    )
    evaluate.add_argument(
        "--array", type=part_of_array, metavar="i/n", help="of a suite: only share i of n (from 0), without a report"
    )
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write (and merge into) a file of result rows")
    evaluate.add_argument("--html", type=Path, metavar="OUT", help="write a report page")
    evaluate.add_argument("--dry-run", action="store_true", help="print the resolved recipe and stop")
    evaluate.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as tune.steps=50; of a suite: in all")


def _finetune(args: argparse.Namespace) -> None:
    from foundation.config import FinetuneRecipe

    recipe = resolved_new(args, FinetuneRecipe)
    if recipe is None:
        return
    from foundation.evaluate.finetune import finetune

    finetune(recipe)
    print(f"{recipe.out}: adapter, head, predictions and report.html saved.")


def _evaluate(args: argparse.Namespace) -> None:
    from foundation.errors import RecipeError

    if args.suite is None and args.array is not None:
        raise RecipeError("--array shares the fits of a suite; name one with --suite.")
    if args.suite is not None:
        _suite(args)
    elif args.leaderboard is not None:
        _leaderboard(args)
    elif args.imputation is not None:
        _imputation(args)
    else:
        _one(args)


def _one(args: argparse.Namespace) -> None:
    from foundation.config import EvaluateRecipe

    recipe = resolved(args, EvaluateRecipe)
    if recipe is None:
        return
    refuse_unwritable(args.json, args.html, folders=[recipe.cache])
    from foundation.evaluate.report.publish import earlier_rows, publish
    from foundation.evaluate.run import evaluate

    earlier_rows(args.json)  # a file of something else is refused now, not after the fits
    command = shlex.join(["wfm", "evaluate", "--config", str(args.config), *args.overrides])
    publish(recipe, evaluate(recipe, command), args.json, args.html)


def _suite(args: argparse.Namespace) -> None:
    from foundation.evaluate.report.publish import publish_suite
    from foundation.evaluate.suite import Suite

    if not args.dry_run:
        refuse_unwritable(args.json, args.html)
    suite = Suite.load(args.suite, args.overrides)
    if args.dry_run:
        for task in suite.tasks:
            print(f"{len(task.jobs)} fits: {task.command}")
        return
    refuse_unwritable(folders=[task.recipe.cache for task in suite.tasks])
    if args.array is None:
        publish_suite(suite, suite.run(), args.json, args.html)
    else:
        own, left = suite.run_share(*args.array)
        then = "the same command without --array writes the report" if left == 0 else "run the other shares"
        print(f"share {args.array[0]} of {args.array[1]}: its {own} fits are done, {left} of all are left; {then}.")


def _imputation(args: argparse.Namespace) -> None:
    from foundation.config import dump_recipe, load_recipe
    from foundation.config.imputation import ImputationRecipe

    recipe = load_recipe(args.imputation, ImputationRecipe, args.overrides)
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return
    refuse_unwritable(args.json, args.html)
    from foundation.evaluate.report.publish import publish_imputation

    command = shlex.join(["wfm", "evaluate", "--imputation", str(args.imputation), *args.overrides])
    publish_imputation(recipe, command, args.json, args.html)


def _leaderboard(args: argparse.Namespace) -> None:
    from foundation.errors import RecipeError
    from foundation.evaluate.report.leaderboard import leaderboard

    if args.overrides or args.json or args.dry_run:
        raise RecipeError("--leaderboard reads files of rows and takes --html alone.")
    refuse_unwritable(args.html)
    leaderboard(args.leaderboard, args.html)
