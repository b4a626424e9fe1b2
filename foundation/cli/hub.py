"""`wfm hub`: export and push."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from foundation.cli.common import command


def add(commands: Any) -> None:
    actions = commands.add_parser("hub", help="export checkpoints and publish them").add_subparsers(
        required=True, metavar="ACTION"
    )
    export = command(actions, "export", _export, "training checkpoint -> safetensors, config and model card, proved")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("directory", type=Path)
    export.add_argument("--rows", type=Path, metavar="FILE", help="result rows to put on the card")
    push = command(actions, "push", _push, "upload an exported folder to a Hub (HF_ENDPOINT, HF_TOKEN)")
    push.add_argument("directory", type=Path)
    push.add_argument("repo", metavar="ORG/NAME")
    push.add_argument("--private", action="store_true")
    push.add_argument("--tag", help="name this upload, for from_pretrained(..., revision=TAG)")


def _export(args: argparse.Namespace) -> None:
    from foundation.checkpoints.export import export

    print(f"{export(args.checkpoint, args.directory, args.rows)}: exported and proved against the trained model.")


def _push(args: argparse.Namespace) -> None:
    from foundation.checkpoints.push import push

    print(push(args.directory, args.repo, private=args.private, tag=args.tag))
