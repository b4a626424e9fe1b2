"""`wfm quickstart`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from foundation.cli.common import command


def add(commands: Any) -> None:
    about = "shards, pretraining, LoRA, evaluation and report on simulated data, in minutes"
    quickstart = command(commands, "quickstart", _quickstart, about)
    quickstart.add_argument("--out", type=Path, help="default: runs/quickstart; runs/quickstart-tiny with --tiny")
    quickstart.add_argument(
        "--tiny", action="store_true", help="a smoke run in less than a minute: it proves the installation, no result"
    )
    quickstart.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, cuda, cuda:1 or mps; auto: the first GPU, else the CPU (%(default)s)",
    )


def _quickstart(args: argparse.Namespace) -> None:
    from foundation.quickstart import FULL, TINY, quickstart

    out = args.out or Path("runs/quickstart-tiny" if args.tiny else "runs/quickstart")
    print(f"report: {quickstart(out, TINY if args.tiny else FULL, device=args.device)}")
