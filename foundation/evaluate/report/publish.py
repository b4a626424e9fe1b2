"""Show result rows: in the terminal, merged into a JSON file, and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foundation.config import EvaluateRecipe
from foundation.config.imputation import ImputationRecipe
from foundation.evaluate.imputation import measure_imputation
from foundation.evaluate.notes import augment_note, environment_note
from foundation.evaluate.report.imputation_page import imputation_summary, save_imputation, write_imputation_page
from foundation.evaluate.report.run_page import write_report
from foundation.evaluate.report.suite_page import save_suite, write_suite_report
from foundation.evaluate.suite import Measured, Suite
from foundation.evaluate.suite_tests import paired_tests, rankings
from foundation.results.rows import Row, load_rows, merge_rows, rewriting, save_rows
from foundation.results.tables import markdown_table
from foundation.results.terminal import print_rows


def earlier_rows(path: Path | None) -> list[Row]:
    """Those of a file that `publish` is going to merge into; none where there is no such file.

    Raises:
        ReadError: the file holds something else.
    """
    return load_rows(path) if path is not None and path.exists() else []


def publish(recipe: EvaluateRecipe, rows: list[Row], json_path: Path | None, html_path: Path | None) -> None:
    """Print the tables; merge the rows into `json_path` (same key: replaced); write a page to `html_path`.

    The first line says where the test was in another environment, the last what a default decides.
    """
    notes = [environment_note(recipe.task, recipe.folds)]
    _say(notes)
    print_rows(rows)
    notes.append(augment_note(recipe.task, recipe.tune, recipe.modes))
    _say(notes[1:])
    if json_path is not None:
        with rewriting(json_path):
            earlier = earlier_rows(json_path)
            save_rows(json_path, merge_rows(earlier, rows))
        replaced = len({row.key for row in earlier} & {row.key for row in rows})
        in_place = f", {replaced} of them in place of earlier ones" if replaced else ""
        print(f"{json_path}: {len(rows)} rows written{in_place}.")
    if html_path is not None:
        facts = {**_checkpoints(recipe), "shards": str(recipe.task.shards), "label": recipe.task.label}
        write_report(
            html_path,
            title=f"{recipe.name} on {recipe.set}",
            facts=facts,
            history=[],
            reconstructions=[],
            samples=[],
            rows=rows,
            notes=[note for note in notes if note],
        )
        print(f"{html_path}: report written.")


def publish_suite(suite: Suite, measured: list[Measured], json_path: Path | None, html_path: Path | None) -> None:
    """Print the tables of all tasks; write rows, ranks and paired tests to `json_path`, a page to `html_path`."""
    for each in measured:
        _say([environment_note(each.task.recipe.task, each.task.recipe.folds)])
        print_rows(each.rows)
    tests, ranks = paired_tests(measured, suite.recipe.compare), rankings(measured)
    if json_path is not None:
        print(f"{json_path}: {save_suite(json_path, measured, tests, ranks)} rows written.")
    if html_path is not None:
        write_suite_report(html_path, suite.recipe.name, measured, tests, ranks)
        print(f"{html_path}: report written.")


def publish_imputation(recipe: ImputationRecipe, command: str, json_path: Path | None, html_path: Path | None) -> None:
    """Measure, print a summary in Markdown, replace `json_path`, and write a page to `html_path`."""
    measured = measure_imputation(recipe, lambda name: print(f"{name}: done", flush=True))
    print(markdown_table(imputation_summary(measured)))
    if json_path is not None:
        save_imputation(json_path, recipe, measured, command)
        print(f"{json_path}: {len(measured)} sets, kinds and masks written.")
    if html_path is not None:
        write_imputation_page(html_path, recipe, measured, command)
        print(f"{html_path}: report written.")


def _say(notes: Sequence[str]) -> None:
    for note in filter(None, notes):
        print(note)


def _checkpoints(recipe: EvaluateRecipe) -> dict[str, str]:
    return recipe.checkpoints or ({} if recipe.checkpoint is None else {"checkpoint": recipe.checkpoint})
