"""One self-contained page about a run: pictures, tables and facts. Nothing in it is fetched from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from foundation.drawing import Reconstruction, reconstruction
from foundation.evaluate import plots
from foundation.evaluate.plots import SampleComparison
from foundation.files import write_atomically
from foundation.results.rows import Row
from foundation.results.tables import METRICS, Pivot, metric_of, pivot

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


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    history: Sequence[Mapping[str, float]],
    reconstructions: Sequence[Reconstruction],
    samples: Sequence[SampleComparison],
    rows: Sequence[Row],
    notes: Sequence[str],
) -> None:
    """Write the page as one HTML file, complete or not at all. Sections without content are left out.

    Args:
        facts: shown as they are: parameters, steps, throughput, machine.
        history: rows of the training log; those with `step` and a finite loss are drawn.
        rows: every table, and a picture per metric.
        notes: paragraphs under the title, plain text: what was trained on what, and what to be careful with.
    """
    sections = [
        "".join(f"<p>{escape(note)}</p>" for note in notes),
        _facts(facts),
        _section("Results", [*_curves(rows), *(_table(table) for table in pivot(rows)), _commands(rows)]),
        _section("Reconstruction of masked tokens", [_reconstruction(shown) for shown in reconstructions]),
        _section("Generated samples", [_samples(shown) for shown in samples]),
        _section("Training", [_history(history)]),
    ]
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )
    write_atomically(path, page)


def _section(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>" if body else ""


def _facts(facts: Mapping[str, str]) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return f"<dl>{items}</dl>" if items else ""


def _figure(png: bytes, caption: str) -> str:
    data = base64.b64encode(png).decode("ascii")
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _curves(rows: Sequence[Row]) -> list[str]:
    figures = []
    for metric in dict.fromkeys(row.metric for row in rows):
        better = ("Higher" if METRICS[metric].more_is_better else "Lower") + " is better. " if metric in METRICS else ""
        caption = (
            f"{metric_of(metric).label}. {better}Bars are 95 % intervals over seeds; a point without one was run once. "
            "Two results differ only where their bars lie clearly apart."
        )
        figures.append(_figure(plots.fractions([row for row in rows if row.metric == metric]), caption))
    return figures


def _table(table: Pivot) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    body = ""
    for i, cells in enumerate(table.body):
        shown = (f"<strong>{escape(c)}</strong>" if (i, j) in table.best else escape(c) for j, c in enumerate(cells))
        body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in shown) + "</tr>"
    caption = f"<caption>{escape(table.title)}</caption>"
    return f'<div class="table"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _commands(rows: Sequence[Row]) -> str:
    commands = "<br>".join(f"<code>{escape(c)}</code>" for c in dict.fromkeys(row.command for row in rows) if c)
    return f"<p>Made by {commands}</p>" if commands else ""


def _reconstruction(shown: Reconstruction) -> str:
    errors = "; ".join(f"{name} {value:.3f}" for name, value in shown.nmse.items())
    caption = (
        f"{shown.title}. Left the truth, in the middle what the model saw (grey was masked), right what it made of the "
        "grey part, all on one colour scale. A good reconstruction continues ridges and fades through the grey."
        + (f" NMSE over the masked part (0 is perfect, 1 is no better than zeros): {errors}." if errors else "")
    )
    return _figure(reconstruction(shown), caption)


def _samples(shown: SampleComparison) -> str:
    caption = (
        f"{shown.name}. Windows that no training saw, windows from the model, and Gaussian noise of the same variance. "
        "The model's curves should lie on the held-out ones; noise may match the mean power per frequency, but it "
        "has no memory, so its autocorrelation falls to 0 at once."
    )
    return _figure(plots.samples(shown), caption)


def _history(history: Sequence[Mapping[str, float]]) -> str:
    if not history:
        return ""
    caption = (
        "Loss over training. It should fall and flatten; a training loss far below the validation loss is overfitting."
    )
    return _figure(plots.loss_curve(history), caption)
