"""`wfm study`: ablations and scaling laws."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from foundation.cli.common import command, part_of_array, refuse_unwritable

EXAMPLES = """examples:
  wfm study recipes/studies/masks.yaml --dry-run                  the runs, and which are done
  wfm study recipes/studies/masks.yaml --json masks.json --html masks.html
  wfm study recipes/studies/scaling.yaml --array 3/16             one share of the runs, for one of 16 jobs
  wfm study recipes/studies/masks.yaml 'seeds=[0]' name=masks-1   a study with one key changed, in a folder of its own

A study pretrains every variant (or cell of a grid) with every seed, all else equal, and measures each run: its held-out
masked loss, with the same masks for all, and the score of a probe on the frozen encoder, on left-out training sessions
of each task, at each share of the labels. The untrained encoder is always an additional row. No test part is read, so
a choice made by a study has not been tuned on test data.

A recipe:
  name: masks
  pretrain: ../pretrain/study.yaml            shared by all runs; paths are relative to this file
  overrides: [train.steps=400]                of every run
  variants:                                   the first is what the others are compared with
    mixture: []
    random: ['objective.masks={random: 1.0}']
  seeds: [0, 1, 2]
  held_out: {shards: runs/shards/simulated-corpus, split: room, part: valid}
  tasks:
    - recipe: ../evaluate/stability-csi-har.yaml
or, in place of variants, axes whose levels are crossed; power laws are fitted to those named parameters, samples,
sessions, tokens or steps:
  grid:
    parameters: {h24: [model.hidden_size=24], h48: [model.hidden_size=48], h96: [model.hidden_size=96]}
    samples: {n375: ['data.corpora=[{shards: DIR, samples: 375}]'], ...}

A run is kept in runs/studies/NAME/VARIANT-SEED and never repeated: stop a study at any time and start it again. If a
recipe has changed since, the study names the change and stops; give it another name=, or delete the folder of that run.
docs/research/experiments.md says how to read the report.
"""


def add(commands: Any) -> None:
    about = "run ablations and scaling studies: pretrain variants x seeds, measure all alike, in one report"
    parser = command(commands, "study", _study, about, EXAMPLES)
    parser.add_argument("study", type=Path, metavar="FILE", help="a study, see recipes/studies/")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="changes to the study, right after FILE, such as seeds=[0]"
    )
    parser.add_argument("--dry-run", action="store_true", help="list the runs and stop")
    parser.add_argument(
        "--array", type=part_of_array, metavar="i/n", help="run only share i of n (from 0), without a report"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write rows, settings, runs, differences and laws")
    parser.add_argument("--html", type=Path, metavar="OUT", help="write a report page")


def _study(args: argparse.Namespace) -> None:
    from foundation.train.callbacks.stop_signals import is_requeued, listening

    # First of all in a job: what follows takes seconds to load, and a time limit may be near. At a terminal a signal
    # ends a study at once unless it pretrains: noted alone, it would have no effect while a run is measured.
    with listening() if is_requeued() else nullcontext():
        _run(args)


def _run(args: argparse.Namespace) -> None:
    from foundation.study.plan import Study

    study = Study.load(args.study, args.overrides)
    runs = study.runs if args.array is None else study.share(*args.array)
    from foundation.data.shards.address import is_url
    from foundation.study.runs import do_runs, results, state

    if args.dry_run:
        held_out = study.recipe.held_out  # a run is known by the content of it, and a dry run fetches nothing
        remote = held_out is not None and is_url(held_out.shards)
        for run in runs:
            known = "of a remote held-out set" if remote else state(study, run)
            print(f"{run.folder}  {known}  {' '.join(run.words)}".rstrip())
        return
    refuse_unwritable(args.json, args.html, folders=[study.recipe.cache])
    problems = do_runs(study, runs, lambda text: print(text, flush=True))
    if args.array is not None:
        left = sum(state(study, run) != "done" for run in study.runs)
        then = "the same command without --array writes the report" if left == 0 else "run the other shares"
        print(f"share {args.array[0]} of {args.array[1]}: {left} of all {len(study.runs)} runs are left; {then}.")
    else:
        _report(args, study, results(study), problems)
    if problems:
        from foundation.errors import TrainingError

        raise TrainingError(f"{len(problems)} of {len(runs)} runs are not done; the first: {problems[0]}")


def _report(args: argparse.Namespace, study: Any, done: Any, problems: list[str]) -> None:
    from foundation.study.report.page import Findings, print_findings, save_findings, write_findings

    found = Findings(study, done, problems)
    print_findings(found)
    if args.json is not None:
        save_findings(args.json, found)
        print(f"{args.json}: {len(found.rows)} rows written.")
    if args.html is not None:
        write_findings(args.html, found)
        print(f"{args.html}: report written.")
