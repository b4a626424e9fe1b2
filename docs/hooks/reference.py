"""MkDocs hook: generate the reference pages, one per Python package and one of all recipe keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic_core import PydanticUndefined

from foundation.config import AdaptRecipe, EvaluateRecipe, FinetuneRecipe, PretrainRecipe, Section
from foundation.config.imputation import ImputationRecipe
from foundation.config.study import StudyRecipe
from foundation.config.suite import SuiteRecipe

PACKAGE = Path(__file__).resolve().parents[2] / "foundation"
#: Packages of internal helpers, and folders without Python of their own.
HIDDEN = {"cli", "recipes", "datasets"}
RECIPES: dict[str, type[Section]] = {
    "wfm pretrain": PretrainRecipe,
    "wfm adapt": AdaptRecipe,
    "wfm finetune": FinetuneRecipe,
    "wfm evaluate": EvaluateRecipe,
    "wfm evaluate --suite": SuiteRecipe,
    "wfm evaluate --imputation": ImputationRecipe,
    "wfm study": StudyRecipe,
}
HEADER = """# Recipe keys

Generated from the pydantic models in `foundation/config`, the only place where a default is defined. An unknown key is
an error that names the nearest known one. Every key can be set on the command line, such as `train.steps=100`;
`extends: FILE` takes all keys of another recipe and changes those that follow.
"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the generated Python pages in the navigation."""
    pages = [{f"foundation.{package}": f"reference/python/{package}.md"} for package in packages()]
    for section in config.nav or []:
        if "Reference" in section:
            section["Reference"].append({"Python": pages})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the list of data sets, which lies beside their modules."""
    files.append(File.generated(config, "reference/recipes.md", content=recipe_page()))
    data_sets = (PACKAGE.parent / "shards" / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "reference/data-sets.md", content=data_sets.replace("](../docs/", "](../")))
    for package in packages():
        files.append(File.generated(config, f"reference/python/{package}.md", content=package_page(package)))
    return files


def packages() -> list[str]:
    """Names of the public packages of `foundation`, without their parents."""
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py") if path.parent.name not in HIDDEN)


def package_page(package: str) -> str:
    """Markdown of one package: what mkdocstrings is to render of each of its public modules."""
    modules = sorted(_modules(PACKAGE / package))
    title = f"# foundation.{package}\n\n"
    return title + "\n\n".join(f"::: {module}" for module in modules) + "\n"


def _modules(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if path.name == "__init__.py":
            yield ".".join(parts[:-1])
        elif not any(part.startswith("_") for part in parts):
            yield ".".join(parts)


def recipe_page() -> str:
    """Markdown of every recipe and section: key, type, default, description."""
    shown: set[type[Section]] = set()
    text = [HEADER]
    for command, recipe in RECIPES.items():
        text.append(f"## `{command}`\n\n{_table(recipe)}")
        shown.add(recipe)
        for key, section in _sections(recipe):
            if section not in shown:
                shown.add(section)
                text.append(f"### `{key}` {{ #{section.__name__.lower()} }}\n\n{_table(section)}")
    return "\n".join(text)


def _sections(model: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    for name, field in model.model_fields.items():
        for section in _inner(field.annotation):
            yield f"{prefix}{name}", section
            yield from _sections(section, f"{prefix}{name}.")


def _inner(annotation: Any) -> Iterator[type[Section]]:
    """The sections that a type holds, also in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _inner(argument)


def _table(model: type[Section]) -> str:
    lines = [f"{(model.__doc__ or '').strip()}\n", "| key | type | default | description |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        limits = ", ".join(re.findall(r"(?:Gt|Ge|Lt|Le|MinLen)\(\w+=[^)]+\)", str(field.metadata)))
        kind = type_name(field.annotation) + (f" ({_limits(limits)})" if limits else "")
        cells = [f"`{name}`", kind, _default(field.default), field.description or ""]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _limits(text: str) -> str:
    signs = {"Gt(gt=": "> ", "Ge(ge=": ">= ", "Lt(lt=": "< ", "Le(le=": "<= ", "MinLen(min_length=": "length >= "}
    for python, sign in signs.items():
        text = text.replace(python, sign)
    return text.replace(")", "")


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "**required**"
    if isinstance(value, Section):
        return "its defaults"
    if isinstance(value, list) and value and isinstance(value[0], Section):
        value = [item.model_dump() for item in value]
    return "`null`" if value is None else f"`{value}`"


def type_name(annotation: Any) -> str:
    """A type as a reader of YAML would write it: `list of number`, `a, b or c`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(type_name(argument) for argument in arguments)
    if origin is list:
        return f"list of {type_name(arguments[0])}"
    if origin is tuple:
        return "(" + ", ".join(type_name(argument) for argument in arguments) + ")"
    if origin is dict:
        return f"mapping of {type_name(arguments[0])} to {type_name(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return f"[section](#{annotation.__name__.lower()})"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path", type(None): "`null`"}
    return names.get(annotation, str(annotation))
