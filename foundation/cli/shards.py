"""`wfm shards`: build, merge, verify, upgrade and describe."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.cli.common import command, part_of_array

if TYPE_CHECKING:
    from foundation.data.shards.manifest import Manifest


def add(commands: Any) -> None:
    about = "build, merge, verify, upgrade and describe WebDataset shards"
    actions = commands.add_parser("shards", help=about).add_subparsers(required=True, metavar="ACTION")
    build = command(
        actions, "build", _build, "write a data set as shards with a manifest; resumes an interrupted build"
    )
    build.add_argument(
        "name", help="a name from shards/README.md, such as simulated, or the file of your own data set: my_set.py"
    )
    build.add_argument("--out", type=Path, required=True, metavar="DIR")
    build.add_argument("--raw", type=Path, metavar="DIR", help="folder of the set's raw files")
    build.add_argument("--count", type=int, help="windows to simulate")
    build.add_argument("--seed", type=int, help="seed of the simulation")
    build.add_argument(
        "--set", action="append", default=[], metavar="OPTION=VALUE", help="another option of the data set"
    )
    build.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes; the bytes are the same for any N"
    )
    build.add_argument(
        "--array",
        type=part_of_array,
        metavar="i/n",
        help="only part i of n (from 0), for one of n jobs; then run merge",
    )
    _add_max_bad(build)
    merge = command(actions, "merge", _merge, "join the parts that --array built; the bytes are those of one build")
    merge.add_argument("out", type=Path, metavar="OUT", help="the --out of the parts")
    _add_max_bad(merge)
    verify = command(actions, "verify", _verify, "check every byte, sample and split; exit status 2 on a problem")
    verify.add_argument("directory", type=Path)
    verify.add_argument(
        "--against",
        type=Path,
        nargs="+",
        default=[],
        metavar="OTHER",
        help="also report samples that are in these directories too, or near duplicates of theirs",
    )
    verify.add_argument("--workers", type=int, default=1, metavar="N", help="processes")
    upgrade = command(
        actions, "upgrade", _upgrade, "add to the shards of an earlier version what their manifest does not say yet"
    )
    upgrade.add_argument("directory", type=Path)
    upgrade.add_argument("--workers", type=int, default=1, metavar="N", help="processes")
    info = command(actions, "info", _info, "print the contents of a shard directory")
    info.add_argument("directory", type=Path)


def _add_max_bad(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-bad",
        type=_most_bad,
        metavar="N",
        help="stop where more raw files than N, or than N%%, cannot be read; default: 1%%, and 10 at least",
    )


def _most_bad(text: str) -> int | float:
    """A number of files, or a share of them as a float."""
    try:
        found = float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        found = -1
    if not 0 <= found < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of files, such as 10, or a share, such as 1%")
    return found


def _build(args: argparse.Namespace) -> None:
    from foundation.data.shards.array_build import write_part
    from foundation.data.shards.write import write_shards
    from foundation.datasets import open_dataset

    given = {name: value for name in ("raw", "count", "seed") if (value := getattr(args, name)) is not None}
    given |= dict(_option(text) for text in args.set)
    dataset = open_dataset(args.name, **given)
    if args.array is None:
        _print_built(args.out, write_shards(dataset, args.out, workers=args.workers, max_bad=args.max_bad))
        return
    folder = write_part(dataset, args.out, *args.array, workers=args.workers, max_bad=args.max_bad)
    if folder is not None:
        print(f"{folder}: part {args.array[0]} of {args.array[1]} is finished; after the last, 'wfm shards merge'.")


def _merge(args: argparse.Namespace) -> None:
    from foundation.data.shards.array_build import merge_parts

    _print_built(args.out, merge_parts(args.out, max_bad=args.max_bad))


def _print_built(out: Path, manifest: Manifest) -> None:
    from foundation.data.shards.manifest import FILE_NAME

    print(f"{out}: {manifest.count} samples of {manifest.name} in {len(manifest.shards)} shards.")
    if manifest.left_out:
        print(f"{out}: {len(manifest.left_out)} raw files were left out; {FILE_NAME} names them under left_out.")


def _option(text: str) -> tuple[str, str | int | float]:
    """Parse NAME=VALUE; the value is a number if it can be parsed as one."""
    name, _, value = text.partition("=")
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return name, kind(value)
    return name, value


def _verify(args: argparse.Namespace) -> None:
    from foundation.data.shards.overlap import overlaps, sentences
    from foundation.data.shards.verify import verify

    problems = verify(args.directory, workers=args.workers)
    _refuse(problems, f"{args.directory}: {len(problems)} problems; rebuild the shards named above.")
    print(f"{args.directory}: verified, every hash, sample and split agrees with the manifest.")
    if args.against:
        found = overlaps(args.directory, args.against, workers=args.workers)
        _refuse(
            sentences(args.directory, found), f"{args.directory}: {len(found)} samples are in another directory too."
        )
        print(f"{args.directory}: none of its samples is in {', '.join(map(str, args.against))}.")


def _upgrade(args: argparse.Namespace) -> None:
    from foundation.data.shards.upgrade import upgrade

    what = "is of the current version now" if upgrade(args.directory, workers=args.workers) else "is complete already"
    print(f"{args.directory}: its manifest {what}; its shards are as they were.")


def _refuse(problems: Sequence[str], message: str) -> None:
    """Print the problems, if any, and raise ShardError."""
    from foundation.errors import ShardError

    for problem in problems:
        print(problem)
    if problems:
        raise ShardError(message)


def _info(args: argparse.Namespace) -> None:
    from foundation.data.shards.verify import print_info

    print_info(args.directory)
