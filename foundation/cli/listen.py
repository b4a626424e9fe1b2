"""`wfm listen`: what a fitted adapter says of a capture while it is recorded."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from foundation.cli.common import add_model, command

if TYPE_CHECKING:
    from foundation.predict.listen import Answer, Began, Counted, Event, Listener, Missing, Refused

EXAMPLES = """examples:
  wfm listen udp:5500 --adapter runs/finetune/activity                   Nexmon or PicoScenes frames as datagrams
  tcpdump -i wlan0 -U -w - dst port 5500 | wfm listen - --adapter org/activity
  wfm listen serial:/dev/ttyUSB0:921600 --adapter runs/finetune/activity --json > activity.jsonl
  wfm listen growing.csi --adapter runs/finetune/activity --hop 0.5      as tail -f: a window every half second

Prints the windows that 'wfm predict' finds in the finished capture, each as soon as its last packet is there, with the
time from the arrival of that packet to the line. Formats: packet captures and datagrams of nexmon_csi, frames of
PicoScenes, lines of ESP32 CSI. Gaps, restarts of the sender and frames that cannot be read are told on stderr and never
stop it. It ends with its input; of a file, a port and a device with Ctrl-C. More: docs/guide/prediction.md.
"""


def add(commands: Any) -> None:
    about = "what a fitted adapter says of a capture while it is recorded: a file, a pipe, UDP or a serial port"
    listen = command(commands, "listen", _listen, about, EXAMPLES)
    add_source(listen)
    listen.add_argument("--json", action="store_true", help="print a line of JSON for everything that happens")


def add_source(parser: argparse.ArgumentParser, **changes: Any) -> None:
    """Add the arguments that say what is listened to, and by what."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="FILE that grows, - (standard input), udp:PORT, udp:ADDRESS:PORT or serial:DEVICE[:BAUD]",
        **changes,
    )
    add_model(parser)


def listener_of(args: argparse.Namespace, watch: Any = None) -> Listener:
    """The listener that these arguments ask for."""
    from foundation.machine import set_threads
    from foundation.predict import load
    from foundation.predict.listen import Listener
    from foundation.predict.sources import source_of

    source = source_of(args.source)  # a mistake there is told before a model is loaded
    set_threads(None)
    model = load(args.base, args.adapter, args.device)
    name, *options = args.format or [None]
    return Listener(model, source, name, options, args.hop, watch)


def _listen(args: argparse.Namespace) -> None:
    listener = listener_of(args)
    show = _json if args.json else _line
    print(f"wfm listen: {args.source}, adapter {args.adapter}; Ctrl-C ends it.", file=sys.stderr, flush=True)
    try:
        for event in listener.events():
            show(event)
    except KeyboardInterrupt:  # the way to end it
        show(listener.counted())


def _json(event: Event) -> None:
    fields = asdict(event)
    fields |= fields.pop("prediction", {})
    print(json.dumps({"event": type(event).__name__.lower(), **fields}), flush=True)


def _line(event: Event) -> None:
    from foundation.predict.listen import Answer

    if isinstance(event, Answer):
        print(_answer(event), flush=True)
    else:
        print(f"wfm listen: {said(event)}", file=sys.stderr, flush=True)


def _answer(event: Answer) -> str:
    from foundation.cli.outcome import one_line
    from foundation.predict.page import columns_of

    _, (cells,) = columns_of([event.prediction])
    start, end, label, sure, mark = cells
    text = f"{start:>9} to {end:>9} s  {one_line(label):<20} {sure:>5}  {1000 * event.latency_s:5.0f} ms"
    return "  ".join([text, *([event.transmitter] if event.transmitter else []), *([mark] if mark else [])])


def said(event: Began | Missing | Refused | Counted) -> str:
    """An event that is no prediction, in a sentence."""
    from foundation.cli.outcome import one_line
    from foundation.predict.listen import Began, Counted, Missing

    if isinstance(event, Counted):
        text = f"{event.packets:,} packets, {event.windows:,} windows predicted, {event.missing:,} with gaps"
        text += f"; {event.bad:,} frames could not be read" * (event.bad > 0)
        text += f" ({event.problem})" * bool(event.problem)
        text += f"; {event.lost:,} pieces came faster than they were read" * (event.lost > 0)
        return one_line(f"{text}.")
    name = f"recording {event.recording}{f' of {event.transmitter}' * bool(event.transmitter)}"
    if isinstance(event, Began):
        what = "begins" if event.is_new else "begins anew"
        return f"{name} {what}: {event.links} links x {event.responses} responses."
    if isinstance(event, Missing):
        span = f"{event.start_s:.2f} to {event.end_s:.2f} s of {name}"
        many = f"{event.windows:,} window{'s are' if event.windows > 1 else ' is'}"
        return f"{span}: {many} not predicted, too many packets are missing."
    return one_line(f"{name} is not predicted: {event.reason}")
