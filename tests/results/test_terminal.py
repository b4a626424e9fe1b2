"""Tables in a terminal: every cell is printed, whatever the width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from foundation.results.tables import Pivot
from foundation.results.terminal import print_pivot, text_table

HEADER = ("method", "mode", *(f"part {i}" for i in range(6)))
BODY = tuple((f"method-{i}", "lora", *(f"{i}{j}.5 [{i}{j}.1, {i}{j}.9]" for j in range(6))) for i in range(3))


def printed(table: Pivot, width: int) -> list[str]:
    file = io.StringIO()
    print_pivot(table, Console(file=file, width=width, color_system=None))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [200, 80, 60])
def test_every_cell_stays_in_one_piece_and_every_part_says_what_its_lines_are(width: int) -> None:
    lines = printed(Pivot("scores", HEADER, BODY, frozenset()), width)
    assert max(map(len, lines)) <= width
    for name, mode, *cells in BODY:
        own = [line for line in lines if line.split()[:2] == [name, mode]]
        assert [cell for cell in cells if any(cell in line for line in own)] == cells
    parts = sum(line.split()[:2] == ["method", "mode"] for line in lines)
    assert (parts == 1) == (width == 200)


def test_text_of_cells_that_are_too_wide_is_folded_not_cut() -> None:
    table = Pivot("wide", ("name", "what", "value"), (("n" * 90, "w", "1"),), frozenset())
    text = "".join(printed(table, 40))
    assert text.count("n") == 90 + 1, "the header has one"


def test_plain_columns_are_as_wide_as_their_cells_with_notes_below() -> None:
    lines = text_table(("A", "B"), [("x" * 150, "1"), ("[red]y", "22")], [["note"], []]).splitlines()
    assert lines == ["A" + " " * 151 + "B", "x" * 150 + "  1", "    note", "[red]y" + " " * 146 + "22"]
    assert text_table(("A", "B"), [("x", "1"), ("y", "22")], right=True).splitlines()[1:] == ["x   1", "y  22"]
