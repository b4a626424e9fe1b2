"""Read recipes: YAML files with known keys only, dotted overrides and an optional `extends` of another recipe.

An unknown key is an error that names the nearest known one; a silently ignored key costs a week of cluster time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from foundation.config.packaged import find_recipe
from foundation.config.yaml_errors import explain, read_mapping, short
from foundation.errors import RecipeError

R = TypeVar("R", bound="Section")


class Section(BaseModel):
    """Base class of every section of a recipe: unknown keys are refused."""

    #: The command that takes a recipe of this kind; "" for a section of one.
    command: ClassVar[str] = ""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)


def load_recipe(path: Path, kind: type[R], overrides: Sequence[str] = ()) -> R:
    """Read a recipe, apply `extends` and `a.b=value` overrides, and check every key and type.

    Args:
        path: a file; a path below `recipes/` that does not exist is taken from the package (see `find_recipe`).
        kind: the recipe class, such as `PretrainRecipe`.
        overrides: dotted keys with YAML values, the last one wins.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (names the nearest), a missing key or a wrong value.
    """
    raw = _read(find_recipe(path))
    for override in overrides:
        _apply(raw, override)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        other = _other_kind(raw, kind)
        if other is not None:
            raise RecipeError(f"{path} is a recipe of '{other}'; this command takes one of '{kind.command}'.") from None
        raise RecipeError(explain(path, error, kind)) from None


def _other_kind(raw: Mapping[str, Any], kind: type[Section]) -> str | None:
    """The command of another kind of recipe that has all of these keys, where `kind` does not; None if none has."""
    from foundation.config import adaptation, evaluation, imputation, pretraining, study, suite, tasks

    kinds = (
        *(pretraining.PretrainRecipe, adaptation.AdaptRecipe, tasks.FinetuneRecipe, evaluation.EvaluateRecipe),
        *(imputation.ImputationRecipe, study.StudyRecipe, suite.SuiteRecipe),
    )
    if not set(raw) - set(kind.model_fields):
        return None
    fitting = [
        each
        for each in kinds
        if set(raw) <= set(each.model_fields)
        and all(name in raw for name, field in each.model_fields.items() if field.is_required())
    ]
    return fitting[0].command if len(fitting) == 1 else None


def dump_recipe(recipe: Section) -> str:
    """The resolved recipe as YAML, with every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The keys of a recipe over those of the recipe that it extends; `seen` are the files that led here."""
    if path.resolve() in seen:
        raise RecipeError(f"{path}: extends itself; break the circle.")
    raw = read_mapping(path, RecipeError, "this recipe cannot be read.")
    base = raw.pop("extends", None)
    if base is None:
        return raw
    if not isinstance(base, str):
        raise RecipeError(f"{path}: extends: expected the path of a recipe, got {str(base)[:80]!r}.")
    return _merge(_read(find_recipe(path.parent / base, base), (*seen, path.resolve())), raw)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merge(out[key], value) if both else value
    return out


def _apply(raw: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise RecipeError(
            f"override {short(override)!r}: expected key=value with a dotted key, such as train.steps=100."
        )
    *parents, last = key.split(".")
    node: Any = raw
    for parent in parents:
        node = node[_index(node, parent, override)] if isinstance(node, list) else node.setdefault(parent, {})
        if not isinstance(node, dict | list):
            raise RecipeError(f"override {short(override)!r}: {short(parent)} is a value, not a section.")
    try:
        value = _number(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError):
        raise RecipeError(f"override {short(override)!r}: {short(text)!r} is not valid YAML; quote it.") from None
    node[_index(node, last, override) if isinstance(node, list) else last] = value


def _index(items: list[Any], word: str, override: str) -> int:
    """Position of an existing list item."""
    if not word.isdecimal() or int(word) >= len(items):
        raise RecipeError(
            f"override {short(override)!r}: {short(word)} is not an index into a list of {len(items)} items; "
            "indices start at 0."
        )
    return int(word)


def _number(value: Any) -> Any:
    """Convert text that is a number: YAML 1.1 reads 1e-3 as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
