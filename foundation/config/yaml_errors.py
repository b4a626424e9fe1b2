"""Read YAML files that a pydantic model describes, and say in one sentence what is wrong with one."""

from __future__ import annotations

import difflib
import stat
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from foundation.config.renamed import DELETED, KEYS, VALUES
from foundation.errors import WfmError

#: A recipe is read by a slow parser, and dumped whole: bounds on what is read and on what its aliases stand for.
MOST_BYTES, MOST_NODES = 2**17, 20_000


def read_mapping(path: Path, error: type[WfmError], missing: str) -> dict[str, Any]:
    """The keys of a YAML file.

    Args:
        error: class of the error that is raised.
        missing: the rest of the message where there is no such file.

    Raises:
        error: the file does not exist, is not YAML or holds no mapping.
    """
    try:
        raw = _load(path)
    except OSError as problem:
        raise error(f"{path}: {missing}{_reason(problem)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:  # ValueError: no UTF-8, or a date that is none
        raise error(f"{path}: is not valid YAML: {' '.join(str(problem).split())}.") from None
    if not isinstance(raw, dict):
        raise error(f"{path}: expected a mapping of keys at the top level.")
    return raw


def _load(path: Path) -> Any:
    """Parse a file of text.

    Raises:
        ValueError: it is no plain file, too long, or its aliases stand for more than a recipe can hold.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no plain file")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it is longer than {MOST_BYTES // 1024} kB, which no recipe is")
    text = data.decode("utf-8-sig")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is not None and _size(root, {}) > MOST_NODES:
        raise ValueError(f"its aliases stand for more than {MOST_NODES:,} values")
    return yaml.safe_load(text)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below a node, where an alias counts as what it stands for."""
    if id(node) not in known:
        known[id(node)] = MOST_NODES + 1  # of an alias to a node that it stands in
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] = 1 + sum(_size(each, known) for each in children)
    return known[id(node)]


def _reason(problem: OSError) -> str:
    return "" if isinstance(problem, FileNotFoundError) else f" ({(problem.strerror or str(problem)).lower()})"


def short(text: object, most: int = 80) -> str:
    """The beginning of a text that may be of any length, for a message."""
    plain = str(text)
    return plain if len(plain) <= most else f"{plain[:most]}..."


def explain(path: Path, error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence about the first problem; unknown keys come first, since they explain missing ones."""
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    keys, section = _locate(first["loc"], model)
    dotted = short(".".join(keys))
    if first["type"] != "extra_forbidden":
        message = short(" ".join(first["msg"].removeprefix("Value error, ").split()), 400)
        if str(first.get("input")) in VALUES:
            return f"{path}: {dotted}: {first['input']!r} is now called {VALUES[str(first['input'])]!r}."
        is_value = bool(keys) and not isinstance(first.get("input"), dict)
        got = f" (got {short(first.get('input'))!r})" if is_value else ""
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
