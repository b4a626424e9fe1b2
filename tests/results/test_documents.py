"""Documents show committed rows between their markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from foundation.errors import ReadError, RecipeError
from foundation.results.comparison import comparison
from foundation.results.documents import main, render
from foundation.results.rows import Row, save_rows


def row(mean: float, half: float = 0.02, **changes: Any) -> Row:
    fields: dict[str, Any] = {"set": "set-a", "split": "room", "method": "wfm", "mode": "probe", "fraction": 1.0}
    fields |= {"metric": "accuracy", "seeds": 5, "n": 100, "command": "wfm evaluate"}
    return Row(mean=mean, low=mean - half, high=mean + half, **{**fields, **changes})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    save_rows(tmp_path / "docs" / "experiments" / "one.json", [row(0.5), row(0.75, set="set-b")])
    (tmp_path / "README.md").write_text("Before\n<!-- rows:one set=set-b -->\nold\n<!-- /rows -->\nAfter\n")
    return tmp_path


def test_documents_are_checked_then_rendered_between_their_markers(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = repository / "README.md"
    before = document.read_text()
    assert main(["--check", str(document)]) == 1
    assert document.read_text() == before
    assert main([str(document)]) == 0
    text = document.read_text()
    assert text.startswith("Before\n<!-- rows:one set=set-b -->\n")
    assert text.endswith("<!-- /rows -->\nAfter\n")
    assert "75.0 [73.0, 77.0]" in text
    assert "50.0" not in text
    assert "old" not in text
    assert main(["--check", str(document)]) == 0
    assert "is out of date" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("<!-- rows:two -->\n<!-- /rows -->\n", "two.json: no such file of rows"),
        ("<!-- rows:../one -->\n<!-- /rows -->\n", "is no plain name"),
        ("<!-- rows:one set=nil -->\n<!-- /rows -->\n", "no row matches set=nil"),
        ("<!-- rows:one sets=a -->\n<!-- /rows -->\n", "filter 'sets=a'"),
        ("<!-- rows:one -->\n", "has no '<!-- /rows -->'"),
        ("<!-- rows:one -->\n<!-- rows:one -->\n<!-- /rows -->\n", "has no '<!-- /rows -->'"),
    ],
)
def test_a_wrong_marker_is_an_error_and_changes_nothing(
    repository: Path, marker: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = repository / "docs" / "page.md"
    document.write_text(marker)
    assert main([str(document)]) == 2
    assert said in capsys.readouterr().err
    assert document.read_text() == marker


def test_every_committed_document_shows_the_committed_rows() -> None:
    cards = (ROOT / "foundation" / "checkpoints").rglob("*.md")
    for document in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *cards]):
        text = document.read_text(encoding="utf-8")
        try:
            fresh = render(text, document)
        except (ReadError, RecipeError) as error:
            pytest.fail(str(error))
        assert fresh == text, f"{document} is out of date: python -m foundation.results.documents {document}"


ROWS = [
    row(0.6, mode="baseline", method="a, svm"),
    row(0.7, mode="baseline", method="b, svm"),
    row(0.65, mode="statistics"),
    row(0.8),
    row(0.9, mode="probe+coral"),  # has seen the test recordings
    row(0.5, fraction=0.1),
    row(1.1, set="set-b", metric="mean_error_m", mode="statistics"),
    row(1.2, set="set-b", metric="mean_error_m"),
]
TESTS = [
    {"set": "set-a", "mean": 0.15, "low": 0.05, "high": 0.25, "metric": "accuracy"},
    {"set": "set-b", "mean": 0.1, "low": 0.01, "high": 0.2, "metric": "mean_error_m"},
]
TESTS = [
    {"split": "room", "fraction": 1.0, "first": "probe", "second": "statistics", "adjusted": 1e-4} | t for t in TESTS
]


def test_a_comparison_has_a_line_for_each_test_part_and_says_which_side_is_better() -> None:
    table = comparison(ROWS, TESTS, 1.0, ["set-b"])
    cells = ["70.0 [68.0, 72.0]", "65.0 [63.0, 67.0]", "", "", "80.0 [78.0, 82.0]", "+15.0 [+5.0, +25.0]"]
    assert table.body[0] == ("set-a: room", "accuracy, %", *cells, "< 0.001", "above")
    assert table.body[1][0] == "set-b (seen): room"
    assert table.body[1][-3:] == ("+0.10 [+0.01, +0.20]", "< 0.001", "below")
    assert table.best == {(0, 6), (1, 3)}


def test_a_document_shows_the_comparison(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_rows(repository / "docs" / "experiments" / "suite.json", ROWS, {"tests": TESTS})
    document = repository / "docs" / "page.md"
    document.write_text("<!-- compared:suite fraction=1.0 seen= -->\n<!-- /compared -->\n")
    assert main([str(document)]) == 0
    assert "| set-a: room | accuracy, % |" in document.read_text()
    assert main(["--check", str(document)]) == 0
    document.write_text("<!-- compared:one fraction=1.0 seen= -->\n<!-- /compared -->\n")
    assert main([str(document)]) == 2
    assert "one.json: has no paired tests" in capsys.readouterr().err
