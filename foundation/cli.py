"""The command `wfm`. Thin: it parses, calls one function, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from foundation.errors import WfmError

if TYPE_CHECKING:
    from foundation.cluster import Job
    from foundation.data.manifest import Manifest
    from foundation.recipe import Section

R = TypeVar("R", bound="Section")

EXAMPLES = """examples:
  wfm quickstart                                               the whole path on simulated data, with a report
  wfm shards build simulated --out runs/shards/sim --count 4000
  wfm shards build polyu-csi-ips --raw DIR --out runs/shards/polyu
  wfm shards verify runs/shards/sim --against runs/shards/polyu
  wfm inspect capture.dat --png capture.png                    what is in a capture file, in numbers and in a picture
  wfm pretrain --config recipes/quickstart.yaml train.steps=50 a recipe with one number changed
  wfm pretrain --config recipes/quickstart.yaml --dry-run      the resolved recipe, nothing run
  wfm plan --config recipes/pretrain/1b.yaml --gpu h100        memory, throughput and days, before a cluster is asked
  wfm runs                                                     every run: state, step, loss, newest checkpoint
  wfm slurm submit pretrain --config FILE --nodes 4 --gpus 8   the same as a job that survives its time limit
  wfm hub export runs/NAME/checkpoints/final.ckpt DIR          a folder that AutoModel.from_pretrained loads
"""


PLAN_EXAMPLES = """examples:
  wfm plan --config recipes/pretrain/1b.yaml --gpu h100 --gpus 64
  wfm plan --config recipes/pretrain/base.yaml --gpu a100-40 train.batch_size=64 train.precision=bf16-mixed
  wfm plan --config recipes/pretrain/large.yaml --gpu h200 --gpus 16 --shape 1000x9x114 --json

Columns: params, grads and optim are the model states of one rank in the recipe's precision; buffers are gradients and
parameters on their way between ranks; activ. is what the backward pass needs, for a batch of the recipe. 're-comp.' is
the total if blocks were recomputed in the backward pass (activation checkpointing). 'max batch' is how many samples per
rank fit without. Sizes of samples come from the manifests of the recipe's shards, or from --shape where there are
none.
"""

RUNS_EXAMPLES = """examples:
  wfm runs                      below runs/
  wfm runs /scratch/me/runs --json

