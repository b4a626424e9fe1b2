"""One self-contained page: sections of figures, tables and facts. Nothing in it is fetched from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from foundation.files import write_atomically
from foundation.results.rows import Row
from foundation.results.tables import Pivot

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --muted: #6b7280; --page: #f6f7f9; --card: #ffffff; --line: #e2e5ea; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ec; --muted: #9aa3b2; --page: #14171c; --card: #1d2128; --line: #323843; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 1.25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
figure, .table, dl {
  margin: 0 0 1rem; padding: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
}
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; background: #fff; border-radius: 6px; }
figcaption, caption { color: var(--muted); font-size: .9rem; text-align: left; }
figcaption { margin-top: .75rem; max-width: 60rem; }
caption { padding-bottom: .5rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem 1.5rem; }
dt { color: var(--muted); font-size: .8rem; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
code { font-size: .85rem; overflow-wrap: anywhere; }
"""


def write_page(path: Path, title: str, sections: Sequence[str]) -> None:
    """Write the page as one HTML file, complete or not at all; empty sections are left out."""
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )
    write_atomically(path, page)


def paragraphs(texts: Sequence[str]) -> str:
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def section(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>" if body else ""


def facts_list(facts: Mapping[str, str]) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f"<dl>{items}</dl>" if items else ""


def figure(png: bytes, caption: str) -> str:
    data = base64.b64encode(png).decode("ascii")
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def table_of(table: Pivot) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    body = ""
    for i, cells in enumerate(table.body):
        shown = (f"<strong>{escape(c)}</strong>" if (i, j) in table.best else escape(c) for j, c in enumerate(cells))
        body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in shown) + "</tr>"
    caption = f"<caption>{escape(table.title)}</caption>"
    return f'<div class="table"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def commands_of(rows: Sequence[Row]) -> str:
    commands = "<br>".join(f"<code>{escape(c)}</code>" for c in dict.fromkeys(row.command for row in rows) if c)
    return f"<p>Made by {commands}</p>" if commands else ""
