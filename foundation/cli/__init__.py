"""The command `wfm`: one file for each group of commands. Thin: a command parses, calls one function, prints.

Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from foundation.cli import hub, inspect, pretrain, quickstart, runs, shards, slurm, study, tasks
from foundation.errors import WfmError

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
  wfm study recipes/studies/masks.yaml --html masks.html       ablations and scaling laws, judged alike
  wfm slurm submit pretrain --config FILE --nodes 4 --gpus 8   the same as a job that survives its time limit
  wfm hub export runs/NAME/checkpoints/final.ckpt DIR          a folder that AutoModel.from_pretrained loads
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
    for add in (
        shards.add,
        inspect.add,
        pretrain.add,
        runs.add_plan,
        runs.add_runs,
        tasks.add,
        study.add,
        hub.add,
        slurm.add,
        quickstart.add,
    ):
        add(commands)
    return parser