States: finished, running (its process lives on this machine), stopped (its process does not), elsewhere (it was started
on another machine, which cannot be asked from here: judge by the age of its log), unknown (nothing says who ran it).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 for success, 2 for what the user can mend (one sentence on stderr)."""
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except WfmError as error:
        print(f"wfm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("wfm: interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wfm",
        description="Pretrain one encoder on any radio signal; adapt it to any task with LoRA.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _shards_parser(commands)
    inspect = _add(commands, "inspect", _inspect, "what a capture file is: shapes, units, gaps, loss")
    inspect.add_argument("file", type=Path)
    inspect.add_argument("options", nargs="*", metavar="OPTION=VALUE", help="what the file lacks: carrier_hz=5.18e9")
    inspect.add_argument(
        "--format",
        nargs="+",
        metavar=("NAME", "OPTION=VALUE"),
        help="for files that do not tell their format: --format raw_iq datatype=ci16_le sample_rate_hz=20e6",
    )
    inspect.add_argument("--json", action="store_true", help="print JSON instead of a table")
    inspect.add_argument("--png", type=Path, metavar="OUT", help="draw amplitude, phase and Doppler of the first link")
    _recipe_command(commands, "pretrain", _pretrain, "train an encoder by masked signal modelling (resumes by itself)")
    _plan_parser(commands)
    runs = _add(commands, "runs", _runs, "list runs: state, step, loss, newest checkpoint", RUNS_EXAMPLES)
    runs.add_argument("directories", nargs="*", type=Path, default=[Path("runs")], metavar="DIR", help="default: runs")
    runs.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _recipe_command(commands, "finetune", _finetune, "fit LoRA and a head to one task and save the adapter")
    evaluate = _recipe_command(
        commands, "evaluate", _evaluate, "modes x label fractions x seeds on one task, one table"
    )
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write (and merge into) a file of result rows")
    evaluate.add_argument("--html", type=Path, metavar="OUT", help="write a report page")
    _hub_parser(commands)
    _slurm_parser(commands)
    quickstart = _add(commands, "quickstart", _quickstart, "shards, pretraining, LoRA, evaluation and report in one go")
    quickstart.add_argument("--out", type=Path, default=Path("runs/quickstart"), help="default: %(default)s")
    return parser


def _add(commands: Any, name: str, run: Any, help_: str, examples: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help_, description=help_, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser


def _recipe_command(commands: Any, name: str, run: Any, help_: str) -> argparse.ArgumentParser:
    parser = _add(commands, name, run, help_)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="a recipe, see recipes/")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved recipe and stop")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as train.steps=100")
    return parser


def _plan_parser(commands: Any) -> None:
    about = "parameters, FLOPs, memory per ZeRO stage, throughput and days of a recipe; nothing is run"
    parser = _add(commands, "plan", _plan, about, PLAN_EXAMPLES)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="a recipe of wfm pretrain")
    parser.add_argument("--gpu", default="h100", metavar="TYPE", help="such as a100, h100, h200; default: %(default)s")
    parser.add_argument("--gpus", type=int, metavar="N", help="default: devices x nodes of the recipe")
    parser.add_argument("--per-node", type=int, default=8, metavar="N", help="GPUs of a node; default: %(default)s")
    parser.add_argument("--mfu", type=float, metavar="SHARE", help="assumed share of the peak; default: 0.3")
    parser.add_argument("--shape", type=_shape, metavar="TxLxR", help="of a sample, where no shards are built")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as train.precision=bf16-mixed")


def _shards_parser(commands: Any) -> None:
    about = "build, merge, verify and describe WebDataset shards"
    actions = commands.add_parser("shards", help=about).add_subparsers(required=True, metavar="ACTION")
    build = _add(actions, "build", _shards_build, "write a data set as shards with a manifest (resumes by itself)")
    build.add_argument("name", help="a name of shards/README.md, such as simulated or polyu-csi-ips")
    build.add_argument("--out", type=Path, required=True, metavar="DIR")
    build.add_argument("--raw", type=Path, metavar="DIR", help="folder of the set's raw files")
    build.add_argument("--count", type=int, help="windows to simulate")
    build.add_argument("--seed", type=int, help="of the simulation")
    build.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="another option of the set")
    build.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes; the bytes are the same for any N"
    )
    build.add_argument(
        "--array", type=_part, metavar="i/n", help="only part i of n (from 0), for one of n jobs; then run merge"
    )
    merge = _add(actions, "merge", _shards_merge, "join the parts that --array built; the bytes are those of one build")
    merge.add_argument("out", type=Path, metavar="OUT", help="the --out of the parts")
    verify = _add(actions, "verify", _shards_verify, "check every byte, sample and split; exit status 2 on a problem")
    verify.add_argument("directory", type=Path)
    verify.add_argument(
        "--against", type=Path, nargs="+", default=[], metavar="OTHER", help="also find what these hold too, or copies"
    )
    verify.add_argument("--workers", type=int, default=1, metavar="N", help="processes")
    info = _add(actions, "info", _shards_info, "what a shard directory holds")
    info.add_argument("directory", type=Path)


def _hub_parser(commands: Any) -> None:
    actions = commands.add_parser("hub", help="export checkpoints and publish them").add_subparsers(
        required=True, metavar="ACTION"
    )
    export = _add(actions, "export", _hub_export, "training checkpoint -> safetensors, config and model card, proved")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("directory", type=Path)
    export.add_argument("--rows", type=Path, metavar="FILE", help="result rows to put on the card")
    push = _add(actions, "push", _hub_push, "upload an exported folder to a Hub (HF_ENDPOINT, HF_TOKEN)")
    push.add_argument("directory", type=Path)
    push.add_argument("repo", metavar="ORG/NAME")
    push.add_argument("--private", action="store_true")
    push.add_argument("--tag", help="name this upload, for from_pretrained(..., revision=TAG)")


def _slurm_parser(commands: Any) -> None:
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
    evaluate = _submit_parser(kinds, "evaluate", "'wfm evaluate'")
    evaluate.add_argument("--config", type=Path, required=True, metavar="FILE", help="a recipe")
    evaluate.add_argument("--json", type=Path, metavar="OUT")
    evaluate.add_argument("--html", type=Path, metavar="OUT")
    for parser in (pretrain, finetune, evaluate):
        parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as train.steps=100")
    shards = _submit_parser(kinds, "shards", "'wfm shards build' as an array, then 'wfm shards merge'")
    shards.add_argument("--parts", type=_count, required=True, metavar="N", help="tasks of the array")
    shards.add_argument("build", nargs=argparse.REMAINDER, metavar="NAME ...", help="as for 'wfm shards build'")
    _add(actions, "status", _slurm_status, "our jobs that wait, run, or ended within the last minutes")
    cancel = _add(actions, "cancel", _slurm_cancel, "cancel jobs; a pretraining run saves first")
    cancel.add_argument("jobs", nargs="+", metavar="JOB")


def _submit_parser(kinds: Any, name: str, help_: str) -> argparse.ArgumentParser:
    """With what every job takes."""
    parser = _add(kinds, name, _slurm_submit, help_)
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


def _shards_build(args: argparse.Namespace) -> None:
    from foundation.data.array import write_part
    from foundation.data.write import write_shards
    from shards import open_dataset

    given = {name: value for name in ("raw", "count", "seed") if (value := getattr(args, name)) is not None}
    given |= dict(_option(text) for text in args.set)
    dataset = open_dataset(args.name, **given)
    if args.array is None:
        _print_built(args.out, write_shards(dataset, args.out, workers=args.workers))
        return
    folder = write_part(dataset, args.out, *args.array, workers=args.workers)
    if folder is not None:
        print(f"{folder}: part {args.array[0]} of {args.array[1]} is finished; after the last, 'wfm shards merge'.")


def _shards_merge(args: argparse.Namespace) -> None:
    from foundation.data.array import merge_parts

    _print_built(args.out, merge_parts(args.out))


def _print_built(out: Path, manifest: Manifest) -> None:
    print(f"{out}: {manifest.count} samples of {manifest.name} in {len(manifest.shards)} shards.")


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}; expected i/n, such as 3/16")
    return int(part), int(parts)


def _shape(text: str) -> tuple[int, int, int]:
    try:
        times, links, responses = map(int, text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}; expected times x links x responses, such as 128x2x32") from None
    return times, links, responses


def _option(text: str) -> tuple[str, str | int | float]:
    """NAME=VALUE, the value a number where it reads as one."""
    name, _, value = text.partition("=")
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return name, kind(value)
    return name, value


def _shards_verify(args: argparse.Namespace) -> None:
    from foundation.data.overlap import overlaps, sentences
    from foundation.data.verify import verify

    problems = verify(args.directory, workers=args.workers)
    _refuse(problems, f"{args.directory}: {len(problems)} problems; rebuild what is named above.")
    print(f"{args.directory}: verified, every hash, sample and split is as the manifest says.")
    if args.against:
        found = overlaps(args.directory, args.against, workers=args.workers)
        _refuse(sentences(args.directory, found), f"{args.directory}: {len(found)} samples are held elsewhere too.")
        print(f"{args.directory}: none of its samples is in {', '.join(map(str, args.against))}.")


def _refuse(problems: Sequence[str], message: str) -> None:
    """Print the problems, if there are any, and stop."""
    from foundation.errors import ShardError

    for problem in problems:
        print(problem)
    if problems:
        raise ShardError(message)


def _shards_info(args: argparse.Namespace) -> None:
    from foundation.data.verify import print_info

    print_info(args.directory)


def _inspect(args: argparse.Namespace) -> None:
    from foundation.files import write_atomically
    from foundation.inspect import describe, draw, load, print_summary

    name, *options = args.format or [None]
    capture = load(args.file, name, [*args.options, *options])
    if args.json:
        print(json.dumps(describe(capture)))
    else:
        print_summary(describe(capture))
    if args.png is not None:
        write_atomically(args.png, draw(capture))
        if not args.json:
            print(f"{args.png}: picture written.")


def _recipe(args: argparse.Namespace, kind: type[R]) -> R | None:
    """The resolved recipe; None after --dry-run has printed it."""
    from foundation.recipe import dump_recipe, load_recipe

    recipe = load_recipe(args.config, kind, args.overrides)
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return None
    return recipe


def _pretrain(args: argparse.Namespace) -> None:
    from foundation.train.signals import listen

    listen()  # first of all: what follows takes seconds to load, and a time limit may be near
    from foundation.recipe import PretrainRecipe

    recipe = _recipe(args, PretrainRecipe)
    if recipe is None:
        return
    from foundation.hub.export import export
    from foundation.train.run import pretrain

    run = pretrain(recipe)
    if not run.finished:
        return
    model = run.directory / "model"
    if run.is_writer and not model.exists():
        export(run.checkpoint, model)
        print(f"{model}: exported; AutoModel.from_pretrained loads it, 'wfm finetune' and 'wfm evaluate' take it.")


def _plan(args: argparse.Namespace) -> None:
    from foundation.recipe import PretrainRecipe, load_recipe

    recipe = load_recipe(args.config, PretrainRecipe, args.overrides)
    from foundation.train.plan import plan
    from foundation.train.plan_text import plan_text

    given = {name: value for name in ("mfu", "shape") if (value := getattr(args, name)) is not None}
    planned = plan(recipe, args.gpu, args.gpus, per_node=args.per_node, **given)
    print(json.dumps(dataclasses.asdict(planned)) if args.json else plan_text(planned))


def _runs(args: argparse.Namespace) -> None:
    from foundation.train.runs import find_runs
    from foundation.train.runs_text import runs_text

    found = find_runs(args.directories)
    print(json.dumps([dataclasses.asdict(run) for run in found]) if args.json else runs_text(found))


def _finetune(args: argparse.Namespace) -> None:
    from foundation.recipe import FinetuneRecipe

    recipe = _recipe(args, FinetuneRecipe)
    if recipe is None:
        return
    from foundation.evaluate.finetune import finetune

    for part, scores in finetune(recipe).items():
        print(f"{part}: " + ", ".join(f"{name} {value:.3g}" for name, value in scores.items()))
    print(f"{recipe.out}: adapter and head saved.")


def _evaluate(args: argparse.Namespace) -> None:
    from foundation.recipe import EvaluateRecipe

    recipe = _recipe(args, EvaluateRecipe)
    if recipe is None:
        return
    from foundation.evaluate.publish import publish
    from foundation.evaluate.run import evaluate

    command = " ".join(["wfm evaluate --config", str(args.config), *args.overrides])
    publish(recipe, evaluate(recipe, command), args.json, args.html)


def _hub_export(args: argparse.Namespace) -> None:
    from foundation.hub.export import export

    print(f"{export(args.checkpoint, args.directory, args.rows)}: exported and proved against the trained model.")


def _hub_push(args: argparse.Namespace) -> None:
    from foundation.hub.push import push

    print(push(args.directory, args.repo, private=args.private, tag=args.tag))


def _slurm_submit(args: argparse.Namespace) -> None:
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
    if args.kind == "evaluate":
        return (cluster.evaluate_job(args.config, args.overrides, json=args.json, html=args.html, **common),)
    build = _parser().parse_args(["shards", "build", *args.build])  # says what is wrong with them before they wait
    return cluster.shards_jobs(build.name, build.out, args.build, args.parts, **common)


def _slurm_status(args: argparse.Namespace) -> None:
    from foundation.cluster import QueuedJob, queue

    jobs = queue()
    if not jobs:
        print("none of our jobs waits or runs.")
        return
    rows = [QueuedJob("JOB", "NAME", "STATE", "TIME", "LIMIT", "NODES", "WHY OR WHERE"), *jobs]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _slurm_cancel(args: argparse.Namespace) -> None:
    from foundation.cluster import cancel

    cancel(args.jobs)
    print(f"cancelled: {', '.join(args.jobs)}.")


def _quickstart(args: argparse.Namespace) -> None:
    from foundation.quickstart import quickstart

    print(f"report: {quickstart(args.out)}")


if __name__ == "__main__":
    sys.exit(main())
