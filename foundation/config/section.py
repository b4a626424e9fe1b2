"""How a recipe is read: a YAML file with known keys only, dotted overrides, an optional `extends` of another recipe.

An unknown key is an error that names the nearest known one; a silently ignored key costs a week of cluster time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from foundation.config.yaml_errors import explain, read_mapping
from foundation.errors import RecipeError

R = TypeVar("R", bound="Section")


class Section(BaseModel):
    """Base of every section: no unknown keys."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


def load_recipe(path: Path, kind: type[R], overrides: Sequence[str] = ()) -> R:
    """Read a recipe, apply `extends` and `a.b=value` overrides, and check every key and type.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (names the nearest), a missing key or a wrong value.
    """
    raw = _read(path, seen=())
    for override in overrides:
        _apply(raw, override)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise RecipeError(explain(path, error, kind)) from None


def dump_recipe(recipe: Section) -> str:
    """The resolved recipe as YAML: what ran, every default spelt out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise RecipeError(f"{path}: extends itself; break the circle.")
    raw = read_mapping(path, RecipeError, "no such recipe; recipes/ holds examples to copy.")
    base = raw.pop("extends", None)
    return raw if base is None else _merge(_read(path.parent / base, (*seen, path.resolve())), raw)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merge(out[key], value) if both else value
    return out


def _apply(raw: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise RecipeError(f"override {override!r}: expected key=value with a dotted key, such as train.steps=100.")
    *parents, last = key.split(".")
    place: Any = raw
    for parent in parents:
        place = place[_index(place, parent, override)] if isinstance(place, list) else place.setdefault(parent, {})
        if not isinstance(place, dict | list):
            raise RecipeError(f"override {override!r}: {parent} is a value, not a section.")
    try:
        value = _number(yaml.safe_load(text))
    except yaml.YAMLError:
        raise RecipeError(f"override {override!r}: {text!r} is not valid YAML; quote it.") from None
    place[_index(place, last, override) if isinstance(place, list) else last] = value


def _index(items: list[Any], word: str, override: str) -> int:
    """Of an item of a list that is there."""
    if not word.isdecimal() or int(word) >= len(items):
        raise RecipeError(f"override {override!r}: {word} is no item of a list of {len(items)}; they count from 0.")
    return int(word)


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text; people who type it mean the number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
