"""`wfm inspect`: what a capture file is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from foundation.cli.common import command


def add(commands: Any) -> None:
    inspect = command(commands, "inspect", _inspect, "what a capture file is: shapes, units, gaps, loss")
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


def _inspect(args: argparse.Namespace) -> None:
    from foundation.files import write_atomically
    from foundation.inspect.capture import describe, draw, load, print_summary

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
