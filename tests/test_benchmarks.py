"""What the benchmarks leave behind; they themselves are run by `python -m benchmarks`, not by the tests."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
import torch

from benchmarks.__main__ import NAMES
from benchmarks.rows import HERE, README, RESULTS, Row, Rows, in_turns, render


def test_the_readme_is_what_the_rows_render_to() -> None:
    assert README.read_text() == render(), "run python -c 'from benchmarks.rows import *; README.write_text(render())'"


def test_every_script_of_the_suite_has_left_rows() -> None:
    assert {path.stem for path in RESULTS.glob("*.json")} == set(NAMES)
    for name in NAMES:
        rows = json.loads((RESULTS / f"{name}.json").read_text())
        assert rows
        for row in rows:
            assert row.keys() == {field.name for field in fields(Row)}
            assert row["command"] == f"python -m benchmarks.{name}"
            assert (HERE / f"{name}.py").is_file()


def test_ways_take_turns_and_the_first_round_is_not_timed() -> None:
    calls: list[str] = []
    seconds = in_turns({"one": lambda: calls.append("one"), "two": lambda: calls.append("two")}, rounds=2)
    assert calls == ["one", "two"] * 3
    assert all(0 <= value < 1 for value in seconds.values())


def test_rows_name_the_machine_by_its_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("results")
    monkeypatch.setattr("benchmarks.rows.RESULTS", folder)
    rows = Rows("speed.py")
    rows.add("a", 123.456, "samples/s", "b", 2 / 3)
    rows.write()
    (row,) = json.loads((folder / "speed.json").read_text())
    assert (row["value"], row["ratio"]) == (123.5, 0.6667)
    assert torch.__version__ in row["machine"]
