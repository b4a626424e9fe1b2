"""`wfm inspect`: describe a capture file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from foundation.cli.common import add_format, command, refuse_unwritable

EXAMPLES = """examples:
  wfm inspect capture.dat                                    the format is recognised by content
  wfm inspect capture.dat carrier_hz=5.18e9 --png out.png    a value that the file does not hold
  wfm inspect recording.bin --format raw_iq datatype=ci16_le sample_rate_hz=20e6

Read on: docs/reference/captures.md lists the formats, their options and what each reader was checked against.
"""


def add(commands: Any) -> None:
    about = "describe a capture file: format, shape, units, gaps and lost packets"
    inspect = command(commands, "inspect", _inspect, about, EXAMPLES)
    inspect.add_argument("file", type=Path, help="a capture of Wi-Fi CSI, IQ, radar, UWB or RSSI")
    inspect.add_argument(
        "options", nargs="*", metavar="OPTION=VALUE", help="values that the file lacks, such as carrier_hz=5.18e9"
    )
    add_format(inspect)
    inspect.add_argument("--json", action="store_true", help="print JSON instead of a table")
    inspect.add_argument("--png", type=Path, metavar="OUT", help="draw amplitude, phase and Doppler of the first link")


def _inspect(args: argparse.Namespace) -> None:
    from foundation.errors import RecipeError
    from foundation.files import write_atomically
    from foundation.inspect.capture import describe, draw, load, print_summary

    if args.png is not None:
        if args.png.suffix.lower() != ".png":
            raise RecipeError(f"{args.png}: --png writes a PNG image; name a file that ends in .png.")
        refuse_unwritable(args.png)
    name, *options = args.format or [None]
    capture = load(args.file, name, [*args.options, *options])
    if args.json:
        print(json.dumps(describe(capture)))
    else:
        print_summary(describe(capture))
    if args.png is not None:
        write_atomically(args.png, draw(capture))
        if not args.json:
            print(f"{args.png}: figure written.")
