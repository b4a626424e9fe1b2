"""`wfm slurm`: submit commands as SLURM jobs, show and cancel them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.cli import shards
from foundation.cli.common import command, group

if TYPE_CHECKING:
    from foundation.cluster import Job

EXAMPLES = """examples:
  wfm slurm submit pretrain --config recipes/pretrain/base.yaml --nodes 4 --gpus 8 --time 2-00:00:00
  wfm slurm submit pretrain --config recipes/pretrain/base.yaml --dry-run          print the script, submit nothing
  wfm slurm submit finetune --config activity.yaml localization.yaml
  wfm slurm submit shards --parts 16 polyu-csi-ips --raw DIR --out runs/shards/polyu-csi-ips
  wfm slurm submit evaluate --suite recipes/suite.yaml --parts 16 --html suite.html
  wfm slurm status
  wfm slurm cancel 4711

Pretraining saves a checkpoint before the time limit, requeues itself and ends at the weights of an uninterrupted run.
Scripts are rendered from the templates of the package (slurm/ in the project); --template FILE names another. Account,
partition and all other options of sbatch: --account, --partition, --sbatch OPTION=VALUE.
"""


def add(commands: Any) -> None:
    actions = group(commands, "slurm", "submit commands as SLURM jobs, show and cancel them", EXAMPLES)
    submit = actions.add_parser(
        "submit",
        help="submit a command as a job or an array of jobs",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = submit.add_subparsers(dest="kind", required=True, metavar="KIND")
    pretrain = _submit_parser(kinds, "pretrain", "'wfm pretrain', one task per GPU; continues after the time limit")
    pretrain.add_argument("--config", type=Path, required=True, metavar="FILE", help="a recipe")
    pretrain.add_argument("--nodes", type=_count, help="default: train.nodes of the recipe")
    pretrain.add_argument(
        "--margin",
        type=_count,
        default=120,
        metavar="S",
        help="seconds before the time limit at which a checkpoint is saved (120)",
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
        parser.add_argument(
            "overrides", nargs="*", metavar="KEY=VALUE", help="changes to the recipe, such as train.steps=100"
        )
    parts = _submit_parser(kinds, "shards", "'wfm shards build' as an array, then 'wfm shards merge'")
    parts.add_argument("--parts", type=_count, required=True, metavar="N", help="tasks of the array")
    parts.add_argument("build", nargs=argparse.REMAINDER, metavar="NAME ...", help="as for 'wfm shards build'")
    command(actions, "status", _status, "list jobs of wfm that are pending, running, or ended within the last minutes")
    cancel = command(actions, "cancel", _cancel, "cancel jobs; pretraining saves a checkpoint first")
    cancel.add_argument("jobs", nargs="+", metavar="JOB")


def _submit_parser(kinds: Any, name: str, help_: str) -> argparse.ArgumentParser:
    """Add a kind of job, with the options that all have."""
    parser = command(kinds, name, _submit, help_)
    parser.add_argument("--account", help="as for sbatch")
    parser.add_argument("--partition", help="as for sbatch")
    parser.add_argument("--time", default="12:00:00", help="limit: H:MM:SS or D-HH:MM:SS (default: %(default)s)")
    parser.add_argument("--gpus", type=int, help="per node; default: devices of the recipe, or 1")
    parser.add_argument("--cpus", type=_count, default=4, help="per task (default: %(default)s)")
    parser.add_argument("--memory", help="per node, such as 64G")
    parser.add_argument(
        "--sbatch", action="append", default=[], metavar="OPTION", help="another option of sbatch, such as qos=long"
    )
    parser.add_argument("--logs", type=Path, default=Path("runs/slurm"), metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--template", type=Path, metavar="FILE", help="sbatch template to use instead of the packaged one"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the script and submit nothing")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}; expected an integer of 1 or more")
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
    """Jobs to submit, each after the one before has succeeded."""
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
    parser = argparse.ArgumentParser(prog="wfm")  # finds wrong arguments before the job is queued
    shards.add(parser.add_subparsers())
    build = parser.parse_args(["shards", "build", *args.build])
    return cluster.shards_jobs(build.name, build.out, args.build, args.parts, **common)


def _status(args: argparse.Namespace) -> None:
    from foundation.cluster import queue
    from foundation.results.terminal import text_table

    jobs = queue()
    if not jobs:
        print("no job of wfm is pending or running.")
        return
    head = ("JOB", "NAME", "STATE", "TIME", "LIMIT", "NODES", "REASON OR NODES")
    print(text_table(head, jobs))


def _cancel(args: argparse.Namespace) -> None:
    from foundation.cluster import cancel

    cancel(args.jobs)
    print(f"cancelled: {', '.join(args.jobs)}.")
