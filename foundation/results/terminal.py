"""The one printer of tables in a terminal, on rich: no cell is cut off, however narrow the terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # they load scipy, which `wfm runs` and `wfm slurm status` need not wait for
    from foundation.results.rows import Row
    from foundation.results.tables import Pivot

KEYS = 2  # leading columns that say what a line is; repeated in every part of a table that is too wide


def print_rows(rows: Sequence[Row]) -> None:
    """Print the tables of result rows, see `foundation.results.tables.pivot`."""
    from foundation.results.tables import pivot

    for table in pivot(rows):
        print_pivot(table)


def print_pivot(table: Pivot, console: Console | None = None) -> None:
    """Print one table. Where it is wider than the terminal, its columns are printed in several parts below each other.

    Two columns that do not fit side by side are wrapped within their cells.
    """
    console = console or Console()
    console.print(Text(table.title, "bold"))
    for columns in _parts(table, console):
        console.print(_rich(table, columns))


def print_facts(facts: Mapping[str, str], console: Console) -> None:
    """Print names in bold and their values beside them."""
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(Text(name, "bold"), Text(value))
    console.print(table)


def text_table(
    header: Sequence[str], body: Sequence[Sequence[str]], notes: Sequence[Sequence[str]] = (), right: bool = False
) -> str:
    """A table of plain columns without lines, as wide as its cells.

    Args:
        notes: of each body line, the indented lines that follow it.
        right: align all columns but the first to the right, as numbers.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for index, name in enumerate(header):
        table.add_column(Text(name), justify="right" if right and index else "left", no_wrap=True)
    for cells in body:
        table.add_row(*map(Text, cells))
    console = Console(file=io.StringIO(), width=100_000, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    first, *lines = (line.rstrip() for line in captured.get().splitlines())
    below = notes or [()] * len(lines)
    shown = [first]
    for line, own in zip(lines, below, strict=True):
        shown += [line, *(f"    {note}" for note in own)]
    return "\n".join(shown)


def _parts(table: Pivot, console: Console) -> list[list[int]]:
    """Columns of every part: as many as fit, the key columns first."""
    keys, values = list(range(min(KEYS, len(table.header)))), list(range(KEYS, len(table.header)))
    unlimited = console.options.update(width=100_000)
    parts: list[list[int]] = []
    current: list[int] = []
    for column in values:
        wider = [*keys, *current, column]
        natural = Measurement.get(console, unlimited, _rich(table, wider)).maximum
        if current and natural > console.width:
            parts.append([*keys, *current])
            current = []
        current.append(column)
    return [*parts, [*keys, *current]]


def _rich(table: Pivot, columns: Sequence[int]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="")
    for index in columns:
        numbers = index >= KEYS or _is_numbers([cells[index] for cells in table.body])
        shown.add_column(Text(table.header[index]), justify="right" if numbers else "left", overflow="fold")
    for i, cells in enumerate(table.body):
        shown.add_row(*(Text(cells[j], "bold" if (i, j) in table.best else "") for j in columns))
    return shown


def _is_numbers(cells: Sequence[str]) -> bool:
    return bool(cells) and all(cell.replace(",", "").replace(".", "").isdecimal() for cell in cells)
