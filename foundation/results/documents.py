"""The command that renders result rows into documents.

In a document, a line of the form `<!-- rows:NAME set=SET ... -->` (at the start of the line; the filters are optional)
and the next `<!-- /rows -->` hold between them the tables of `docs/experiments/NAME.json`; a line of the form
`<!-- compared:NAME fraction=0.1 seen=SET,SET -->` and the next `<!-- /compared -->` its `comparison`:

    python -m foundation.results.documents docs/research/*.md            # render
    python -m foundation.results.documents --check docs/research/*.md    # exit status 1 if one is out of date
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from foundation.errors import RecipeError, WfmError
from foundation.files import write_atomically
from foundation.json_file import load_json
from foundation.results.comparison import comparison
from foundation.results.rows import Row, load_rows
from foundation.results.tables import markdown, markdown_table

_ROWS = re.compile(r"^<!-- rows:(\S+)([^\n]*?) -->[ \t]*\n(.*?)^<!-- /rows -->", re.MULTILINE | re.DOTALL)
_COMPARED = re.compile(
    r"^<!-- compared:(\S+) fraction=([\d.]+) seen=(\S*) -->[ \t]*\n(.*?)^<!-- /compared -->", re.MULTILINE | re.DOTALL
)
_OPENING = re.compile(r"^<!-- (?:rows|compared):", re.MULTILINE)
_NAME = re.compile(r"[\w-][\w.-]*")


def render(text: str, document: Path) -> str:
    """The document's text with every marked table rendered again; `document` says where to look for the rows.

    Raises:
        RecipeError: a marker is malformed or not closed, its filter is wrong or nothing matches it; or a file lacks the
            paired tests of a comparison.
        ReadError: the file of rows is missing or damaged.
    """
    if len(_OPENING.findall(text)) != len(_ROWS.findall(text)) + len(_COMPARED.findall(text)):
        raise RecipeError(
            f"{document}: a '<!-- rows:NAME -->' or '<!-- compared:NAME fraction=F seen=SETS -->' line is malformed or "
            "has no '<!-- /rows -->' or '<!-- /compared -->'; mend it."
        )

    def rows(match: re.Match[str]) -> str:
        name, filters = match[1], match[2]
        chosen = _select(load_rows(_path(name, document)), filters.split(), f"{document}: rows:{name}")
        return f"<!-- rows:{name}{filters} -->\n{markdown(chosen)}<!-- /rows -->"

    def compared(match: re.Match[str]) -> str:
        name, fraction, seen = match[1], match[2], match[3]
        path = _path(name, document)
        found = load_rows(path)
        raw = load_json(path, finite=False)
        if not isinstance(raw, dict) or "tests" not in raw:
            raise RecipeError(f"{path}: has no paired tests; write it with 'wfm evaluate --suite'.")
        table = markdown_table(comparison(found, raw["tests"], float(fraction), seen.split(",")))
        return f"<!-- compared:{name} fraction={fraction} seen={seen} -->\n{table}\n<!-- /compared -->"

    return _COMPARED.sub(compared, _ROWS.sub(rows, text))


def main(arguments: Sequence[str] | None = None) -> int:
    """Render the documents, or with `--check` only say which are out of date (exit status 1)."""
    parser = argparse.ArgumentParser(
        prog="python -m foundation.results.documents", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a document is out of date")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILES")
    chosen = parser.parse_args(arguments)
    stale = 0
    try:
        for path in chosen.files:
            text = path.read_text(encoding="utf-8")
            fresh = render(text, path)
            if fresh == text:
                continue
            stale += 1
            print(f"{path}: {'is out of date' if chosen.check else 'rendered'}")
            if not chosen.check:
                write_atomically(path, fresh)
    except (WfmError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if chosen.check and stale else 0


def _path(name: str, document: Path) -> Path:
    if not _NAME.fullmatch(name):
        raise RecipeError(
            f"{document}: 'rows:{name}' is no plain name; expected the NAME of docs/experiments/NAME.json."
        )
    for folder in document.resolve().parents:
        if (folder / "docs" / "experiments").is_dir():
            return folder / "docs" / "experiments" / f"{name}.json"
    raise RecipeError(f"{document}: no folder docs/experiments beside or above it, where rows:{name} would be.")


def _select(rows: Sequence[Row], filters: Sequence[str], where: str) -> list[Row]:
    for item in filters:
        field, equals, value = item.partition("=")
        if not equals or field not in Row.model_fields:
            raise RecipeError(
                f"{where}: filter {item!r}; expected FIELD=VALUE with a field of {', '.join(Row.model_fields)}."
            )
        rows = [row for row in rows if str(getattr(row, field)) == value]
    if not rows:
        raise RecipeError(
            f"{where}: no row matches {' '.join(filters) or 'it'}; correct the filter or run the evaluation."
        )
    return list(rows)


if __name__ == "__main__":
    sys.exit(main())
