"""Report page and result file of an evaluation suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from foundation import __version__
from foundation.evaluate.notes import environment_note
from foundation.evaluate.report import curves as plots
from foundation.evaluate.report.curves import curves
from foundation.evaluate.report.rank_plot import critical_difference
from foundation.evaluate.report.transfer_plot import LOSS_METRICS
from foundation.evaluate.runner import pooling_sentences
from foundation.evaluate.statistics.ranks import Ranking
from foundation.evaluate.suite import Measured
from foundation.evaluate.suite_tests import PairedTest, headline_rows
from foundation.results.page import commands_of, facts_list, figure, paragraphs, section, table_of, write_page
from foundation.results.rows import Row, load_rows, merge_rows, rewriting, save_rows
from foundation.results.tables import Pivot, metric_of, pivot

NOTES = (
    "Every test part holds recordings (sessions) that neither training nor a choice has seen. Intervals are 95 %, "
    "Student's t over seeds; a seed draws the label subset, initial weights and the order of batches. A figure without "
    "an interval is of one seed, or of seeds that all say the same. Pretraining was run once, and its spread is in no "
    "interval.",
)
TARGET_NOTE = (
    "These rows have also seen the test recordings, without their labels: +coral gives features of the training part "
    "the covariance of those of the test part (Sun et al. 2016), +self-training fits the head to its most confident "
    "predictions there (Zou et al. 2018). They compare with one another, and with no row above."
)
TESTS_NOTE = (
    "A sample counts with its score averaged over seeds; samples that were recorded together (a block: one session "
    "and class, or a stretch of a drive) count together, and the test flips the signs of blocks (Fisher's "
    "randomisation test; with one seed and blocks of one sample, McNemar's exact test). Unlike a test over seeds, it "
    "does not lose power where seeds are few. The interval is a bootstrap over blocks. Fewer than 6 blocks can never "
    "give p < 0.05. Blocks of one session share what changed between sessions, which the test ignores: its result "
    "holds for these recordings alone. The last p is adjusted for the number of tests on this page (Holm)."
)
RANK_CAPTION = (
    "Average rank over {tasks} test parts from {share:g} % of the labels, 1 is best; {p}. What a thick bar joins does "
    "not differ significantly (Nemenyi, 5 %). Test parts of one data set are not independent, which makes the test "
    "too confident."
)


def save_suite(
    path: Path, measured: Sequence[Measured], paired_tests: Sequence[PairedTest], ranks: Mapping[float, Ranking]
) -> int:
    """Merge the rows into the file (same key: replaced); tests, ranks and choices of this call stand beside them."""
    rows = [row for each in measured for row in each.rows]
    beside = {
        "tests": [test.as_dict() for test in paired_tests],
        "ranks": [
            {"fraction": fraction, "tasks": len(found.tasks), "p": found.p, "critical_difference": found.critical}
            | {"average": dict(zip(found.names, map(float, found.average), strict=True))}
            for fraction, found in ranks.items()
        ],
        "poolings": {
            f"{each.task.recipe.set}, {each.task.recipe.part_name(part)}": sentences
            for each in measured
            for part, sentences in _poolings(each).items()
        },
    }
    with rewriting(path):
        save_rows(path, merge_rows(load_rows(path) if path.exists() else [], rows), beside)
    return len(rows)


def write_suite_report(
    path: Path,
    name: str,
    measured: Sequence[Measured],
    paired_tests: Sequence[PairedTest],
    ranks: Mapping[float, Ranking],
) -> None:
    """One self-contained page: ranks, paired tests, and curves and tables of every set."""
    rows = [row for each in measured for row in each.rows]
    with_target = [row for row in rows if row.has_target_data]
    write_page(
        path,
        name,
        [
            paragraphs([*_environment_notes(measured), *NOTES]),
            facts_list(_facts(measured)),
            section("Average ranks", [_ranks(fraction, found) for fraction, found in ranks.items()]),
            *(_set(name, measured) for name in dict.fromkeys(row.set for row in rows)),
            section(
                "With unlabelled test recordings",
                [paragraphs([TARGET_NOTE]), *(table_of(t) for t in pivot(with_target))] if with_target else [],
            ),
            section(
                "Paired tests",
                [paragraphs([TESTS_NOTE]), *map(table_of, paired_test_tables(paired_tests))] if paired_tests else [],
            ),
            section("Choices made on training recordings", [paragraphs(_all_poolings(measured))]),
            section("Commands", [commands_of(rows)]),
        ],
    )


def _environment_notes(measured: Sequence[Measured]) -> list[str]:
    recipes = [each.task.recipe for each in measured]
    notes = [(recipe.set, environment_note(recipe.task, recipe.folds)) for recipe in recipes]
    return list(dict.fromkeys(f"{name}: {note}" for name, note in notes if note))


def paired_test_tables(paired_tests: Sequence[PairedTest]) -> list[Pivot]:
    """One table per data set; a difference is in the unit of the metric, points for shares."""
    tables = []
    for set_ in dict.fromkeys(test.set for test in paired_tests):
        group = [test for test in paired_tests if test.set == set_]
        metric = metric_of(group[0].metric)
        body = []
        for v in group:
            low, mean, high = (
                f"{metric.scale * x:+.{metric.digits}f}" for x in (v.found.low, v.found.mean, v.found.high)
            )
            share = f"{v.split}, {100 * v.fraction:g} %"
            shown = (f"{v.first} - {v.second}", share, f"{mean} [{low}, {high}]", _p(v.found.p), _p(v.adjusted))
            body.append((*shown, str(v.found.blocks)))
        best = frozenset((i, 4) for i, v in enumerate(group) if v.adjusted < 0.05)
        header = ("difference", "part, labels", metric.label, "p", "p, Holm", "blocks")
        sign = "above" if metric.more_is_better else "below"
        title = f"{set_}: {metric.label}, first minus second; {sign} 0 the first is better"
        tables.append(Pivot(title, header, tuple(body), best))
    return tables


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _facts(measured: Sequence[Measured]) -> dict[str, str]:
    recipes = [each.task.recipe for each in measured]
    rows = [row for each in measured for row in each.rows]
    sources = dict.fromkeys(source for recipe in recipes for source in recipe.sources.values())
    return {
        "data sets": ", ".join(dict.fromkeys(recipe.set for recipe in recipes)),
        "test parts": str(len({(row.set, row.split) for row in rows})),
        "fits": str(sum(len(each.task.jobs) for each in measured)),
        "seeds": ", ".join(map(str, sorted({seed for recipe in recipes for seed in recipe.seeds}))),
        "checkpoints": ", ".join(sources) or "none",
        "version": f"foundation {__version__}",
    }


def _ranks(fraction: float, found: Ranking) -> Markup:
    if found.p is None:
        p = "too few tasks or contenders for a test that all are alike"
    else:
        p = f"that all are alike has p {'' if found.p < 0.001 else '= '}{_p(found.p)} (Friedman, Iman and Davenport)"
    caption = RANK_CAPTION.format(tasks=len(found.tasks), share=100 * fraction, p=p)
    return figure(critical_difference(found), caption)


def _set(name: str, measured: Sequence[Measured]) -> Markup:
    """Curves of the headline metric, and all tables, without unlabelled test recordings."""
    own = [each for each in measured if each.task.recipe.set == name]
    shown = [row for row in headline_rows(own) if not row.has_target_data]
    blind = [row for each in own for row in each.rows if not row.has_target_data]
    lost = curves([row for row in blind if row.metric in LOSS_METRICS])
    return section(name, [_curve(shown), *lost, *map(table_of, pivot(blind))])


def _curve(rows: Sequence[Row]) -> Markup:
    better = "Higher" if metric_of(rows[0].metric).more_is_better else "Lower"
    caption = f"{metric_of(rows[0].metric).label}. {better} is better. Bars are 95 % intervals over seeds."
    return figure(plots.fractions(rows), caption)


def _poolings(each: Measured) -> dict[str, list[str]]:
    """First test part -> what was chosen; the choice is the same for all parts of a task."""
    if each.task.recipe.tune.pooling != "auto":
        return {}
    part = each.task.recipe.task.tests[0]
    return {part: pooling_sentences({line: runs for line, runs in each.runs.items() if line.part == part})}


def _all_poolings(measured: Sequence[Measured]) -> list[str]:
    return [
        f"Pooling of {each.task.recipe.set}, {each.task.recipe.part_name(part)}: {'; '.join(sentences)}."
        for each in measured
        for part, sentences in _poolings(each).items()
    ]
