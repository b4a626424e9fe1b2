"""`wfm serve`: a local page that shows what a fitted adapter says of a capture while it is recorded."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from foundation.cli.common import command
from foundation.cli.listen import add_source, listener_of

EXAMPLES = """examples:
  wfm serve udp:5500 --adapter runs/finetune/activity                    then open http://127.0.0.1:8000/
  tcpdump -i wlan0 -U -w - dst port 5500 | wfm serve - --adapter org/activity --port 8080

Listens as 'wfm listen' does and shows the latest half minute on a page: the amplitude over time and subcarriers, the
prediction with its probabilities, a timeline, and what was not expected. The page loads nothing from elsewhere and is
served to this machine alone; --host 0.0.0.0 serves it to the network, to anyone who can reach this machine.
Ctrl-C ends it. More: docs/guide/prediction.md.
"""
PORT = 8000


def add(commands: Any) -> None:
    about = "a local page that shows a live capture: amplitude, prediction and timeline"
    serve = command(commands, "serve", _serve, about, EXAMPLES)
    add_source(serve)
    serve.add_argument("--host", default="127.0.0.1", help="address to serve at; default: this machine alone")
    serve.add_argument("--port", type=int, default=PORT, help=f"port to serve at, 0: any; default: {PORT}")


def _serve(args: argparse.Namespace) -> None:
    from foundation.predict.board import Board
    from foundation.predict.serve import Server

    board = Board()
    listener = listener_of(args, board.watch)
    about = listener.model.about() | {"adapter": args.adapter, "source": args.source}

    def ready(server: Server) -> None:
        print(f"wfm serve: {server.address} shows {args.source}; Ctrl-C ends it.", file=sys.stderr, flush=True)

    try:
        Server(listener, board, about).run(args.host, args.port, ready)
    except KeyboardInterrupt:  # the way to end it
        return
