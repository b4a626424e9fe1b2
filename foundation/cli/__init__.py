"""The command `wfm`: one file for each group of commands. Thin: a command parses, calls one function, prints.

Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from foundation import __version__
from foundation.cli import (
    adapt,
    hub,
    inspect,
    listen,
    predict,
    pretrain,
    quickstart,
    runs,
    serve,
    shards,
    slurm,
    study,
    tasks,
)
from foundation.cli.outcome import run
from foundation.cli.parser import Parser
from foundation.config.renamed import OPTIONS
from foundation.errors import WfmError

DESCRIPTION = """Pretrain one transformer encoder on any radio signal (Wi-Fi CSI, UWB, radar, IQ, RSSI) and adapt it to
a sensing or communication task with LoRA. 'wfm COMMAND --help' explains a command, with examples."""

EXAMPLES = """first steps:
  wfm quickstart                                                the whole pipeline on simulated data, with a report
  wfm inspect capture.dat --png capture.png                     what a capture file holds, in numbers and as a figure
data:
  wfm shards build simulated --out runs/shards/simulated --count 4000
  wfm shards build polyu-csi-ips --raw DIR --out runs/shards/polyu-csi-ips
  wfm shards verify runs/shards/simulated --against runs/shards/polyu-csi-ips
training:
  wfm pretrain --config recipes/quickstart.yaml train.steps=50  a recipe with one value changed
  wfm pretrain --config recipes/quickstart.yaml --dry-run       print the resolved recipe and run nothing
  wfm plan --config recipes/pretrain/1b.yaml --gpu h100         memory, throughput and days before renting a cluster
  wfm runs                                                      every run: state, step, loss, newest checkpoint
tasks and tables:
  wfm adapt --config recipes/adapt/stability.yaml               a LoRA adapter of a day, room, user or device, no labels
  wfm finetune --config recipes/finetune/activity.yaml          LoRA and a task head on labelled shards
  wfm predict capture.dat --adapter runs/finetune/activity      what the fitted adapter says of a capture
  wfm listen udp:5500 --adapter runs/finetune/activity          and of one while it is recorded
  wfm evaluate --config recipes/evaluate/simulated.yaml         baselines, probes and fine-tuning in one table
  wfm study recipes/studies/masks.yaml --html masks.html        ablations and scaling laws
cluster and Hub:
  wfm slurm submit pretrain --config FILE --nodes 4 --gpus 8    a job that continues after its time limit
  wfm hub export runs/NAME/checkpoints/final.ckpt DIR           a folder that AutoModel.from_pretrained loads

A recipe is a YAML file; recipes/NAME.yaml is taken from the installed package where the folder has none.
KEY=VALUE after it changes a value by its dotted key. More: docs/ and the README of the project.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status, see `foundation.cli.outcome`."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words

    def command() -> None:
        plain = [word for word in words if word != "--debug"]
        _refuse_renamed(plain)
        args = _parser().read(plain)
        args.run(args)

    return run(command, words, debug)


def _refuse_renamed(words: Sequence[str]) -> None:
    """Name the new option where one of an earlier version is given."""
    for word in words:
        option = word.partition("=")[0]
        if option in OPTIONS:
            raise WfmError(f"{option} is now called {OPTIONS[option]}.")


def _parser() -> Parser:
    parser = Parser(
        prog="wfm",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wfm {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a defect of wfm (with any command)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        quickstart.add,
        inspect.add,
        shards.add,
        pretrain.add,
        runs.add_plan,
        runs.add_runs,
        adapt.add,
        tasks.add,
        predict.add,
        listen.add,
        serve.add,
        study.add,
        slurm.add,
        hub.add,
    ):
        add(commands)
    return parser
