"""Self-contained HTML pages from jinja2 templates: figures, tables and facts. Nothing is fetched from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from foundation.files import write_atomically
from foundation.results.rows import Row
from foundation.results.tables import Pivot

_TEMPLATES = Environment(
    loader=PackageLoader("foundation.results"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_NOTHING = Markup()


def write_page(path: Path, title: str, sections: Sequence[Markup]) -> None:
    """Write the page as one HTML file, atomically; empty sections are left out."""
    page = _TEMPLATES.get_template("page.html.j2")
    write_atomically(path, page.render(title=title, sections=sections))


def paragraphs(texts: Sequence[str]) -> Markup:
    return _part("paragraphs", texts)


def lead(text: str) -> Markup:
    """A paragraph in larger type: what the page found."""
    return _part("paragraphs", [text], "lead")


def section(title: str, parts: Sequence[Markup]) -> Markup:
    """A titled section; empty without a part that has content."""
    kept = [part for part in parts if part]
    return _part("section", title, kept) if kept else _NOTHING


def facts_list(facts: Mapping[str, str]) -> Markup:
    return _part("facts_list", facts) if facts else _NOTHING


def glossary(words: Mapping[str, str]) -> Markup:
    """Words and what they mean, one below the other."""
    return _part("facts_list", words, "glossary")


def figure(png: bytes, caption: str) -> Markup:
    return _part("figure", base64.b64encode(png).decode("ascii"), caption)


def table_of(table: Pivot) -> Markup:
    return _part("table", table)


def commands_list(lines: Sequence[str], intro: str = "") -> Markup:
    return _part("commands", lines, intro) if lines else _NOTHING


def commands_of(rows: Sequence[Row]) -> Markup:
    """The commands that the rows were made by."""
    return commands_list([c for c in dict.fromkeys(row.command for row in rows) if c], "Made by")


def _part(macro: str, *values: Any) -> Markup:
    parts = _TEMPLATES.get_template("parts.html.j2").module
    return Markup(getattr(parts, macro)(*values))
