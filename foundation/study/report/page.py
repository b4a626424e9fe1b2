"""Findings of a study: in the terminal, as a JSON file and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from foundation import __version__
from foundation.errors import RecipeError
from foundation.evaluate.report.curves import curves as score_curves
from foundation.json_file import load_json
from foundation.redaction import published
from foundation.results.page import commands_list, facts_list, figure, paragraphs, section, table_of, write_page
from foundation.results.rows import Row, rewriting, save_rows
from foundation.results.tables import Pivot, pivot
from foundation.results.terminal import print_pivot
from foundation.study.compare import differences, rows_of
from foundation.study.laws import Exponent, ScalingLaw
from foundation.study.plan import Study
from foundation.study.report import figures
from foundation.study.report.tables import differences_table, exponent_text, facts_table, trends_table
from foundation.study.runs import Done
from foundation.study.trends import PARAMETERS, joint_law, numeric_axes, trends

NOTES = (
    "Scores are of a frozen encoder on left-out training sessions: each task's training part is split by session "
    "(where it has one or two, by stretches of them), the head is fitted to the others, and the answers of all folds "
    "count together. No test part was read. Where pretraining took the same part, it has seen these recordings, but "
    "not their labels.",
    "The held-out masked loss asks every variant the same: samples that no run trained on, the same masks, the plain "
    "masked objective. It does not compare variants that cut or show signals differently.",
    "Intervals are 95 %, Student's t over seeds of pretraining; a seed also draws the batches, the masks and the label "
    "subset. The untrained rows are the weights that pretraining starts from.",
)
DIFFERENCES_NOTE = (
    "Seed by seed, in the unit of the figure (points for shares). An interval that includes 0 has found nothing. They "
    "are not adjusted for their number: of twenty, one may exclude 0 by chance alone."
)
TRENDS_NOTE = (
    "A figure goes as quantity ^ -exponent, everything else of the study held; of an accuracy the share of wrong "
    "answers is taken. A positive exponent falls as the quantity grows. Exponents over steps are of the training loss "
    "within a run, whose learning rate is still high in the middle: a run that is planned shorter ends lower than that."
)


class Findings:
    """Rows, differences and trends of the finished runs."""

    def __init__(self, study: Study, done: Sequence[Done], problems: Sequence[str]) -> None:
        self.study, self.done, self.problems = study, done, problems
        self.rows: list[Row] = rows_of(study, done)
        self.differences = list(differences(study, done))
        self.trends = trends(study, done)
        self.joint = joint_law(study, done)

    @property
    def tables(self) -> list[Pivot]:
        """Scores and losses, differences, exponents and costs."""
        found = [*pivot(self.rows), differences_table(self.differences), trends_table(self.trends)]
        return [table for table in [*found, facts_table(self.done)] if table.body]

    @property
    def sentences(self) -> list[str]:
        """The joint law in words, and what went wrong."""
        law = [] if self.joint is None else [law_sentence(*self.joint)]
        return law + [f"Not done: {problem}" for problem in self.problems]


def law_sentence(data: str, law: ScalingLaw) -> str:
    """L(N, D) with its exponents, and what their intervals say."""
    return (
        f"Held-out masked loss = {law.irreducible:.3g} + {law.a:.3g} / N^{law.alpha.value:.3f} + {law.b:.3g} / "
        f"D^{law.beta.value:.3f}, N the encoder's parameters and D the {data} of its training part (Hoffmann et al. "
        f"2022). alpha {exponent_text(law.alpha)}: {law.alpha.verdict}; beta {exponent_text(law.beta)}: "
        f"{law.beta.verdict}. Intervals are a bootstrap over runs."
    )


def print_findings(found: Findings) -> None:
    for table in found.tables:
        print_pivot(table)
    for sentence in found.sentences:
        print(sentence)


def save_findings(path: Path, found: Findings) -> None:
    """Write rows, settings, runs, differences and laws as JSON.

    Raises:
        RecipeError: the file is there and is not of this study.
    """
    beside: dict[str, Any] = {
        "study": found.study.recipe.model_dump(mode="json"),
        "command": found.study.command,
        "differences": [
            {**each.measure._asdict(), "variant": each.variant, "first": each.first, "verdict": each.verdict}
            | {"mean": each.mean, "low": each.low, "high": each.high, "seeds": each.seeds}
            for each in found.differences
        ],
        "trends": [
            {"what": each.what, "axis": each.axis, "runs": each.runs, "exponent": _plain(each.exponent)}
            for each in found.trends
        ],
        "law": None if found.joint is None else _law_fields(*found.joint),
        "runs": [
            {"variant": run.variant, "seed": run.seed, "overrides": run.words, "levels": run.levels}
            | measured.model_dump()
            for run, measured in found.done
        ],
        "problems": list(found.problems),
    }
    with rewriting(path):
        if path.exists() and _study_of(path) != found.study.recipe.name:
            raise RecipeError(
                f"{path} is there and is not of study {found.study.recipe.name!r}; it was left alone: name another "
                "file."
            )
        save_rows(path, found.rows, published(beside))


def write_findings(path: Path, found: Findings) -> None:
    """Write the page, complete or not at all."""
    study = found.study
    drawn = [
        figure(figures.against(study, found.done, axis, found.joint), _against_caption(axis))
        for axis in numeric_axes(study)
        if any(run.trained for run, _ in found.done)
    ]
    plain = [] if drawn else score_curves(found.rows)
    png = figures.curves(found.done)
    steps = Markup() if png is None else figure(png, "Masked loss over training, averaged over steps and seeds.")
    compared = differences_table(found.differences)
    exponents, costs = trends_table(found.trends), facts_table(found.done)
    write_page(
        path,
        f"Study: {study.recipe.name}",
        [
            paragraphs([text for text in (study.recipe.question, *found.sentences, *NOTES) if text]),
            facts_list(published(_facts(found))),
            section("Against a quantity", drawn),
            section("Scores and losses", [*plain, *map(table_of, pivot(found.rows))]),
            section("Differences", [paragraphs([DIFFERENCES_NOTE]), table_of(compared)] if compared.body else []),
            section("Power laws", [paragraphs([TRENDS_NOTE]), table_of(exponents)] if exponents.body else []),
            section("Training", [steps, table_of(costs)]),
            section("Command", [commands_list([study.command])]),
        ],
    )


def _facts(found: Findings) -> dict[str, str]:
    recipe = found.study.recipe
    return {
        "runs done": f"{len(found.done)} of {len(found.study.runs)}",
        "seeds": ", ".join(map(str, recipe.seeds)),
        "tasks": ", ".join(dict.fromkeys(task.recipe.set for task in found.study.tasks)) or "none",
        "held out": "none" if recipe.held_out is None else f"{recipe.held_out.shards} {recipe.held_out.part or 'all'}",
        "base recipe": str(recipe.pretrain),
        "version": f"foundation {__version__}",
    }


def _against_caption(axis: str) -> str:
    of = "the encoder's parameters" if axis == PARAMETERS else f"{axis} of the training part"
    return (
        f"Losses and errors over {of}; lower is better. Bars are 95 % intervals over seeds, a point without one was "
        "run once; dashed is the joint law, where one is fitted. On these axes a power law is a straight line."
    )


def _plain(each: Exponent) -> dict[str, Any]:
    """JSON has no NaN."""
    known = bool(np.isfinite([each.low, each.high]).all())
    ends = (each.low, each.high) if known else (None, None)
    return {"value": each.value, "low": ends[0], "high": ends[1], "verdict": each.verdict}


def _law_fields(data: str, law: ScalingLaw) -> dict[str, Any]:
    numbers = {"E": law.irreducible, "A": law.a, "B": law.b, "alpha": _plain(law.alpha), "beta": _plain(law.beta)}
    return {"form": "E + A / parameters^alpha + B / data^beta", "data": data, **numbers}


def _study_of(path: Path) -> str | None:
    try:
        return str(load_json(path, finite=False)["study"]["name"])
    except (ValueError, KeyError, TypeError, OSError):
        return None
