"""`wfm quickstart`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from foundation.cli.common import command


def add(commands: Any) -> None:
    quickstart = command(
        commands, "quickstart", _quickstart, "shards, pretraining, LoRA, evaluation and report in one go"
    )
    quickstart.add_argument("--out", type=Path, default=Path("runs/quickstart"), help="default: %(default)s")


def _quickstart(args: argparse.Namespace) -> None:
    from foundation.quickstart import quickstart

    print(f"report: {quickstart(args.out)}")
