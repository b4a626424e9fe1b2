"""`wfm adapters remember` and `forget`: the memory of an adapter, a few examples of a new room or a new class."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from foundation.cli.common import add_format, command

REMEMBER = """examples:
  wfm adapters remember runs/finetune/activity fall1.dat fall2.dat --label falling
  wfm adapters remember runs/finetune/activity here/walk*.pcap --label walking
  wfm predict capture.dat --adapter runs/finetune/activity

Captures are cut into windows as the training samples were, and kept as embeddings in the adapter's folder
(memory.safetensors); nothing is fitted, and no capture is copied. From then on 'wfm predict' gives a window that is
near an example the label of that example, shows the nearest ones, and asks the head of the adapter for every other
window. The label may be one that the adapter does not have. Of windows like the examples one in twenty is told to be
far from them (--false-alarms); with fewer than 19 examples, one in their number plus one.
Read on: docs/guide/prediction.md.
"""
FORGET = """examples:
  wfm adapters forget runs/finetune/activity --label falling
  wfm adapters forget runs/finetune/activity --recording fall2.dat
  wfm adapters show runs/finetune/activity                            what is remembered
"""


def add(actions: Any) -> None:
    """Add the actions to the group of `wfm adapters`."""
    remember = command(actions, "remember", _remember, "add captures as labelled examples to an adapter", REMEMBER)
    remember.add_argument("adapter", type=Path, help="folder of 'wfm finetune', of classes")
    remember.add_argument(
        "captures", nargs="+", metavar="CAPTURE", help="as for 'wfm predict'; and OPTION=VALUE for what a file lacks"
    )
    remember.add_argument("--label", required=True, help="the class of all windows of these captures")
    remember.add_argument(
        "--false-alarms",
        type=float,
        metavar="SHARE",
        help="of windows like the examples that may be told to be far from them; default: 0.05, or as set before",
    )
    add_format(remember)
    forget = command(actions, "forget", _forget, "remove examples from the memory of an adapter", FORGET)
    forget.add_argument("adapter", type=Path, help="folder of 'wfm finetune'")
    forget.add_argument("--label", help="of the examples to remove")
    forget.add_argument("--recording", metavar="CAPTURE", help="that they were cut from, as it was given")


def _remember(args: argparse.Namespace) -> None:
    from foundation.adapt.adapter_files import adapter_folder
    from foundation.cli.predict import captures_of
    from foundation.files import exclusive
    from foundation.machine import set_threads
    from foundation.predict import load
    from foundation.predict.captures import remember_captures

    captures, options = captures_of(args.captures)
    adapter_folder(args.adapter)  # before a lock is made in a folder that is none
    set_threads(None)
    name, *more = args.format or [None]
    with exclusive(args.adapter / "memory"):
        model = load(adapter=args.adapter)
        count = remember_captures(model, captures, args.label, args.false_alarms, name, [*options, *more])
        model.save_memory(args.adapter)
    print(f"{args.adapter}: {count} windows remembered as {args.label!r}; {_in_words(model.memory)}.")


def _forget(args: argparse.Namespace) -> None:
    from foundation.adapt.adapter_files import adapter_folder
    from foundation.errors import SignalError
    from foundation.files import exclusive
    from foundation.predict import load

    if args.label is None and args.recording is None:
        raise SignalError("forget: name what to remove, by --label, --recording or both.")
    adapter_folder(args.adapter)
    with exclusive(args.adapter / "memory"):
        model = load(adapter=args.adapter)
        count = model.forget(args.label, args.recording)
        model.save_memory(args.adapter)
    print(f"{args.adapter}: {count} windows forgotten; {_in_words(model.memory)}.")


def _in_words(memory: Any) -> str:
    return "nothing is remembered" if memory is None else f"in all {memory.in_words()}"
