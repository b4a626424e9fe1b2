"""Leaderboard of checkpoints from saved result rows: scores and ranks per task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from os.path import commonpath
from pathlib import Path

from markupsafe import Markup

from foundation.errors import RecipeError
from foundation.evaluate.report.rank_plot import critical_difference
from foundation.evaluate.statistics.ranks import Ranking, ranking
from foundation.results.page import figure, paragraphs, section, table_of, write_page
from foundation.results.rows import Row, load_rows
from foundation.results.tables import HEADLINES, Pivot, metric_of
from foundation.results.terminal import print_pivot

MODES = ("probe", "knn", "lora", "full")  # those that use pretrained weights
NOTE = (
    "A cell is the mean over seeds and, in brackets, the rank among the checkpoints of that line. The average is over "
    "the lines that all have. Lines of one data set are not independent, which makes the critical difference too small."
)


def leaderboard(files: Sequence[Path], html: Path | None = None) -> None:
    """Print the table of every mode, and write a page.

    Raises:
        ReadError: a file is no file of rows.
        RecipeError: the files hold fewer than two checkpoints that were run on one task.
    """
    rows = _contenders(files)
    tables: list[Pivot] = []
    pictures: list[Markup] = []
    for mode in MODES:
        scores, better, cells = _scores([row for row in rows if row.mode == mode])
        found = ranking(scores, better)
        if found is None:
            continue
        tables.append(_table(mode, found, cells, better))
        caption = f"Average rank of {mode} over {len(found.tasks)} lines of the table; 1 is best."
        pictures.append(figure(critical_difference(found), caption))
    if not tables:
        raise RecipeError(
            f"{', '.join(map(str, files))}: no two checkpoints with rows of one task in mode {' or '.join(MODES)}; "
            "give the files of more evaluations."
        )
    for table in tables:
        print_pivot(table)
    if html is not None:
        parts = [section("Ranks", pictures), section("Scores", [table_of(table) for table in tables])]
        write_page(html, "Leaderboard", [paragraphs([NOTE]), *parts])
        print(f"{html}: report written.")


def _contenders(files: Sequence[Path]) -> list[Row]:
    """Rows of encoders, by their headline metric. A name that several files use goes with its file's, and where files
    share that as well, with the path to it from where they part."""
    rows = {file: [row for row in load_rows(file) if row.mode in MODES and row.metric in HEADLINES] for file in files}
    users: dict[str, set[Path]] = defaultdict(set)
    for file, own in rows.items():
        for row in own:
            users[row.method].add(file)
    stems = Counter(file.stem for file in rows)
    above = commonpath([file.resolve().parent for file in rows])
    paths = {file: file.resolve().relative_to(above).with_suffix("").as_posix() for file in rows}
    shown = {file: file.stem if stems[file.stem] == 1 else path for file, path in paths.items()}
    return [
        row.model_copy(update={"method": f"{row.method} ({shown[file]})"}) if len(users[row.method]) > 1 else row
        for file, own in rows.items()
        for row in own
    ]


def _scores(
    rows: Sequence[Row],
) -> tuple[dict[str, dict[str, float]], dict[str, bool], dict[tuple[str, str], str]]:
    """Task -> checkpoint -> score, whether more is better, and (task, checkpoint) -> how the score is written.

    Only tasks that every checkpoint of the mode was run on can be ranked; the others are left out.
    """
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    better: dict[str, bool] = {}
    cells: dict[tuple[str, str], str] = {}
    for row in sorted(rows, key=lambda row: row.key):
        metric = metric_of(row.metric)
        task = f"{row.set}, {row.split}, {100 * row.fraction:g} %, {metric.label}"
        scores[task][row.method] = row.mean
        better[task] = metric.more_is_better
        cells[task, row.method] = f"{row.mean * metric.scale:.{metric.digits}f}"
    everybody = {row.method for row in rows}
    return {task: found for task, found in scores.items() if found.keys() == everybody}, better, cells


def _table(
    mode: str,
    found: Ranking,
    cells: dict[tuple[str, str], str],
    better: dict[str, bool],
) -> Pivot:
    body = []
    for task, ranks in zip(found.tasks, found.ranks, strict=True):
        written = [f"{cells[task, name]} ({rank:g})" for name, rank in zip(found.names, ranks, strict=True)]
        body.append((task, "higher" if better[task] else "lower", *written))
    body.append(("average rank", "lower", *(f"{rank:.2f}" for rank in found.average)))
    best = {(i, 2 + j) for i, ranks in enumerate(found.ranks) for j, rank in enumerate(ranks) if rank == ranks.min()}
    best |= {(len(found.ranks), 2 + j) for j, rank in enumerate(found.average) if rank == found.average.min()}
    return Pivot(f"mode {mode}", ("task", "better", *found.names), tuple(body), frozenset(best))
