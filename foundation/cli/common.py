"""What the commands share: adding a subcommand, reading its recipe, checking its output files."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from foundation.config import AdaptRecipe, FinetuneRecipe, Section

R = TypeVar("R", bound="Section")
N = TypeVar("N", "AdaptRecipe", "FinetuneRecipe")


def command(commands: Any, name: str, run: Any, help_: str, examples: str | None = None) -> argparse.ArgumentParser:
    """Add a subcommand that calls `run`.

    Args:
        help_: one line, which is also the first of its own help.
        examples: calls to copy, and where to read on.
    """
    about = f"{help_[0].upper()}{help_[1:]}."
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help_, description=about, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def group(commands: Any, name: str, help_: str, examples: str) -> Any:
    """Add a command that has actions, and return the parsers that these are added to."""
    parser = commands.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser.add_subparsers(required=True, metavar="ACTION")


def recipe_command(
    commands: Any, name: str, run: Any, help_: str, kind: str, examples: str | None = None
) -> argparse.ArgumentParser:
    """Add a subcommand that takes a recipe with overrides.

    Args:
        kind: class of the recipe in `foundation.config`, by name: importing it takes a while.
    """
    parser = command(commands, name, run, help_, examples)
    parser.set_defaults(recipe_kind=kind)
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="a recipe, of your own or of the package (recipes/)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the resolved recipe and stop")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="changes to the recipe, such as train.steps=100"
    )
    return parser


def resolved(args: argparse.Namespace, kind: type[R]) -> R | None:
    """The resolved recipe; None after --dry-run has printed it."""
    from foundation.config import dump_recipe, load_recipe

    recipe = load_recipe(args.config, kind, args.overrides)
    if args.dry_run:
        print(dump_recipe(recipe), end="")
        return None
    return recipe


def resolved_new(args: argparse.Namespace, kind: type[N]) -> N | None:
    """As `resolved`, of a recipe whose `out` is a folder that must not exist: before torch is loaded.

    Raises:
        CheckpointError: it exists.
        RecipeError: it cannot be written.
    """
    recipe = resolved(args, kind)
    if recipe is not None:
        refuse_taken(recipe.out)
    return recipe


def refuse_taken(out: Path) -> None:
    """Check that a new folder can be written.

    Raises:
        CheckpointError: it exists.
        RecipeError: it cannot be written.
    """
    from foundation.errors import CheckpointError
    from foundation.files import refuse_existing

    refuse_existing(out, CheckpointError)
    refuse_unwritable(folders=[out.parent])


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add `--format`, for captures that do not say what they are."""
    parser.add_argument(
        "--format",
        nargs="+",
        metavar=("NAME", "OPTION=VALUE"),
        help="for files without a header: the format and its options",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add what says which fitted adapter answers, how captures are read and cut, and where it runs."""
    parser.add_argument(
        "--adapter", required=True, metavar="DIR", help="a folder that 'wfm finetune' wrote, or an org/name on the Hub"
    )
    parser.add_argument("--base", metavar="MODEL", help="where the pretrained model lies, if it was moved")
    parser.add_argument("--hop", type=float, metavar="S", help="seconds between windows; default: their duration")
    add_format(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")


def refuse_unwritable(*files: Path | None, folders: Sequence[Path] = ()) -> None:
    """Check that output files and folders can be written: before hours of fits, not after them.

    Raises:
        RecipeError: one cannot be written; names it.
    """
    from foundation.errors import RecipeError

    for folder in [*(path.parent for path in filter(None, files)), *folders]:
        there = next(each for each in (folder, *folder.absolute().parents) if _is_seen(each))
        try:
            with tempfile.TemporaryFile(dir=there):  # what the permissions say is not all: /proc, a read-only mount
                pass
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise RecipeError(
                f"{folder}: nothing can be written into {there} ({reason}); name another folder."
            ) from None
    for path in filter(None, files):
        if path.is_dir():
            raise RecipeError(f"{path} is a folder; give the name of a file.")


def _is_seen(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # below a folder that may not be entered
        return False


def part_of_array(text: str) -> tuple[int, int]:
    """Parse the i/n of `--array`."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}; expected i/n, such as 3/16")
    return int(part), int(parts)
