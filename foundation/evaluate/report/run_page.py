"""One self-contained page about a run: pictures, tables and facts. Nothing in it is fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from foundation.evaluate.generation import SampleComparison
from foundation.evaluate.report import curves as plots
from foundation.evaluate.report.curves import curves
from foundation.results.page import commands_of, facts_list, figure, paragraphs, section, table_of, write_page
from foundation.results.reconstruction_figure import Reconstruction, reconstruction
from foundation.results.rows import Row
from foundation.results.tables import pivot


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
        paragraphs(notes),
        facts_list(facts),
        section("Results", [*curves(rows), *(table_of(table) for table in pivot(rows)), commands_of(rows)]),
        section("Reconstruction of masked tokens", [_reconstruction(shown) for shown in reconstructions]),
        section("Generated samples", [_samples(shown) for shown in samples]),
        section("Training", [_history(history)]),
    ]
    write_page(path, title, sections)


def _reconstruction(shown: Reconstruction) -> Markup:
    errors = "; ".join(f"{name} {value:.3f}" for name, value in shown.nmse.items())
    caption = (
        f"{shown.title}. Left the truth, in the middle what the model saw (grey was masked), right the prediction of "
        "the grey part, all on one colour scale. A good reconstruction continues ridges and fades through the grey."
        + (f" NMSE over the masked part (0 is perfect, 1 is no better than zeros): {errors}." if errors else "")
    )
    return figure(reconstruction(shown), caption)


def _samples(shown: SampleComparison) -> Markup:
    caption = (
        f"{shown.name}. Windows that no training saw, windows from the model, and Gaussian noise of the same variance. "
        "The model's curves should lie on the held-out ones; noise may match the mean power per frequency, but it "
        "is white, so its autocorrelation falls to 0 at once."
    )
    return figure(plots.samples(shown), caption)


def _history(history: Sequence[Mapping[str, float]]) -> Markup:
    if not history:
        return Markup()
    caption = (
        "Loss over training. It should fall and flatten; a training loss far below the validation loss is overfitting."
    )
    return figure(plots.loss_curve(history), caption)
