"""`wfm hub`: export a checkpoint and upload it to a Hugging Face Hub."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from foundation.cli.common import command, group

EXAMPLES = """examples:
  wfm hub export runs/NAME/checkpoints/final.ckpt DIR --rows scores.json
  wfm hub push DIR ORG/NAME --private --tag v1

The exported folder holds safetensors, config.json, a model card and hashes of all samples that pretraining saw:
  transformers.AutoModel.from_pretrained("DIR")      after 'import foundation'
The upload takes the Hub's address from HF_ENDPOINT and the token from HF_TOKEN.
"""


def add(commands: Any) -> None:
    actions = group(commands, "hub", "export checkpoints and publish them on a Hugging Face Hub", EXAMPLES)
    about = "write a training checkpoint as safetensors with config and model card, and verify the copy"
    export = command(actions, "export", _export, about, EXAMPLES)
    export.add_argument("checkpoint", type=Path, help="a .ckpt file of a run")
    export.add_argument("directory", type=Path, help="new folder for the export")
    export.add_argument("--rows", type=Path, metavar="FILE", help="result rows (JSON) to put on the card")
    push = command(actions, "push", _push, "upload an exported folder to a Hub", EXAMPLES)
    push.add_argument("directory", type=Path, help="an exported folder")
    push.add_argument("repo", metavar="ORG/NAME", help="repository on the Hub, created if it does not exist")
    push.add_argument("--private", action="store_true", help="create the repository as private")
    push.add_argument("--tag", help="name this upload, for from_pretrained(..., revision=TAG)")


def _export(args: argparse.Namespace) -> None:
    from foundation.checkpoints.export import export

    print(f"{export(args.checkpoint, args.directory, args.rows)}: exported and proved against the trained model.")


def _push(args: argparse.Namespace) -> None:
    from foundation.checkpoints.push import push

    print(push(args.directory, args.repo, private=args.private, tag=args.tag))
