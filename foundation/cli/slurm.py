"""`wfm slurm`: submit, status, cancel."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.cli import shards
from foundation.cli.common import command

if TYPE_CHECKING:
    from foundation.cluster import Job


def add(commands: Any) -> None:
    about = "submit commands as SLURM jobs (templates in slurm/), show and cancel them"
    actions = commands.add_parser("slurm", help=about).add_subparsers(required=True, metavar="ACTION")
    kinds = actions.add_parser("submit", help="as a job").add_subparsers(dest="kind", required=True, metavar="KIND")
    pretrain = _submit_parser(kinds, "pretrain", "'wfm pretrain', one task per GPU; goes on after the time limit")
    pretrain.add_argument("--config", type=Path, required=True, metavar="FILE", help="a recipe")
    pretrain.add_argument("--nodes", type=_count, help="default: train.nodes of the recipe")
    pretrain.add_argument(
        "--margin", type=_count, default=120, metavar="S", help="seconds to save in, before the time limit (120)"
    )
    finetune = _submit_parser(kinds, "finetune", "'wfm finetune' as an array over recipes and domains")
    finetune.add_argument("--config", type=Path, required=True, nargs="+", metavar="FILE", help="a recipe per task")
    finetune.add_argument(
        "--domain",
        action="append",
        default=[],
        nargs="+",
        metavar=("NAME", "KEY=VALUE"),
        help="such as home task.shards=DIR; every task is fitted in every domain, into OUT/NAME",
    )
    evaluate = _submit_parser(kinds, "evaluate", "'wfm evaluate' as a job, or of a suite as an array with a last job")
    what = evaluate.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="FILE", help="a recipe")
    what.add_argument("--suite", type=Path, metavar="FILE", help="a suite, see recipes/suite.yaml")
    evaluate.add_argument("--parts", type=_count, default=8, metavar="N", help="of a suite: tasks of the array (8)")
    evaluate.add_argument("--json", type=Path, metavar="OUT")
    evaluate.add_argument("--html", type=Path, metavar="OUT")
    for parser in (pretrain, finetune, evaluate):
        parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as train.steps=100")
    parts = _submit_parser(kinds, "shards", "'wfm shards build' as an array, then 'wfm shards merge'")
    parts.add_argument("--parts", type=_count, required=True, metavar="N", help="tasks of the array")
    parts.add_argument("build", nargs=argparse.REMAINDER, metavar="NAME ...", help="as for 'wfm shards build'")
    command(actions, "status", _status, "our jobs that wait, run, or ended within the last minutes")
    cancel = command(actions, "cancel", _cancel, "cancel jobs; a pretraining run saves first")
    cancel.add_argument("jobs", nargs="+", metavar="JOB")


def _submit_parser(kinds: Any, name: str, help_: str) -> argparse.ArgumentParser:
    """With what every job takes."""
    parser = command(kinds, name, _submit, help_)
    parser.add_argument("--account")
    parser.add_argument("--partition")
    parser.add_argument("--time", default="12:00:00", help="limit: H:MM:SS or D-HH:MM:SS (default: %(default)s)")
    parser.add_argument("--gpus", type=int, help="per node; default: what the recipe asks for, or 1")
    parser.add_argument("--cpus", type=_count, default=4, help="per task (default: %(default)s)")
    parser.add_argument("--memory", help="per node, such as 64G")
    parser.add_argument("--sbatch", action="append", default=[], metavar="OPTION", help="any other, such as qos=long")
    parser.add_argument("--logs", type=Path, default=Path("runs/slurm"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--template", type=Path, metavar="FILE", help="instead of the one in slurm/")
    parser.add_argument("--dry-run", action="store_true", help="print the script and submit nothing")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number from 1 on")
    return int(text)


def _submit(args: argparse.Namespace) -> None:
    from foundation.cluster import submit

    before = None
    for job in _jobs(args):
        if args.dry_run:
            print(job.script, end="")
            continue
        before = submit(job, after=before)
        print(f"job {before}: {job.name} submitted; its output goes to {job.log}.")


def _jobs(args: argparse.Namespace) -> tuple[Job, ...]:
    """What to submit, each after the one before has succeeded."""
    from foundation import cluster

    options = cluster.Options(
        args.account, args.partition, args.time, args.cpus, args.gpus, args.memory, tuple(args.sbatch), args.logs
    )
    common = {"options": options, "template": args.template}
    if args.kind == "pretrain":
        return (cluster.pretrain_job(args.config, args.overrides, nodes=args.nodes, margin=args.margin, **common),)
    if args.kind == "finetune":
        domains = [(name, changes) for name, *changes in args.domain]
        return (cluster.finetune_job(args.config, domains, args.overrides, **common),)
    if args.kind == "evaluate" and args.suite is not None:
        outputs = {"json": args.json, "html": args.html}
        return cluster.suite_jobs(args.suite, args.overrides, args.parts, **outputs, **common)
    if args.kind == "evaluate":
        return (cluster.evaluate_job(args.config, args.overrides, json=args.json, html=args.html, **common),)
    parser = argparse.ArgumentParser(prog="wfm")  # says what is wrong with them before they wait
    shards.add(parser.add_subparsers())
    build = parser.parse_args(["shards", "build", *args.build])
    return cluster.shards_jobs(build.name, build.out, args.build, args.parts, **common)


def _status(args: argparse.Namespace) -> None:
    from foundation.cluster import queue
    from foundation.results.terminal import text_table

    jobs = queue()
    if not jobs:
        print("none of our jobs waits or runs.")
        return
    head = ("JOB", "NAME", "STATE", "TIME", "LIMIT", "NODES", "WHY OR WHERE")
    print(text_table(head, jobs))


def _cancel(args: argparse.Namespace) -> None:
    from foundation.cluster import cancel

    cancel(args.jobs)
    print(f"cancelled: {', '.join(args.jobs)}.")
