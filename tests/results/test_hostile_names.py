"""Names that are markup, scripts, links or formulas show as text in pages, Markdown, terminals and figures."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from foundation.evaluate.report.run_page import write_report
from foundation.evaluate.report.task_page import write_task_page
from foundation.evaluate.task_result import TaskResult
from foundation.results.rows import summarise
from foundation.results.tables import markdown, pivot
from foundation.results.terminal import print_pivot

HOSTILE = (
    "<script>alert(1)</script>",
    "[a](javascript:alert(1))",
    '"><img src=x onerror=alert(1)>',
    "[/red][bold]",
    "a|b\nc",
    "`x` *y* _z_",
    "$\\frac{",
    "{{ 7 * 7 }}",
)


def _rows(name: str) -> list:
    fields = {"mode": name, "fraction": 1.0, "metric": "accuracy", "n": 9, "command": f"wfm {name}"}
    return [summarise([0.5, 0.7], set=name, split=f"{name} {part}", method=name, **fields) for part in "ab"]


@pytest.mark.parametrize("name", HOSTILE)
def test_pages_show_names_as_text(name: str, tmp_path: Path) -> None:
    write_report(
        tmp_path / "run.html",
        title=name,
        facts={name: name},
        history=[],
        reconstructions=[],
        samples=[],
        rows=_rows(name),
        notes=[name],
    )
    found = TaskResult(name, (name, "other"), np.array([0, 1]), np.array([0, 0]), np.array(0))
    write_task_page(tmp_path / "task.html", name, {name: found}, {name: name}, name)
    for page in tmp_path.glob("*.html"):
        text = page.read_text()
        body = re.sub(r"<style>.*?</style>|data:image/png;base64,[\w+/=]+", "", text, flags=re.DOTALL)
        tags = set(re.findall(r"<(\w+)", body))
        assert not tags & {"script", "a", "iframe"}, "no markup from a name"
        assert "onerror=alert" not in re.sub(r"&\S+?;[^<]*", "", body)
        assert "49" not in re.findall(r"<h1>(.*?)</h1>", body), "no template in a name is run"


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_names_as_text(name: str) -> None:
    lines = markdown(_rows(name)).splitlines()
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in lines[2:] if line}
    assert cells == {5}, "no name adds a cell or a line"
    for line in lines:
        assert not re.search(r"(?<!\\)\]\(", line), "no link"
        assert not re.search(r"(?<!\\)[<`]", line), "no HTML and no code"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_terminal_shows_names_as_text(name: str) -> None:
    console = Console(file=io.StringIO(), width=4000, force_terminal=True, color_system=None)
    for table in pivot(_rows(name)):
        print_pivot(table, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(word in shown for word in name.split())
