"""Tables of numbers: delimiters, encodings, names, and rows that are not whole."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.tables import parse_table, sniff


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_numbers_of_any_table(delimiter: str, encoding: str, quote: str) -> None:
    rows = [["a", "b c"], ["1", "2.5"], ["-3", "4e2"]]
    text = "\r\n".join(delimiter.join(f"{quote}{field}{quote}" for field in row) for row in rows) + "\r\n\r\n"
    table = parse_table(text.encode(encoding), "t")
    assert table.names == ["a", "b c"]
    numbers, lines = table.numbers()
    np.testing.assert_array_equal(numbers, [[1, 2.5], [-3, 400]])
    assert lines == [2, 3]
    np.testing.assert_array_equal(table.numbers([1])[0], [[2.5], [400]])
    assert sniff(text.encode(encoding))


def test_the_last_row_without_its_end_is_left_out_unless_it_does_not_matter() -> None:
    with pytest.warns(
        UserWarning, match="^t: left out 1 of 2 rows that do not have 2 whole fields, the last, which does"
    ):
        assert parse_table(b"a,b\n1,2\n3,4", "t").lines == [b"1,2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(parse_table(b"a,b\n1,2\n3,4", "t", last_needs_end=False).lines) == 2


def test_lines_of_a_log_between_rows_are_left_out() -> None:
    with pytest.warns(UserWarning, match="left out 2 of 4 rows that do not have 3 whole fields, the first, line 3"):
        table = parse_table(b"a,b,c\n1,2,3\nI (12) wifi: ok\n4,5\n7,8,9\n", "t")
    with pytest.warns(UserWarning, match="2 of 6 fields are not numbers and are taken as missing, the first in line 2"):
        numbers = parse_table(b"a,b,c\n1,x,3\n4,5,y\n", "t").entries([0, 1, 2])
    assert table.at == [2, 5]
    np.testing.assert_array_equal(numbers, [[1, np.nan, 3], [4, 5, np.nan]])


def test_without_names_the_first_line_counts() -> None:
    table = parse_table(b"1,2\n3,\n", "t")
    assert table.names == ["0", "1"]
    np.testing.assert_array_equal(table.numbers()[0], [[1, 2], [3, np.nan]])


def test_what_has_no_row_is_named() -> None:
    for data in (b"a,b\n", b"a,b\n1\n", b"a,b", b"1,2"):
        with pytest.raises(ReadError, match=r"^t: has no whole row of 2 fields"):
            parse_table(data, "t")
    with pytest.raises(ReadError, match=r"^t, line 2: has a field that is not a number, as have all rows"):
        parse_table(b"a,b\nx,y\n", "t").numbers()


def test_detection() -> None:
    for text in (b"a\nb\n", b"one line, and\nanother\n", b"\x89HDF\r\n\x1a\n,,\n,,\n", bytes(99), b""):
        assert not sniff(text)
    assert sniff(b",".join(b"WAP%03d" % n for n in range(600))[:4096])


@given(st.binary(max_size=200))
def test_any_bytes_give_a_table_or_a_sentence(data: bytes) -> None:
    sniff(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            table = parse_table(data, "t")
            numbers, lines = table.numbers()
        except ReadError:
            return
    assert len(numbers) == len(lines) >= 1
