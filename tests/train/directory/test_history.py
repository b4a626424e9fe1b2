"""The metric history of a run: logs of several starts as one sequence of rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.train.directory.history import last_values, log_files, read_history


def _log(run: Path, version: str, text: str) -> Path:
    path = run / "logs" / f"version_{version}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_rows_of_all_starts_are_merged_by_step(tmp_path: Path) -> None:
    _log(tmp_path, "10", "loss,step\n3.5,2\n3.0,3\n")
    _log(tmp_path, "2", "loss,mfu,step\n7.5,,1\n7.0,0.1,2\n")
    _log(tmp_path, "old", "loss,step\n1.0,9\n")
    assert [path.parent.name for path in log_files(tmp_path)] == ["version_2", "version_10"]
    assert read_history(tmp_path) == [
        {"loss": 7.5, "step": 1.0},
        {"loss": 3.5, "mfu": 0.1, "step": 2.0},
        {"loss": 3.0, "step": 3.0},
    ]
    assert read_history(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("epoch,loss,step\n0,2.5,6\n,,7\n0,1.2", (6, 2.5)),
        ("loss,step\n" + "\n".join(f"{n}.5,{n}" for n in range(20_000)) + "\n", (19_999, 19_999.5)),
        ("loss,step\n", None),
        ("", None),
    ],
    ids=["a row that is being written", "a long log", "no row", "an empty file"],
)
def test_the_last_complete_row_counts(text: str, found: tuple[int, float] | None, tmp_path: Path) -> None:
    last = last_values(_log(tmp_path, "0", text), "loss")
    assert last == (None if found is None else (found[0], [found[1]]))
