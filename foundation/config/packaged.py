"""Find a recipe on disk, or the one of that name that is installed with the package."""

from __future__ import annotations

import difflib
import os
import sys
from functools import cache
from pathlib import Path

from foundation.config.renamed import RECIPES
from foundation.errors import RecipeError

PACKAGED = Path(__file__).resolve().parents[1] / "recipes"


def find_recipe(path: Path, name: str | Path | None = None) -> Path:
    """The file to read: `path` if it exists, otherwise the packaged recipe, which is announced on stderr.

    Args:
        path: as given by the user, absolute or relative to the working directory.
        name: what the user wrote, if `path` was derived from it (`extends:` is relative to the file that says it).

    Raises:
        RecipeError: neither exists; names the nearest packaged recipe.
    """
    if path.exists():
        return path
    own = _packaged_name(path if name is None else name)
    if own is not None and (PACKAGED / own).is_file():
        _announce(f"recipes/{own}")
        return PACKAGED / own
    raise RecipeError(f"{path}: no such recipe; {_advice(own or path.name)}")


def packaged_recipes() -> list[str]:
    """Names of all packaged recipes, such as `recipes/pretrain/tiny.yaml`."""
    return sorted(f"recipes/{path.relative_to(PACKAGED).as_posix()}" for path in PACKAGED.rglob("*.yaml"))


def _packaged_name(name: str | Path) -> str | None:
    """`pretrain/tiny.yaml` of `recipes/pretrain/tiny.yaml`; None of a path that does not begin with `recipes/`."""
    first, *rest = Path(os.path.normpath(name)).parts or ("",)
    return "/".join(rest) if first == "recipes" and rest else None


@cache  # once per recipe and process: a suite names the same one several times
def _announce(name: str) -> None:
    print(f"wfm: {name} does not exist in this folder; using the copy installed with the package.", file=sys.stderr)


def _advice(name: str) -> str:
    if name in RECIPES:
        return f"it is now called recipes/{RECIPES[name]}."
    known = packaged_recipes()
    match = difflib.get_close_matches(f"recipes/{name}", known, n=1, cutoff=0.0)
    return f"did you mean {match[0]}? Installed with the package: {', '.join(known)}."
