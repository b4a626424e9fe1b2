"""Read YAML files that a pydantic model describes, and say in one sentence what is wrong with one."""

from __future__ import annotations

import difflib
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from foundation.config.renamed import DELETED, KEYS, VALUES
from foundation.errors import WfmError


def read_mapping(path: Path, error: type[WfmError], missing: str) -> dict[str, Any]:
    """The keys of a YAML file.

    Args:
        error: class of the error that is raised.
        missing: the rest of the message where there is no such file.

    Raises:
        error: the file does not exist, is not YAML or holds no mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise error(f"{path}: {missing}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:  # ValueError: no UTF-8, or a date that is none
        raise error(f"{path}: is not valid YAML: {' '.join(str(problem).split())}.") from None
    if not isinstance(raw, dict):
        raise error(f"{path}: expected a mapping of keys at the top level.")
    return raw


def explain(path: Path, error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence about the first problem; unknown keys come first, since they explain missing ones."""
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    keys, section = _locate(first["loc"], model)
    dotted = ".".join(keys)
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
        if str(first.get("input")) in VALUES:
            return f"{path}: {dotted}: {first['input']!r} is now called {VALUES[str(first['input'])]!r}."
        got = f" (got {str(first.get('input'))[:80]!r})" if keys else ""
        return f"{path}: {dotted}{': ' if keys else ''}{message}{got}."
    if keys[-1] in KEYS and KEYS[keys[-1]] in section.model_fields:
        return f"{path}: key {dotted!r} is now called {KEYS[keys[-1]]!r}; rename it."
    removed = f"{section.__name__}.{keys[-1]}"
    if removed in DELETED:
        return f"{path}: key {dotted!r} was removed, {DELETED[removed]}; delete it."
    known = list(section.model_fields)
    match = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.0)
    return f"{path}: unknown key {dotted!r}; did you mean {match[0]!r}? Known here: {', '.join(known)}."


def _locate(location: tuple[int | str, ...], model: type[BaseModel]) -> tuple[list[str], type[BaseModel]]:
    """The keys that lead to a location, and the model that the last of them belongs to.

    Where a value may have one of several types, pydantic adds the type it tried after the key, which is not a key.
    """
    keys: list[str] = []
    is_type = False
    for part in location:
        if is_type:
            is_type = False
            continue
        keys.append(str(part))
        field = model.model_fields.get(str(part))
        if field is not None:
            choices = [choice for choice in get_args(field.annotation) if choice is not NoneType]
            is_type = get_origin(field.annotation) in (Union, UnionType) and len(choices) > 1
            models = [each for each in (field.annotation, *choices) if isinstance(each, type)]
            model = next((each for each in models if issubclass(each, BaseModel)), model)
    return keys, model
